"""The study that another one starts from: `search.warmStartFrom`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optuna.storages import RDBStorage

from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.trials import read_trials
from coref_k8s.store import Store
from coref_k8s.study.parameters import needed
from coref_k8s.study.spec import StudySpec


@dataclass(frozen=True)
class SourceStudy:
    """A study of the same database, with the trials of the lengths that have a complete one."""

    spec: StudySpec
    lengths: dict[int, list[TrialRecord]]

    def offers(self, seq_len: int, *, first: bool) -> list[TrialRecord]:
        """Return what a length starts from: the trials of that length.

        The `first` length of a study, which has no shorter one to start from, takes the nearest instead.
        """
        if seq_len in self.lengths or not first:
            return self.lengths.get(seq_len, [])
        return self.lengths[min(self.lengths, key=lambda one: (abs(math.log(one / seq_len)), one))]


def source_study(store: Store, storage: RDBStorage, namespace: str, name: str) -> SourceStudy:
    """Return a study to start from. Raises RequestError when there is none or it has nothing to offer."""
    try:
        spec = store.get_study(namespace, name).spec
    except NotFoundError as error:
        raise RequestError("search.no-source", why=error.message) from error
    found = {n: read_trials(storage, name, n, namespace, needed=needed(spec, n)) for n in spec.seq_lengths}
    useful = {n: t for n, t in found.items() if any(one.state is TrialState.COMPLETE for one in t)}
    if not useful:
        raise RequestError("search.source-is-empty", study=name)
    return SourceStudy(spec, useful)
