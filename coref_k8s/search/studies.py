"""One length's trials as they are searched: asking for the next, giving hopeless ones up.

The controller keeps it open, since a cold one reads every trial anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from coref_k8s.search.finalist_study import FinalistStudy
from coref_k8s.search.gp import GPSampler
from coref_k8s.search.prior import PriorTrial
from coref_k8s.search.pruners import make_pruner
from coref_k8s.search.records import REASON_ATTR, TrialRecord, TrialState, ranked
from coref_k8s.search.samplers import make_sampler
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.storage import guarded
from coref_k8s.search.stored import HALF, optuna_study_name
from coref_k8s.search.trials import Trials, quiet
from coref_k8s.search.wilcoxon import clearly_worse, items_attr
from coref_k8s.study.parameters import needed
from coref_k8s.study.spec import StudySpec


class LengthStudy(Trials):
    """The trials of one length. Every method may raise StorageError. One process at a time may ask."""

    def __init__(
        self,
        storage: RDBStorage,
        spec: StudySpec,
        study: str,
        seq_len: int,
        namespace: str = "",
        *,
        on_ask: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        name, pruner = optuna_study_name(namespace, study, seq_len), make_pruner(spec)
        super().__init__(storage, name, seq_len, pruner, needed(spec, seq_len))
        self.spec = spec
        self._on_ask = on_ask
        self._place = (study, seq_len, namespace)
        self._distributions = distributions(space_for(spec, seq_len))

    def finalists(self) -> FinalistStudy:
        """Open the runs of this length's finalists."""
        return FinalistStudy(self.storage, self.spec, *self._place)

    def ask(
        self, *, refresh: bool = True, prior: Sequence[PriorTrial] = (), random: bool = False
    ) -> TrialRecord:
        """Open a new trial and return it with its parameters; enqueued ones come first.

        `prior` is what other lengths or studies have learnt, moved into this space (`carrying.prior_of`).
        `random` draws at random. `refresh=False` asks on what the last `trials` has read, for asking many at once.
        """
        began = time.monotonic()
        if refresh:
            self.trials()
        with guarded(), quiet():
            # A sampler seeded by what was drawn before: a resumed study goes on as if never interrupted,
            # where one seeded once would draw its first parameters a second time.
            waiting = sum(self._records[n].state is TrialState.WAITING for n in self._memory.open)
            drawn = len(self._records) - waiting
            sampler = make_sampler(self.spec, self.seq_len, drawn, prior, random=random)
            record = self._put(self._memory.ask(sampler, self._distributions))
        self._on_ask(time.monotonic() - began)
        return record

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Let a later `ask` return these parameters; what the space does not hold is sampled."""
        known = {k: v for k, v in params.items() if k in self._distributions}
        self.trials()
        with guarded(), quiet():
            self._memory.enqueue(known)
        self.trials()

    def _put(self, frozen: FrozenTrial) -> TrialRecord:
        record = super()._put(frozen)
        if record.reason.code == HALF:
            # read as failed already; its pod and everybody else are to see it, where the storage lets it be closed
            with suppress(UpdateFinishedTrialError):
                self.storage.set_trial_user_attr(record.trial_id, REASON_ATTR, record.reason.to_text())
                self.storage.set_trial_state_values(record.trial_id, OptunaState.FAIL)
        return record

    def should_prune(self, record: TrialRecord) -> bool:
        """Return whether the pruner gives the trial up; never before its warm-up has ended."""
        if not record.intermediate or not record.open:
            return False
        done = max(record.intermediate) / self.spec.training.evaluations
        if done <= float(record.params.get("warmup_ratio", 0.0)) or done >= 1:
            return False
        if self.spec.search.pruner == "wilcoxon":
            return self._worse_item_by_item(record)
        frozen = self._memory.trial(record.number)
        return not frozen.state.is_finished() and self._memory.pruner.prune(self._memory.study, frozen)

    def _worse_item_by_item(self, record: TrialRecord) -> bool:
        """Whether the items of the last evaluation show that a trial is worse than the best one was then."""
        items = items_attr(max(record.intermediate))
        best = next(iter(ranked(self._records)), None)
        if best is None or items not in best.attrs:
            return False
        with guarded():
            # read now: the records of open trials have no attributes
            mine = self.storage.get_trial_user_attrs(record.trial_id)
        return clearly_worse(mine.get(items, {}), best.attrs[items])

    def expected_gain(self) -> float | None:
        """Return by how much one more trial is expected to improve on the best (score); None while too little is known.

        What the Gaussian process says of the trials that the last `trials` has read, whichever sampler asks.
        """
        startup = self.spec.search.startup_trials
        sampler = GPSampler(self._distributions, self.seq_len, seed=self.spec.seed, startup=startup)
        return sampler.expected_gain(self._memory.study)
