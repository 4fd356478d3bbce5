"""An ensemble of a study's best models: soups and averaged probabilities, kept only where shown to be better.

Everything is scored on dev like a trial; what is kept is scored on test once, beside the best single model.
Every score is on disk as soon as it is known, so an interrupted ensemble goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from coref_k8s.errors import TrialError
from coref_k8s.evaluation.compare import Difference, compare
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.study.order import Order
from coref_k8s.study.paths import MEMBERS_FILE, MODEL_FILE, TrialFolder
from coref_k8s.trial.card import Compared, Facts, card, usage_of_members
from coref_k8s.trial.device import host_peak_bytes
from coref_k8s.trial.files import write_folder, write_json
from coref_k8s.trial.final import UNTUNED, as_rows, hardware, untuned
from coref_k8s.trial.licences import licence_of
from coref_k8s.trial.observers import EvaluationReport, Observers
from coref_k8s.trial.parents import parents_trials
from coref_k8s.trial.provenance import config_of_encoder, model_commit, versions
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.soup import Sum, can_be_averaged
from coref_k8s.trial.task import open_task
from coref_k8s.wording import Message

#: What is stored of a way that is kept.
KEPT = Message.of("trial.kept")
UNIFORM, GREEDY = "uniform soup", "greedy soup"


@dataclass
class Candidate:
    """One way to join the models, its score on dev, and whether that is shown to be better than the best one."""

    way: str
    members: list[int]
    dev: EvaluationResult
    against: Difference | None
    """Score on dev minus that of the best single model; None when the objective cannot be paired."""
    test: EvaluationResult | None = None
    compared: list[Compared] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether it is better than the best single model, by its interval over documents."""
        return self.against is not None and self.against.claim == "better"

    def row(self) -> dict[str, Any]:
        """Return what is stored and shown of it."""
        found: dict[str, Any] = {
            "way": Message.of(f"trial.way-{self.way.replace(' ', '-')}").to_text(),
            "members": self.members,
            "score": self.dev.score,
            "kept": self.kept,
            "verdict": (KEPT if self.kept else Message.of("trial.not-kept", why=_why_not(self))).to_text(),
        }
        if self.against is not None:
            found |= {name: value for name, value in asdict(self.against).items() if name != "metric"}
        if self.test is not None:
            found["test"] = self.test.noted
        return found


def join(
    order: Order,
    data_dir: Path,
    folder: TrialFolder,
    observers: Observers,
    warn: Callable[[Message], None],
    stop: StopSignal,
    saved: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Make, score and write the ensemble; return the result, which is also on disk. `saved` is called with each score.

    Raises TrialError (a member's model is missing), DataError, ModelError, OutOfMemoryError, Interrupted.
    """
    work = _Ensemble(order, data_dir, folder, observers, warn, stop, saved)
    return work.run()


class _Ensemble:
    def __init__(
        self,
        order: Order,
        data_dir: Path,
        folder: TrialFolder,
        observers: Observers,
        warn: Callable[[Message], None],
        stop: StopSignal,
        saved: Callable[[], None],
    ) -> None:
        assert order.seq_len is not None
        assert order.batch is not None
        self.began = time.monotonic()
        self.order, self.data_dir, self.folder = order, data_dir, folder
        self.observers, self.warn, self.saved = observers, warn, saved
        self.seq_len: int = order.seq_len
        self.members = parents_trials(order, data_dir)
        for number, member in self.members.items():
            if not (member.model / MODEL_FILE).is_file():
                raise TrialError(
                    "trial.member-without-model",
                    trial=number,
                    study=order.spec.purpose.study,
                    seq_len=self.seq_len,
                )
        self.task = open_task(order, data_dir, stop, warn)
        self.evaluations = 0

    def run(self) -> dict[str, Any]:
        self.observers.on_begin(0, 0)
        singles = {n: self._dev(f"trial-{n}", partial(self._load, n)) for n in self.members}
        # by score on these very items, which is how the trials came: the order of a tie is the request's
        ranked = sorted(singles, key=lambda number: -singles[number].score)
        best = ranked[0]
        candidates = [*self._soups(ranked, singles), self._probabilities(ranked, singles[best])]
        kept = [one for one in candidates if one.kept]
        soups = [one for one in kept if one.way != self.task.average]
        # of two soups the better one is delivered; equal ones are the same for whoever uses them
        deliver = [max(soups, key=lambda one: one.dev.score)] if soups else []
        deliver += [one for one in kept if one.way == self.task.average]
        for one in deliver:
            self._deliver(one, best, singles[best])
        return self._result(candidates, best, singles)

    # -- making ------------------------------------------------------------------------------------------

    def _load(self, number: int) -> Any:
        return self.task.saved(self.members[number].model)

    def _soups(self, ranked: list[int], singles: dict[int, EvaluationResult]) -> list[Candidate]:
        best = ranked[0]
        first = self._load(best)
        fitting = [best, *(n for n in ranked[1:] if can_be_averaged(first, self._load(n)))]
        if left := [n for n in ranked if n not in fitting]:
            self.warn(Message.of("trial.cannot-be-averaged", trials=left, best=best))
        if len(fitting) < 2:
            return []
        uniform = Candidate(
            UNIFORM,
            fitting,
            result := self._dev(UNIFORM, lambda: self._soup(fitting)),
            self._against(result, singles[best]),
        )
        members, result = self._greedy(fitting, singles[best])
        return [uniform, Candidate(GREEDY, members, result, self._against(result, singles[best]))]

    def _greedy(self, ranked: list[int], single: EvaluationResult) -> tuple[list[int], EvaluationResult]:
        """Add each model, best first, where the mean of the weights does not get worse on dev."""
        members, best = [ranked[0]], single
        for number in ranked[1:]:
            tried = [*members, number]
            result = self._dev(f"soup-{'-'.join(map(str, tried))}", partial(self._soup, tried))
            if result.score >= best.score:
                members, best = tried, result
        return members, best

    def _soup(self, members: list[int]) -> Any:
        total = Sum()
        for number in members:
            model = self._load(number)
            total.add(model)
        model.load_state_dict(total.mean())
        return model

    def _probabilities(self, ranked: list[int], single: EvaluationResult) -> Candidate:
        result = self._dev(self.task.average, lambda: self.task.joined([self._load(n) for n in ranked]))
        return Candidate(self.task.average, ranked, result, self._against(result, single))

    # -- scoring -----------------------------------------------------------------------------------------

    def _dev(self, name: str, make: Callable[[], nn.Module]) -> EvaluationResult:
        return self._score(name, make, "dev", None)

    def _score(
        self, name: str, make: Callable[[], nn.Module], split: str, thresholds: dict[str, float] | None
    ) -> EvaluationResult:
        """Score a model, or read what an earlier attempt has scored."""
        path = self.folder.path / "scores" / f"{name.replace(' ', '-')}-{split}.json"
        if path.is_file():
            known = EvaluationResult.read(path)
            if known.items_sha256 == self.task.questions(split):
                return known
        model = make().eval().to(self.task.device)
        result = self.task.evaluate(model, split, full=True, thresholds=thresholds)
        write_json(path, result.to_dict())
        self.saved()
        self.evaluations += 1
        self.observers.on_evaluation(
            EvaluationReport(
                number=self.evaluations,
                step=0,
                score=result.score,
                metrics=dict(result.metrics),
                seconds=result.seconds,
                full=True,
                split=split,
                not_given=result.not_given,
            )
        )
        return result

    def _against(self, result: EvaluationResult, single: EvaluationResult) -> Difference | None:
        found = compare(result, single)[0]
        return found if found.metric == "score" else None

    # -- delivering --------------------------------------------------------------------------------------

    def _deliver(self, one: Candidate, best: int, single: EvaluationResult) -> None:
        """Score on test what is kept, beside the best single model and the untuned one, and write it."""
        if one.way == self.task.average:
            model: Any = self.task.joined([self._load(n) for n in one.members])
        else:
            model = self._soup(one.members)
        one.test = self._score(one.way, lambda: model, "test", one.dev.thresholds)
        alone = self._score(f"trial-{best}", lambda: self._load(best), "test", single.thresholds)
        before = untuned(self.task, self.folder)
        name = {"trial": best, "study": self.order.spec.purpose.study}
        one.compared = [
            Compared(Message("trial.best-single", name), "test", compare(one.test, alone)),
            Compared(Message("trial.best-single-chosen-here", name), "dev", compare(one.dev, single)),
            Compared(UNTUNED, "test", compare(one.test, before["test"])),
        ]
        facts = self._facts(one, model)
        if one.way == self.task.average:
            write_folder(self.folder.ensemble, lambda path: self._write_members(path, one, facts))
        else:
            write_folder(self.folder.model, lambda path: self._write_soup(path, model, one.dev, facts))

    def _facts(self, one: Candidate, model: Any) -> Facts:
        assert one.test is not None
        some = model.members[0] if one.way == self.task.average else model
        return Facts(
            order=self.order,
            members=one.members,
            base_on_hub=not Path(self.task.start).is_dir(),
            licence=licence_of(self.task.start, self.order.spec.model_revision),
            test=one.test.given,
            dev=one.dev.given,
            not_given=one.test.not_given,
            compared=one.compared,
            statistics=self.task.prepared.statistics,
            items_sha256=one.test.items_sha256,
            versions=versions(),
            position_range=_position_range(config_of_encoder(some)),
            model_revision=model_commit(some, self.order.spec.model_revision),
            hardware=hardware(self.task.device),
            way=one.way,
        )

    def _write_soup(self, path: Path, model: Any, dev: EvaluationResult, facts: Facts) -> None:
        self.task.save(model, path, dev)
        (path / "README.md").write_text(card(facts), encoding="utf-8")

    def _write_members(self, path: Path, one: Candidate, facts: Facts) -> None:
        # links where the disk has them: no second copy, and they outlive the study that they came from
        for number in one.members:
            shutil.copytree(self.members[number].model, path / f"trial-{number}", copy_function=_link)
        members = [f"trial-{number}" for number in one.members]
        write_json(
            path / MEMBERS_FILE,
            {"way": one.way, "seq_len": self.seq_len, "members": members, "thresholds": one.dev.thresholds},
        )
        (path / "README.md").write_text(
            card(facts, usage_of_members(members, self.order.spec.task)), encoding="utf-8"
        )

    def _result(
        self, candidates: list[Candidate], best: int, singles: dict[int, EvaluationResult]
    ) -> dict[str, Any]:
        kept = [one for one in candidates if one.kept]
        won = max(kept, key=lambda one: one.dev.score).dev if kept else singles[best]
        write_json(self.folder.items("dev"), won.to_dict())
        rows = [
            {
                "way": Message.of("trial.single", trial=number).to_text(),
                "members": [number],
                "score": one.score,
                "verdict": "",
            }
            for number, one in sorted(singles.items(), key=lambda pair: -pair[1].score)
        ]
        delivered = next((one for one in candidates if one.test is not None), None)
        tests: dict[str, Any] = {}
        if delivered is not None and delivered.test is not None:
            tests["test"] = delivered.test.noted
            tests["comparisons"] = as_rows(delivered.compared)
        order = self.order
        result = {
            "outcome": "complete",
            "study": order.study,
            "kind": order.kind.value,
            "seq_len": self.seq_len,
            "trial": order.trial,
            "attempt": order.attempt,
            "model": order.spec.model,
            "prepared": order.prepared,
            "params": order.params,
            "score": won.score,
            "metrics": won.metrics,
            "ensemble": rows + [one.row() for one in candidates],
            "measured": {
                "evaluation_seconds": time.monotonic() - self.began,
                "host_peak_bytes": host_peak_bytes(),
            },
            "versions": versions(),
            **tests,
        }
        write_json(self.folder.result, result)
        return result


def _why_not(one: Candidate) -> Message:
    if len(one.members) < 2:
        return Message.of("trial.nothing-helped")
    if one.against is None:
        return Message.of("verdict.no-item-scores")
    return Message.of(f"words.claim-{one.against.claim.replace(' ', '-')}")


def _position_range(config: Any) -> str:
    distance = getattr(config, "max_relative_positions", -1)
    return str(
        Message.of("trial.range-up-to", distance=distance) if distance > 0 else Message.of("trial.range-own")
    )


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
