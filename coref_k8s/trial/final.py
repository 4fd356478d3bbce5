"""The end of a final training: test once, compare with what there was before, write the model with its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from coref_k8s.evaluation.compare import compare
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.study.order import Order
from coref_k8s.study.paths import TrialFolder
from coref_k8s.trial.card import Compared, Facts, card
from coref_k8s.trial.files import write_folder, write_json
from coref_k8s.trial.licences import licence_of
from coref_k8s.trial.parents import parents_trials
from coref_k8s.trial.provenance import model_commit, versions
from coref_k8s.trial.session import Session, trainer_of
from coref_k8s.trial.signals import Interrupted
from coref_k8s.trial.task import Task
from coref_k8s.trial.training import Ending, never
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
    before = untuned(session.task, folder)
    compared = [
        Compared(UNTUNED, "test", compare(test, before["test"])),
        Compared(UNTUNED, "dev", compare(dev, before["dev"])),
        *_with_parents(dev, order, session.task.data_dir),
    ]
    facts = Facts(
        order=order,
        members=order.spec.purpose.trials,
        base_on_hub=not Path(session.task.start).is_dir(),
        licence=licence_of(session.task.start, order.spec.model_revision),
        test=test.given,
        dev=dev.given,
        not_given=test.not_given,
        compared=compared,
        statistics=session.task.prepared.statistics,
        items_sha256=test.items_sha256,
        versions=versions(),
        position_range=str(order.params.get("position_range", "clamp")),
        steps=session.trainer.progress.step,
        model_revision=model_commit(model, order.spec.model_revision),
        hardware=hardware(session.task.device),
    )

    def fill(path: Path) -> None:
        session.task.save(model, path, dev)
        (path / "README.md").write_text(card(facts), encoding="utf-8")

    write_folder(folder.model, fill)
    return session.result("complete", test=test.noted, comparisons=as_rows(compared))


def untuned(task: Task, folder: TrialFolder) -> dict[str, EvaluationResult]:
    """Score the model that training started from, as it came, on dev and test; what is on disk is taken.

    Raises Interrupted.
    """
    found: dict[str, EvaluationResult] = {}
    model: Any = None
    for split in ("dev", "test"):
        path = folder.path / f"untuned-{split}.json"
        if path.is_file():
            found[split] = EvaluationResult.read(path)
            continue
        model = model or as_it_came(task)
        thresholds = found["dev"].thresholds if split == "test" else None
        found[split] = task.evaluate(model, split, full=True, thresholds=thresholds)
        write_json(path, found[split].to_dict())
    return found


def as_it_came(task: Task) -> nn.Module:
    """Return the model that training starts from, taught no more than it takes to be scored. Raises Interrupted."""
    trainer = trainer_of(task, untuned=True)
    if trainer.run(never, lambda _: True) is Ending.INTERRUPTED:
        raise Interrupted
    return trainer.model.eval()


def as_rows(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return comparisons as plain data, each difference with its claim (`verdict` in 0.1 too) and its sentence."""
    return [
        {
            "against": one.against.to_text(),
            "split": one.split,
            **asdict(difference),
            "verdict": difference.claim,
            "sentence": difference.sentence(Message.of("verdict.this-model"), one.against).to_text(),
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
