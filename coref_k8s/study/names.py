"""Names of studies and of their jobs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum

from coref_k8s.errors import RequestError
from coref_k8s.wording import Message

#: Longest study name (characters): leaves room for what `job_name` adds in a 63-character Job name.
MAX_NAME = 40

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Kind(StrEnum):
    """What a job does."""

    PREPARE = "prepare"
    TRIAL = "trial"
    FINALIST = "finalist"
    VERDICT = "verdict"

    def numbered(self, number: int) -> Message:
        """Return `trial 3`, or of a finalist `run 3`."""
        return Message.of("words.run-number" if self is Kind.FINALIST else "words.trial-number", n=number)


#: Kinds of jobs that need no GPU.
WITHOUT_GPU = frozenset({Kind.PREPARE, Kind.VERDICT})


def job_name(study: str, kind: Kind, seq_len: int | None, trial: int | None, attempt: int) -> str:
    """Return `<study>-<len>-<trial>-<attempt>`, or the name of a job that is no trial.

    A finalist's run is `<study>-<len>-finalist<run>-<attempt>`, a verdict `<study>-<len>-verdict-<attempt>`, a preparation
    `<study>-prepare-<attempt>`. No two jobs of a namespace share a name, whatever their studies are called: the last part
    but one is a number for a trial alone and names every other kind, a kind has a fixed number of parts behind
    the study's name, and none of these parts has a `-` in it. So a name could be read from its end; what a job is stands in
    its labels or its order all the same.
    """
    what = {
        Kind.TRIAL: f"{seq_len}-{trial}",
        Kind.FINALIST: f"{seq_len}-finalist{trial}",
        Kind.VERDICT: f"{seq_len}-verdict",
        Kind.PREPARE: "prepare",
    }
    return f"{study}-{what[kind]}-{attempt}"


def study_uid(created_at: datetime) -> str:
    """Return what tells a study from others that had its name, before it or elsewhere: the moment of its creation."""
    return f"{created_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"


def check_name(name: str) -> str:
    """Return `name` when it can name a study, its Jobs and its files; raise RequestError otherwise."""
    if len(name) > MAX_NAME:
        raise RequestError("study.name-too-long", name=name, length=len(name), most=MAX_NAME)
    if not _NAME.fullmatch(name):
        raise RequestError("study.name-not-a-label", name=name)
    return name
