"""The end of a final training: test once, compare with what there was before, write the model with its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from coref_k8s.corpus.prepared import Prepared
from coref_k8s.evaluation.compare import compare
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.saving import save_at_length
from coref_k8s.study.order import Order
from coref_k8s.study.paths import TrialFolder
from coref_k8s.trial.card import Compared, Facts, card
from coref_k8s.trial.evaluating import Evaluator
from coref_k8s.trial.files import write_folder, write_json
from coref_k8s.trial.licences import licence_of
from coref_k8s.trial.models import model_path
from coref_k8s.trial.parents import parents_trials
from coref_k8s.trial.provenance import model_commit, versions
from coref_k8s.trial.session import Session
from coref_k8s.wording import Message

UNTUNED = Message.of("trial.untuned")


def finish_final(session: Session) -> dict[str, Any]:
    """Score, compare and write the trained model and its result; return the result.

    Raises Interrupted between two forward passes; nothing is lost then.
    """
    order, folder = session.order, session.folder
    assert order.seq_len is not None
    model: Any = session.trainer.model.eval()
    dev = EvaluationResult.read(folder.items("dev"))
    test = session.test()
    source = model_path(order.spec.model, session.data_dir)
    before = untuned(order, source, session.evaluator, session.prepared, folder, session.device)
    compared = [
        Compared(UNTUNED, "test", compare(test, before["test"])),
        Compared(UNTUNED, "dev", compare(dev, before["dev"])),
        *_with_parents(dev, order, session.data_dir),
    ]
    facts = Facts(
        order=order,
        members=order.spec.purpose.trials,
        base_on_hub=not Path(source).is_dir(),
        licence=licence_of(source, order.spec.model_revision),
        test=test.metrics,
        dev=dev.metrics,
        compared=compared,
        statistics=session.prepared.statistics,
        items_sha256=test.items_sha256,
        versions=versions(),
        position_range=str(order.params.get("position_range", "clamp")),
        steps=session.trainer.progress.step,
        model_revision=model_commit(model, order.spec.model_revision),
        hardware=hardware(session.device),
    )

    def fill(path: Path) -> None:
        save_at_length(model, session.tokenizer, path, facts.order.seq_len or 0)
        (path / "README.md").write_text(card(facts), encoding="utf-8")

    write_folder(folder.model, fill)
    tests = {"score": test.score, "metrics": test.metrics}
    return session.result("complete", test=tests, comparisons=as_rows(compared))


def untuned(
    order: Order,
    source: str,
    evaluator: Evaluator,
    prepared: Prepared,
    folder: TrialFolder,
    device: torch.device,
) -> dict[str, EvaluationResult]:
    """Score the model that training started from, as it was shipped, on dev and test; what is on disk is taken."""
    paths = {split: folder.path / f"untuned-{split}.json" for split in ("dev", "test")}
    found: dict[str, EvaluationResult] = {}
    model: Any = None
    for split, path in paths.items():
        if path.is_file():
            found[split] = EvaluationResult.read(path)
            continue
        if model is None:
            model = load_masked_lm(
                source,
                seq_len=prepared.seq_len,
                attention=order.spec.training.attention,
                revision=order.spec.model_revision,
            ).to(device)
        items = ItemSet.load(prepared.eval_items(split))
        thresholds = found["dev"].thresholds if split == "test" else None
        found[split] = evaluator(model, items, full=True, thresholds=thresholds)
        write_json(path, found[split].to_dict())
    return found


def as_rows(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return comparisons as plain data, each difference with its verdict and its sentence."""
    return [
        {
            "against": one.against.to_text(),
            "split": one.split,
            **asdict(difference),
            "verdict": difference.verdict,
            "sentence": difference.claim(Message.of("verdict.this-model"), one.against).to_text(),
        }
        for one in compared
        for difference in one.differences
    ]


def hardware(device: torch.device) -> str:
    """Return what a model was trained or scored on, in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _with_parents(dev: EvaluationResult, order: Order, data_dir: Path) -> list[Compared]:
    """Compare with the trials whose parameters were taken, where their scores on dev are still there."""
    found = []
    for number, folder in parents_trials(order, data_dir).items():
        if not folder.items("dev").is_file():
            continue
        other = EvaluationResult.read(folder.items("dev"))
        if set(other.item_ids) & set(dev.item_ids):
            against = Message.of("trial.parent", trial=number, study=order.spec.purpose.study)
            found.append(Compared(against, "dev", compare(dev, other)))
    return found
