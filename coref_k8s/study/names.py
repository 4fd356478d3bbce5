"""Names of studies and of their jobs."""

from __future__ import annotations

import re
from enum import StrEnum

from coref_k8s.errors import RequestError

#: Longest study name (characters): leaves room for `-<length>-<trial>-<attempt>` in a 63-character Job name.
MAX_NAME = 40

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Kind(StrEnum):
    """What a job does."""

    PREPARE = "prepare"
    TRIAL = "trial"
    FINALIST = "finalist"
    VERDICT = "verdict"


#: Kinds of jobs that need no GPU.
WITHOUT_GPU = frozenset({Kind.PREPARE, Kind.VERDICT})


def job_name(study: str, kind: Kind, seq_len: int | None, trial: int | None, attempt: int) -> str:
    """`<study>-<len>-<trial>-<attempt>`, with the kind in it unless it is a trial."""
    parts = [study]
    if kind is not Kind.TRIAL:
        parts.append(kind.value)
    parts += [str(part) for part in (seq_len, trial) if part is not None]
    return "-".join([*parts, str(attempt)])


def check_name(name: str) -> str:
    """Return `name` when it can name a study, its Jobs and its files; raise RequestError otherwise."""
    if len(name) > MAX_NAME:
        raise RequestError("study.name-too-long", name=name, length=len(name), most=MAX_NAME)
    if not _NAME.fullmatch(name):
        raise RequestError("study.name-not-a-label", name=name)
    return name
