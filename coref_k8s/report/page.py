"""The report: what was tried, what is best, what it cost, and how to do it again."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import Literal

from coref_k8s import __version__
from coref_k8s.controller.view import LengthView, StudyView
from coref_k8s.report.charts import Series, chart

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2530;--dim:#5b6775;--line:#d9dee4;--box:#f5f7f9}
@media(prefers-color-scheme:dark){:root{--bg:#12171d;--fg:#e4e9ee;--dim:#9aa6b2;--line:#2f3944;--box:#1b222a}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1180px;padding:20px;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,"Noto Sans KR","Noto Sans CJK KR","Apple SD Gothic Neo","Malgun Gothic",sans-serif}
h1{margin:0 0 4px}h2{margin:32px 0 8px;font-size:1.15rem}p{margin:4px 0;color:var(--dim)}
.cards{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));margin:16px 0}
.cards div{background:var(--box);border-radius:8px;padding:12px}.cards b{display:block;font-size:1.5rem}
.two{display:grid;gap:20px;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{padding:5px 10px;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left}
pre{background:var(--box);padding:12px;border-radius:8px;white-space:pre-wrap;overflow-wrap:anywhere}
figure{margin:0}svg{width:100%;height:auto}svg text{fill:var(--dim);font-size:12px}.grid{stroke:var(--line)}
polyline{fill:none;stroke-width:2}figcaption span{margin-right:14px;font-size:.9rem}figcaption span:before{content:"\\25cf ";color:var(--c)}
"""
_COLOURS = ("#2f7ed8", "#e07b00", "#2a9d5c", "#c2417c", "#8a63d2", "#7a8794")
_TEXT = {
    "history": ("Optimisation history", "최적화 이력"), "curves": ("Learning curves", "학습 곡선"),
    "lengths": ("Best score by length", "길이별 최고 점수"), "metrics": ("Metrics of the best trials", "최고 시도의 지표"),
    "params": ("Parameters of the best trials", "최고 시도의 매개변수"), "cost": ("Cost", "비용"),
    "again": ("Do it again", "재현하기"), "trial": ("trial", "시도"), "score": ("score", "점수"),
    "evaluation": ("evaluation", "평가"), "tokens": ("tokens", "토큰"), "done": ("trials done", "끝난 시도"),
    "best": ("best score", "최고 점수"), "gpu": ("GPU hours", "GPU 시간"), "wasted": ("without a result", "결과 없는 시간"),
    "metric": ("metric", "지표"), "interval": ("95 % interval", "95 % 구간"), "gain": ("gain by context", "문맥 이득"),
    "outcome": ("outcome", "결과"), "attempts": ("attempts", "실행"), "value": ("value", "값"), "parameter": ("parameter", "매개변수"),
}  # fmt: skip
_METRICS = ("coref_f1", "coref_top1", "coref_top5", "lbd_top1")


def report(view: StudyView, lang: Literal["en", "ko"] = "en") -> str:
    """Return one HTML file with everything in it: no script, nothing from elsewhere."""

    def say(key: str) -> str:
        return escape(_TEXT[key][lang == "ko"])

    best = max((one.best.value or 0.0 for one in view.lengths if one.best), default=None)
    planned = sum(one.planned for one in view.lengths)
    cards = [
        (say("best"), "–" if best is None else f"{best:.3f}"),
        (say("done"), f"{view.done} / {planned}"),
        (say("gpu"), f"{view.gpu_seconds / 3600:.2f}"),
        (f"GPU: {say('wasted')}", f"{view.wasted_gpu_seconds / 3600:.2f}"),
    ]
    boxes = "".join(f"<div>{name}<b>{value}</b></div>" for name, value in cards)
    history = [
        Series(f"{one.seq_len}", [(t.number, t.value) for t in one.trials if t.value is not None])
        for one in view.lengths
    ]
    curves = [
        Series(
            f"{one.seq_len} {_TEXT['trial'][lang == 'ko']} {t.number}",
            sorted(t.intermediate.items()),
            line=True,
        )
        for one in view.lengths
        for t in one.ranked[:3]
    ]
    scores = [
        (float(one.seq_len), one.best.value)
        for one in view.lengths
        if one.best and one.best.value is not None
    ]
    charts = [
        (say("history"), chart(history, _TEXT["trial"][lang == "ko"], "score")),
        (say("curves"), chart(curves, _TEXT["evaluation"][lang == "ko"], "score")),
        (say("lengths"), chart([Series("", scores, line=True)], _TEXT["tokens"][lang == "ko"], "score")),
    ]
    drawn = "".join(f"<section><h2>{title}</h2>{body}</section>" for title, body in charts if body)
    cost: dict[str, list[float]] = defaultdict(list)
    for attempt in view.attempts:
        cost[attempt.outcome.value].append(attempt.gpu_seconds)
    costs = [[name, str(len(each)), f"{sum(each) / 3600:.2f}"] for name, each in sorted(cost.items())]
    colours = "".join(
        f"circle.c{n}{{fill:{c}}}polyline.c{n}{{stroke:{c}}}.k{n}{{--c:{c}}}" for n, c in enumerate(_COLOURS)
    )
    spec = view.spec.model_dump_json(by_alias=True, exclude_defaults=True, indent=2)
    again = f"# coref-k8s {__version__}; request.yaml:\n{spec}\n\ncoref-k8s submit --file request.yaml"
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{escape(view.name)}</title>'
        '<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}{colours}</style></head><body><h1>{escape(view.name)}</h1>"
        f'<p>{escape(view.phase.value)} · {escape(view.spec.model)}</p><div class="cards">{boxes}</div>'
        f'<div class="two">{drawn}</div>'
        f"<h2>{say('metrics')}</h2>{_table([say('metric'), say('value'), say('interval'), say('gain')], _metrics(view.lengths))}"
        f"<h2>{say('params')}</h2>{_table([say('parameter'), say('value')], _parameters(view.lengths))}"
        f"<h2>{say('cost')}</h2>{_table([say('outcome'), say('attempts'), say('gpu')], costs)}"
        f"<h2>{say('again')}</h2><pre>{escape(again)}</pre></body></html>\n"
    )


def _metrics(lengths: tuple[LengthView, ...]) -> list[list[str]]:
    rows = []
    for one in lengths:
        if one.best is None:
            continue
        for name in _METRICS:
            found = one.best.metrics
            if name in found:
                low, high, gain = (found.get(f"{name}_{end}") for end in ("ci_low", "ci_high", "gain"))
                interval = f"{low:.3f} … {high:.3f}" if low is not None and high is not None else "–"
                rows.append([f"{one.seq_len} {name}", f"{found[name]:.3f}", interval, "–" if gain is None else f"{gain:+.3f}"])  # fmt: skip
    return rows


def _parameters(lengths: tuple[LengthView, ...]) -> list[list[str]]:
    return [
        [f"{one.seq_len} {name}", f"{value:.4g}" if isinstance(value, float) else str(value)]
        for one in lengths
        if one.best is not None
        for name, value in one.best.params.items()
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'
