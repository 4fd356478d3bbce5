"""What a length learns from elsewhere: from the study's other lengths, and from the study that `search.warmStartFrom` names."""

from __future__ import annotations

from functools import cached_property

from coref_k8s.controller.memory import StudyMemory
from coref_k8s.search.carrying import prior_of, warm_start
from coref_k8s.search.prior import PRIOR_UNTIL, PriorTrial
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.source_study import SourceStudy, source_study
from coref_k8s.store import Store


class Carrier:
    """Carries results to where they help; what was carried once is remembered. Methods raise StorageError."""

    def __init__(self, memory: StudyMemory, store: Store) -> None:
        self._memory, self._store = memory, store
        self._moved: dict[tuple[int, int], dict[int, PriorTrial | None]] = {}
        self._elsewhere: dict[int, list[PriorTrial]] = {}

    def offer(self, seq_len: int, source: int | None) -> None:
        """Let a length try the best parameters of a shorter one (None: of the other study) first."""
        memory, spec = self._memory, self._memory.study.spec
        if source is not None:
            carried = warm_start(memory.lengths[source].records, spec, seq_len)
        else:
            carried = warm_start(self._offered(seq_len), spec, seq_len, source=self._other.spec)
        for params in carried:
            memory.lengths[seq_len].study.enqueue(params)

    def prior(self, seq_len: int) -> list[PriorTrial]:
        """Return what other lengths have learnt so far, and what the study has that this one starts from."""
        memory, spec = self._memory, self._memory.study.spec
        prior: list[PriorTrial] = []
        if len(memory.lengths[seq_len].records) >= PRIOR_UNTIL:
            return prior
        if spec.search.warm_start:
            for other, known in memory.lengths.items():
                if other != seq_len:
                    prior += self._moved_from(other, known.records, seq_len)
        if spec.search.warm_start_from is not None:
            if seq_len not in self._elsewhere:
                offered = self._offered(seq_len)
                self._elsewhere[seq_len] = prior_of(offered, spec, seq_len, source=self._other.spec)
            prior += self._elsewhere[seq_len]
        return prior

    def _moved_from(self, other: int, records: list[TrialRecord], seq_len: int) -> list[PriorTrial]:
        """Return the trials of another length as a prior; each is moved once, since an ended one does not change."""
        moved, spec = self._moved.setdefault((other, seq_len), {}), self._memory.study.spec
        for record in records:
            if record.number not in moved and record.state in (TrialState.COMPLETE, TrialState.PRUNED):
                moved[record.number] = next(iter(prior_of([record], spec, seq_len)), None)
        return [one for number in sorted(moved) if (one := moved[number]) is not None]

    def _offered(self, seq_len: int) -> list[TrialRecord]:
        spec = self._memory.study.spec
        first = not spec.search.warm_start or seq_len == spec.seq_lengths[0]
        return self._other.offers(seq_len, first=first)

    @cached_property
    def _other(self) -> SourceStudy:
        """The study that this one starts from, as it was when it was first needed."""
        name = self._memory.study.spec.search.warm_start_from
        assert name is not None
        storage = next(iter(self._memory.lengths.values())).study.storage
        return source_study(self._store, storage, self._memory.namespace, name)
