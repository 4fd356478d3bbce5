"""One warm Optuna study per sequence length: asking, telling, reading, pruning.

The controller keeps it open, since a cold one pays 0.9 s to load 1,000 trials (see `warm.py`).
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from coref_k8s.search.gp import GPSampler
from coref_k8s.search.prior import PriorTrial
from coref_k8s.search.pruners import make_pruner
from coref_k8s.search.records import METRICS_ATTR, REASON_ATTR, TrialRecord, TrialState, ranked
from coref_k8s.search.rows import TrialRows
from coref_k8s.search.samplers import make_sampler
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.storage import FINALISTS, guarded, optuna_study_name
from coref_k8s.search.warm import WarmStudy
from coref_k8s.search.wilcoxon import clearly_worse, items_attr
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message

if TYPE_CHECKING:
    from coref_k8s.search.finalist_study import FinalistStudy

#: Optuna's states by ours.
STATES = {
    OptunaState.WAITING: TrialState.WAITING,
    OptunaState.RUNNING: TrialState.RUNNING,
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.PRUNED: TrialState.PRUNED,
    OptunaState.FAIL: TrialState.FAILED,
}


class LengthStudy:
    """The trials of one length. Every method may raise StorageError. One process at a time may ask."""

    warm_type: type[WarmStudy] = WarmStudy

    def __init__(
        self,
        storage: RDBStorage,
        spec: StudySpec,
        study: str,
        seq_len: int,
        namespace: str = "",
        *,
        on_ask: Callable[[float], None] = lambda _seconds: None,
        part: str = "",
    ) -> None:
        self._on_ask = on_ask
        self._place = (study, seq_len, namespace)
        self.spec = spec
        self.seq_len = seq_len
        self._records: list[TrialRecord] = []
        self.storage = self._storage = storage
        self._distributions = distributions(space_for(spec, seq_len))
        with guarded(), _quiet():
            self._warm = self.warm_type(
                storage, optuna_study_name(namespace, study, seq_len, part), make_pruner(spec)
            )

    def finalists(self) -> FinalistStudy:
        """Open the runs of this length's finalists."""
        from coref_k8s.search.finalist_study import FinalistStudy

        return FinalistStudy(self._storage, self.spec, *self._place)

    def ask(self, *, refresh: bool = True, prior: Sequence[PriorTrial] = ()) -> TrialRecord:
        """Open a new trial and return it with its parameters; enqueued ones come first.

        `prior` is what other lengths or studies have learnt, moved into this space (`warmstart.prior_of`).
        `refresh=False` asks on what the last `trials` has read, for asking many at once.
        """
        began = time.monotonic()
        if refresh:
            self.trials()
        with guarded(), _quiet():
            # A sampler seeded by what was drawn before: a resumed study goes on as if never interrupted,
            # where one seeded once would draw its first parameters a second time.
            drawn = sum(record.state is not TrialState.WAITING for record in self._records)
            sampler = make_sampler(self.spec, self.seq_len, drawn, prior)
            record = to_record(self.seq_len, self._warm.ask(sampler, self._distributions))
        self._put(record)
        self._on_ask(time.monotonic() - began)
        return record

    def whole(self, record: TrialRecord) -> TrialRecord:
        """Return an open trial with all its parameters, drawing those that a killed `ask` left out."""
        if not record.open or self._distributions.keys() <= record.params.keys():
            return record
        with guarded(), _quiet():
            before = self._records[: record.number]
            drawn = sum(known.state is not TrialState.WAITING for known in before)
            self._warm.study.sampler = make_sampler(self.spec, self.seq_len, drawn)
            record = to_record(self.seq_len, self._warm.draw(record.number, self._distributions))
        self._put(record)
        return record

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Let a later `ask` return these parameters; what the space does not hold is sampled."""
        known = {k: v for k, v in params.items() if k in self._distributions}
        self.trials()
        with guarded(), _quiet():
            self._warm.enqueue(known)
        self.trials()

    def complete(self, number: int, value: float) -> None:
        """Close a trial with its score; closed already is fine."""
        self._close(number, OptunaState.COMPLETE, [value])

    def prune(self, number: int) -> None:
        """Close a trial as pruned, with its last reported score; closed already is fine."""
        reported = self._record(number).intermediate
        self._close(number, OptunaState.PRUNED, [reported[max(reported)]] if reported else None)

    def fail(self, number: int, reason: Message) -> None:
        """Close a trial as failed; closed already is fine."""
        trial_id = self._record(number).trial_id
        with guarded():
            try:
                self._storage.set_trial_user_attr(trial_id, REASON_ATTR, reason.to_text())
            except UpdateFinishedTrialError:
                return
        self._close(number, OptunaState.FAIL, None)

    def should_prune(self, record: TrialRecord) -> bool:
        """Return whether the pruner gives the trial up; never before its warm-up has ended."""
        if not record.intermediate or not record.open:
            return False
        done = max(record.intermediate) / self.spec.training.evaluations
        if done <= float(record.params.get("warmup_ratio", 0.0)) or done >= 1:
            return False
        if self.spec.search.pruner == "wilcoxon":
            return self._worse_item_by_item(record)
        frozen = self._warm.study_trial(record.number)
        return not frozen.state.is_finished() and self._warm.pruner.prune(self._warm.study, frozen)

    def _worse_item_by_item(self, record: TrialRecord) -> bool:
        """Whether the items of the last evaluation show that a trial is worse than the best one was then."""
        items = items_attr(max(record.intermediate))
        best = next(iter(ranked(self._records)), None)
        if best is None or items not in best.attrs:
            return False
        with guarded():
            mine = self._warm.facts(record.number)
        return clearly_worse(mine.get(items, {}), best.attrs[items])

    def expected_gain(self) -> float | None:
        """Return by how much one more trial is expected to improve on the best (score); None while too little is known.

        What the Gaussian process says of the trials that the last `trials` has read, whichever sampler asks.
        """
        startup = self.spec.search.startup_trials
        sampler = GPSampler(self._distributions, self.seq_len, seed=self.spec.seed, startup=startup)
        return sampler.expected_gain(self._warm.study)

    def trials(self) -> list[TrialRecord]:
        """Return every trial by number. An open one has its reports, its other metrics only once it has closed."""
        with guarded(), _quiet():
            found = self._warm.refresh()
        if len(self._warm.ids) < len(self._records):
            self._records.clear()
        for frozen in found.trials:
            self._put(to_record(self.seq_len, frozen))
        for number, step, value in found.reports:
            record = self._records[number]
            self._records[number] = replace(record, intermediate={**record.intermediate, step: value})
        return list(self._records)

    def _put(self, record: TrialRecord) -> None:
        if record.number == len(self._records):
            self._records.append(record)
        elif record.number < len(self._records):
            self._records[record.number] = record

    def _record(self, number: int) -> TrialRecord:
        if number >= len(self._records):
            self.trials()
        return self._records[number]

    def _close(self, number: int, state: OptunaState, values: list[float] | None) -> None:
        trial_id = self._record(number).trial_id
        with guarded(), suppress(UpdateFinishedTrialError):
            self._storage.set_trial_state_values(trial_id, state, values)
        self.trials()


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def delete_trials(storage: BaseStorage, study: str, namespace: str = "") -> None:
    """Delete the trials of all lengths and the runs of their finalists; none there is fine."""
    of_study = re.compile(rf"{re.escape(optuna_study_name(namespace, study))}/\d+(/{FINALISTS})?")
    with guarded():
        for name in filter(of_study.fullmatch, optuna.get_all_study_names(storage)):
            with suppress(KeyError):
                optuna.delete_study(study_name=name, storage=storage)


def read_trials(
    storage: RDBStorage, study: str, seq_len: int, namespace: str = "", *, part: str = ""
) -> list[TrialRecord]:
    """Return the trials of one length (of a `part` of it) without opening a study for asking; none when it was not begun."""
    with guarded():
        try:
            study_id = storage.get_study_id_from_name(optuna_study_name(namespace, study, seq_len, part))
        except KeyError:
            return []
        return [to_record(seq_len, frozen) for frozen in TrialRows(storage, study_id).all()]


def to_record(seq_len: int, frozen: FrozenTrial) -> TrialRecord:
    """Return an Optuna trial as a record."""
    attrs = dict(frozen.user_attrs)
    value = frozen.values[0] if frozen.values else None
    if value is None and frozen.intermediate_values:
        value = frozen.intermediate_values[max(frozen.intermediate_values)]
    return TrialRecord(
        seq_len=seq_len,
        number=frozen.number,
        trial_id=frozen._trial_id,
        state=STATES[frozen.state],
        params=dict(frozen.params),
        value=value,
        intermediate=dict(frozen.intermediate_values),
        metrics=attrs.pop(METRICS_ATTR, {}),
        attrs=attrs,
        started_at=_utc(frozen.datetime_start),
        finished_at=_utc(frozen.datetime_complete),
    )


def _utc(moment: datetime | None) -> datetime | None:
    # Optuna stores naive local times
    return moment.astimezone(UTC) if moment is not None else None
