"""What every section of the report is given: the study, the language and the moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape

from coref_k8s.controller.view import StudyView
from coref_k8s.report.texts import Lang, say
from coref_k8s.search.records import TrialRecord, TrialState


@dataclass(frozen=True)
class Context:
    """A study as it is shown."""

    view: StudyView
    lang: Lang
    now: datetime

    def plain(self, key: str, **values: object) -> str:
        """Return a text that is not escaped."""
        return say(self.lang, key, **values)

    def say(self, key: str, **values: object) -> str:
        """Return a text, escaped."""
        return escape(self.plain(key, **values))

    def about(self, key: str, **values: object) -> str:
        """Return an explanation as a paragraph."""
        return f'<p class="about">{self.say(key, **values)}</p>'

    def colour(self, seq_len: int) -> str:
        """Return the class of a length's colour."""
        return f"c{self.view.spec.seq_lengths.index(seq_len) % 6}"


def key_of(trial: TrialRecord) -> str:
    """Return the name under which the page's script follows a trial."""
    return f"{trial.seq_len}-{trial.number}"


def scored(trials: list[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that have a score: complete ones, and pruned ones with their last."""
    shown = (TrialState.COMPLETE, TrialState.PRUNED)
    return [one for one in trials if one.state in shown and one.value is not None]
