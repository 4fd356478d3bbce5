"""`Resolver`: raw text in, chains out.

from coref_k8s import Resolver

resolver = Resolver.from_pretrained("my-study/1024")
document = resolver("철수는 영희를 만났다. 그는 기뻤다.")
[[mention.text for mention in chain] for chain in document.chains]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from coref_k8s.client.models import model_folder
from coref_k8s.coref.model import CorefModel, load_model
from coref_k8s.coref.prediction import WINDOWS, Check, nothing
from coref_k8s.coref.resolved import ResolvedDocument
from coref_k8s.coref.resolving import resolved
from coref_k8s.errors import OutOfMemoryError, RequestError
from coref_k8s.settings import Settings

#: A name and the text that it is of.
NamedText = tuple[str, str]


class Resolver:
    """Resolves texts of any length with one model; a text's memory grows with its length, not with its square."""

    def __init__(self, model: CorefModel, *, windows: int = WINDOWS) -> None:
        """`windows`: windows of one forward pass; more are faster on a GPU and take more of its memory."""
        self.model = model
        self._windows = windows

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        data_dir: str | Path | None = None,
        device: str | torch.device | None = None,
        windows: int = WINDOWS,
    ) -> Resolver:
        """Open the model of a folder, of a study on this machine ("study/1024/7", or the best: "study/1024", "study"),
        or of the hub ("owner/name").

        `data_dir` is the data folder of the study (default `data`, or COREF_DATA_DIR). It runs on a GPU where there is
        one, unless `device` names another ("cpu", "cuda:1"). `windows` is how many windows share a forward pass: more
        are faster on a GPU and take more of its memory.

        Raises NotFoundError, ModelError (for a model that was not trained for coreference, too), or RequestError for a
        device that is not there.
        """
        folder = model_folder(str(model), Settings.from_env(data_dir=data_dir and Path(data_dir)))
        return cls(load_model(folder, _device(device)), windows=windows)

    def __call__(self, text: str, doc_id: str = "document") -> ResolvedDocument:
        """Resolve a text; offsets are characters of the text as it is given."""
        return next(self.stream([(doc_id, text)]))

    def stream(self, texts: Iterable[NamedText], *, check: Check | None = None) -> Iterator[ResolvedDocument]:
        """Resolve many texts, given as pairs of a name and a text, in their order; short ones share a forward pass.

        What is found in a text does not depend on the others. Texts are taken as they are needed; `check` is called
        between forward passes, to show progress or to raise what is to end them. Raises OutOfMemoryError when a pass
        does not fit on the GPU, RequestError for what is no name and text.
        """
        try:
            yield from resolved(self.model, texts, windows=self._windows, check=check or nothing)
        except torch.OutOfMemoryError as error:
            why = str(error).splitlines()[0]
            raise OutOfMemoryError("coref.out-of-memory", windows=self._windows, why=why) from error


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise RequestError("coref.no-device", device=str(device), why=reason) from error
    return chosen
