"""A job's log as people read it: events in short, everything else as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from coref_k8s.telemetry.bus import Section, message_of
from coref_k8s.wording import Lang, has
from coref_k8s.wording.formats import parameter

#: Facts of an evaluation beside its metrics.
_EVALUATION = ("evaluation", "step", "split")


def events_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the events among the lines of a log."""
    return [event for line in lines if (event := _event(line)) is not None]


def readable(line: str, lang: Lang) -> str:
    """Return a line of a log for a person."""
    event = _event(line)
    if event is None:
        return line
    told = message_of(event).say(lang)
    hidden = {"ts", "section", "study", "kind", "seq_len", "trial", "message", "why", "code", "values"}
    # of an evaluation the metrics that have a name for people, not all hundred of them
    few = event.get("section") == Section.EVAL_STREAM
    facts = [
        f"{name} {parameter(value)}"
        for name, value in event.items()
        if name not in hidden
        and _plain(value)
        and (not few or name in _EVALUATION or has(f"words.metric-{name}"))
    ]
    time = str(event.get("ts", ""))[11:19]
    return " ".join([time, str(event.get("section", "")), *([told] if told else []), *facts])


def _plain(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
