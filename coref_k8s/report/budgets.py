"""What a study may use and how much of it is used, in words: for the report and for `status`."""

from __future__ import annotations

from datetime import datetime

from coref_k8s.controller.view import StudyView
from coref_k8s.wording import Lang, Message


def budgets(view: StudyView, now: datetime, lang: Lang = "en") -> str:
    """Return how much of each limit is used, and when a length ends before its trials; empty without limits."""
    limits, search, found = view.spec.limits, view.spec.search, []
    if limits.max_gpu_hours is not None:
        used = view.gpu_seconds / 3600
        found.append(Message.of("report.of-gpu-hours", used=used, most=limits.max_gpu_hours))
    if limits.max_duration is not None and view.started_at is not None:
        found.append(Message.of("report.of-time", used=view.counted(now), most=limits.max_duration))
    if search.patience is not None:
        found.append(Message.of("report.patience", n=search.patience))
    if search.min_gain is not None:
        found.append(Message.of("report.min-gain", gain=search.min_gain))
    limited = ", ".join(one.say(lang) for one in found)
    return Message.of("report.budget", limits=limited).say(lang) if found else ""
