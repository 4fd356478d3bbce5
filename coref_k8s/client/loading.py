"""Where the model of a study is, and the lines of Python that load it."""

from __future__ import annotations

from coref_k8s.client.results import folder
from coref_k8s.controller.view import LengthView, StudyView


def model_folder(view: StudyView, one: LengthView, root: str) -> str | None:
    """Return the folder of a length's best model, `root` before it; None where the study keeps no models."""
    if one.best is None:
        return None
    path, kind = f"{root}{folder(view, one)}", view.spec.purpose.kind
    if kind == "ensemble":  # joined weights, or the members side by side: the card in it says which
        return path if "test" in one.best.attrs else None
    return f"{path}/model" if kind == "train" or view.spec.training.keep_models else None


def loading(view: StudyView, path: str) -> list[str]:
    """Return two lines that load a model and its tokeniser, or resolve a text with it."""
    if view.spec.task == "coreference":
        return [
            "from coref_k8s import Resolver",
            f'document = Resolver.from_pretrained("{path}")("민수는 책을 샀다. 그는 그 책을 읽었다.")',
        ]
    if view.spec.purpose.kind == "ensemble":
        return []
    return [
        "from transformers import pipeline",
        f'fill = pipeline("fill-mask", "{path}")',
    ]
