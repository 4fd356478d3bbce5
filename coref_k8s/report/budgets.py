"""What a study may use and how much of it is used, in words: for the report and for `status`."""

from __future__ import annotations

from datetime import datetime

from coref_k8s.controller.view import StudyView
from coref_k8s.report.html import duration
from coref_k8s.report.texts import say
from coref_k8s.report.verdict import Lang


def budgets(view: StudyView, now: datetime, lang: Lang = "en") -> str:
    """Return how much of each limit is used, and when a length ends before its trials; empty without limits."""
    limits, search, found = view.spec.limits, view.spec.search, []
    if limits.max_gpu_hours is not None:
        used = f"{view.gpu_seconds / 3600:.2f}"
        found.append(say(lang, "of_gpu_hours", used=used, most=f"{limits.max_gpu_hours:g}"))
    if limits.max_duration is not None and (elapsed := view.elapsed(now)) is not None:
        spans = {"used": duration(elapsed.total_seconds(), lang), "most": duration(limits.max_duration, lang)}
        found.append(say(lang, "of_time", **spans))
    if search.patience is not None:
        found.append(say(lang, "patience", n=search.patience))
    if search.min_gain is not None:
        found.append(say(lang, "min_gain", gain=f"{search.min_gain:g}"))
    return f"{say(lang, 'budget')}: {', '.join(found)}" if found else ""
