"""The section that shows when each trial ran: how full the study was, and where time went without a result."""

from __future__ import annotations

from datetime import datetime

from coref_k8s.report.charts import MOST, legend, polyline
from coref_k8s.report.context import Context, key_of
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.study.names import Kind
from coref_k8s.wording.formats import duration

_WIDTH, _LEFT, _RIGHT, _LANE, _BOTTOM = 560, 4, 4, 10, 22
_STYLES = {
    TrialState.COMPLETE: "c2", TrialState.PRUNED: "c5", TrialState.FAILED: "c3", TrialState.RUNNING: "c0",
}  # fmt: skip
#: Round spans (seconds) between two names on the axis.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)


def timeline(page: Context) -> str:
    """A bar a trial, trials of one lane never at the same time: as many lanes as ran beside each other."""
    begun = [(t.started_at, t) for t in [*page.view.trials, *page.view.runs] if t.started_at is not None]
    shown = sorted(begun, key=lambda pair: pair[0])[-MOST:]
    if not shown:
        return ""
    first = shown[0][0]
    whole = max((_end(one, page.now) - first).total_seconds() for _, one in shown) or 1.0
    free: list[datetime] = []
    bars = []
    for start, one in shown:
        lane = next((n for n, until in enumerate(free) if until <= start), len(free))
        free[lane : lane + 1] = [_end(one, page.now)]
        ends = ((start - first).total_seconds(), (_end(one, page.now) - first).total_seconds())
        left, right = (_LEFT + at / whole * (_WIDTH - _LEFT - _RIGHT) for at in ends)
        thin = " thin" if one.kind is Kind.FINALIST else ""
        style = f"bar {_STYLES.get(one.state, 'faint')}{thin}"
        y = lane * _LANE + _LANE / 2
        bars.append(polyline([(left, y), (max(right - 0.7, left + 0.5), y)], style, key_of(one)))
    height = len(free) * _LANE
    step = next((one for one in _STEPS if whole / one <= 5), 86_400 * max(1, round(whole / 86_400 / 5)))
    axis = []
    for at in range(0, int(whole) + 1, step):
        x = _LEFT + at / whole * (_WIDTH - _LEFT - _RIGHT)
        anchor = "start" if x < 30 else "end" if x > _WIDTH - 40 else "middle"
        axis.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
        axis.append(
            f'<text x="{x:.1f}" y="{height + 17}" text-anchor="{anchor}">{duration(at, page.lang)}</text>'
        )
    states = [state for state in _STYLES if any(one.state is state for _, one in shown)]
    names = [(_STYLES[state], page.plain(f"words.state-{state.value}")) for state in states]
    if page.view.runs:
        names.append(("thin", page.plain("report.finalists-run")))
    return (
        page.about("report.timeline-about")
        + f'<figure><svg class="plot line" viewBox="0 0 {_WIDTH} {height + _BOTTOM}" role="img">{"".join(axis)}{"".join(bars)}</svg>'
        + f"{legend(names)}</figure>"
    )


def _end(one: TrialRecord, now: datetime) -> datetime:
    return one.finished_at or now
