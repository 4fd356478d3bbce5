"""Lines of a log as people read them: an event in one short sentence, everything else as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from coref_k8s.report.metrics import metric
from coref_k8s.study.tasks import SHOWN
from coref_k8s.telemetry.bus import Section, message_of
from coref_k8s.wording import Lang, Message, has, say
from coref_k8s.wording.formats import UNKNOWN, parameter, score

#: What every event carries, or what the name of its job says before it.
_COMMON = {
    "ts",
    "section",
    "study",
    "study_uid",
    "kind",
    "seq_len",
    "trial",
    "attempt",
    "message",
    "why",
    "code",
    "values",
}


def event_of(line: str) -> dict[str, Any] | None:
    """Return the event that a line is; None for other text."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "section" in event else None


def events_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the events among the lines of a log."""
    return [event for line in lines if (event := event_of(line)) is not None]


def readable(line: str, lang: Lang) -> str:
    """Return a line of a job's log for a person, with its time of day here; the event itself stays in the bus."""
    name, bar, rest = line.partition(" | ")
    event = event_of(rest) if bar and not line.startswith("{") else event_of(line)
    if event is None:
        return line
    job = f"{name} | " if rest and not line.startswith("{") else ""
    told = _SENTENCES.get(str(event["section"]), _other)(event, lang)
    return f"{job}{_time(event)} {told}"


def _time(event: Mapping[str, Any]) -> str:
    try:
        return f"{datetime.fromisoformat(str(event['ts'])).astimezone():%H:%M:%S}"
    except (KeyError, ValueError):
        return "--:--:--"


def _begin(event: Mapping[str, Any], lang: Lang) -> str:
    params = ", ".join(
        f"{name} {parameter(value)}" for name, value in dict(event.get("params") or {}).items()
    )
    if not event.get("steps"):  # the untuned model, which is only scored
        return say("live.log-untuned", lang)
    code = "live.log-resumed" if event.get("step") else "live.log-begin"
    return say(code, lang, step=event.get("step"), steps=event.get("steps"), params=params)


def _step(event: Mapping[str, Any], lang: Lang) -> str:
    loss = event.get("loss")
    values = {"step": event.get("step"), "steps": event.get("steps"), "lr": event.get("learning_rate")}
    told = say("live.log-step", lang, loss=UNKNOWN if loss is None else f"{loss:.2f}", **values)
    speed, seconds = event.get("tokens_per_second"), event.get("step_seconds")
    if speed:
        told += f", {say('live.speed', lang, n=speed)}"
    if seconds and event.get("steps"):
        told += f", {say('live.left-short', lang, span=(event['steps'] - event['step']) * seconds)}"
    return told


def score_told(value: float | None, few: bool) -> Message:
    """Return `score 0.310`, or that it rests on too few items to be told."""
    return Message.of("live.no-score") if few else Message.of("live.score", score=value)


def _score(event: Mapping[str, Any]) -> Message:
    return score_told(event.get("score"), "score" in event.get("not_given", ()))


def _evaluation(event: Mapping[str, Any], lang: Lang) -> str:
    shown = dict.fromkeys(name for names in SHOWN.values() for name in names)
    hidden = event.get("not_given", ())
    few = [
        f"{metric(name, lang)} {score(event[name])}"
        for name in shown
        if event.get(name) is not None and name not in hidden
    ]
    values = {"step": event.get("step"), "split": event.get("split", "dev"), "score": _score(event)}
    return say("live.log-eval" if few else "live.log-eval-few", lang, metrics=", ".join(few), **values)


def _end(event: Mapping[str, Any], lang: Lang) -> str:
    outcome = str(event.get("outcome") or event.get("state") or "")
    why = message_of(event) or Message.load(event.get("reason"))
    code = f"live.log-end-{outcome}"
    if has(code):
        return say(code, lang, score=_score(event), why=why.say(lang) or "?")
    return f"{outcome} {why.say(lang)}".strip()


def _data(event: Mapping[str, Any], lang: Lang) -> str:
    code = f"live.stage-{event.get('stage')}"
    stage = say(code, lang) if has(code) else str(event.get("stage", ""))
    done, total = event.get("done") or 0, event.get("total")
    return say("live.data-of" if total else "live.data", lang, stage=stage, done=done, total=total)


def _verdict(event: Mapping[str, Any], lang: Lang) -> str:
    values = {name: event.get(name) for name in ("seq_len", "winner", "dev_score", "test_score")}
    return say("live.log-verdict", lang, **values)


def _warning(event: Mapping[str, Any], lang: Lang) -> str:
    return say("words.warning", lang, message=message_of(event).say(lang))


def _other(event: Mapping[str, Any], lang: Lang) -> str:
    """Return an event of a kind that has no sentence of its own: its name, its words, its plain values."""
    facts = [
        f"{name} {parameter(value)}"
        for name, value in event.items()
        if name not in _COMMON and value is not None and not isinstance(value, dict | list)
    ]
    return " ".join(part for part in (str(event["section"]), message_of(event).say(lang), *facts) if part)


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any], Lang], str]] = {
    Section.DATASET_PROGRESS: _data,
    Section.TRIAL_BEGIN: _begin,
    Section.TRAIN_STEP: _step,
    Section.EVAL_STREAM: _evaluation,
    Section.TRIAL_END: _end,
    Section.VERDICT: _verdict,
    Section.WARNING: _warning,
    Section.OUTPUT: lambda event, _: str(event.get("message", "")),
}
