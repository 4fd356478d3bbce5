"""Which runs follow a length's search: its best trials again with fresh seeds, and what they have to beat.

Pure: no database. Every seed is used by every candidate, so that differences between them are paired.
See docs/decisions/040-finalists.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from coref_k8s.search.records import ROLE_ATTR, SEED_ATTR, TRIAL_ATTR, TrialRecord, TrialState, ranked
from coref_k8s.search.space import default_params
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message


class Role(StrEnum):
    """What a run stands for."""

    TRIAL = "trial"
    """One of the best trials, again."""
    DEFAULTS = "defaults"
    """The middle of the search space: what one gets without searching."""
    UNTUNED = "untuned"
    """The model as it came, without training."""


#: What a run is known by: its role, its trial, its seed.
Key = tuple[str, int | None, int]


@dataclass(frozen=True)
class Run:
    """One run to be made."""

    role: Role
    seed: int
    of_trial: int | None = None
    """Number of the trial that is run again."""
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What makes it the same run."""
        return (self.role.value, self.of_trial, self.seed)


def key_of(record: TrialRecord) -> Key:
    """Return the key of a run that the storage has."""
    attrs = record.attrs
    return (str(attrs[ROLE_ATTR]), attrs.get(TRIAL_ATTR), int(attrs[SEED_ATTR]))


def stands_for(record: TrialRecord) -> Message:
    """Return which trial a run runs again, or what else it stands for."""
    trial = record.attrs.get(TRIAL_ATTR)
    if trial is not None:
        return Kind.TRIAL.numbered(trial)
    return Message.of(f"words.role-{record.attrs[ROLE_ATTR]}")


def fresh_seeds(spec: StudySpec, seq_len: int) -> list[int]:
    """Return the seeds of a length's finalists: fixed by the request's own, below 2**31."""
    return [
        zlib.crc32(f"{spec.seed}/finalist/{seq_len}/{n}".encode()) & 0x7FFFFFFF
        for n in range(spec.search.finalist_seeds)
    ]


def wanted_runs(spec: StudySpec, seq_len: int, trials: Sequence[TrialRecord]) -> list[Run]:
    """Return the runs of a length in the order in which they begin; none without a complete trial.

    The untuned model comes first, since it costs least; then every candidate once a seed, so that whatever
    ends the study early leaves comparable runs behind.
    """
    best = ranked(trials)[: spec.search.finalists]
    if not best:
        return []
    seeds = fresh_seeds(spec, seq_len)
    middle = default_params(spec, seq_len)
    runs = [Run(Role.UNTUNED, seeds[0])]
    for seed in seeds:
        runs += [Run(Role.TRIAL, seed, trial.number, dict(trial.params)) for trial in best]
        runs.append(Run(Role.DEFAULTS, seed, None, middle))
    return runs


def planned_runs(spec: StudySpec) -> int:
    """Return how many runs a length will have, once enough trials are complete; 0 without finalists."""
    search = spec.search
    return (search.finalists + 1) * search.finalist_seeds + 1 if search.finalists else 0


def missing_runs(wanted: Sequence[Run], runs: Iterable[TrialRecord]) -> list[Run]:
    """Return the wanted runs that were not begun; one that was given up may be wanted again."""
    there = {key_of(run) for run in runs if run.state is not TrialState.PRUNED}
    return [run for run in wanted if run.key not in there]


def surplus_runs(wanted: Sequence[Run], runs: Iterable[TrialRecord]) -> set[int]:
    """Return the open runs (numbers) whose trial is no finalist any more."""
    keys = {run.key for run in wanted}
    return {run.number for run in runs if run.open and key_of(run) not in keys}
