"""Builds the Grafana dashboards: `python -m charts.dashboards --write charts/coref-k8s/dashboards` (or `--check`).

Plain dictionaries of Grafana's dashboard model (schema 38, Grafana 10 and newer). A panel is one line here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

STUDY = 'namespace=~"$namespace", study=~"$study"'
LENGTH = f'{STUDY}, seq_len=~"$seq_len"'
TRIAL = f'{LENGTH}, kind=~"$kind", trial=~"$trial"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


#: Colours of Grafana's palette that mean the same everywhere.
GOOD, BAD, WARN, BUSY, IDLE, CUT = "green", "red", "orange", "blue", "text", "purple"
#: What a series is called -> its colour.
COLOURS = {
    "complete": GOOD, "succeeded": GOOD, "failed": BAD, "running": BUSY, "waiting": IDLE, "pruned": CUT,
    "out_of_memory": WARN, "disrupted": "yellow", "stopped": IDLE,
}  # fmt: skip
PHASES = {
    "Pending": IDLE, "Preparing": BUSY, "Running": BUSY, "Succeeded": GOOD, "Failed": BAD, "Cancelled": WARN,
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One panel: `queries` are pairs of expression and legend; width in 24ths of a row."""

    title: str
    queries: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    about: str = ""
    stacked: bool = False
    steps: Sequence[tuple[float, str]] = ()
    """Thresholds: from this value on, this colour; below the first, green."""
    empty: str = "no data"
    """What is shown while there is nothing to show."""
    decimals: int | None = None
    low: float | None = None


@dataclass(frozen=True)
class Row:
    """A heading over the panels that follow."""

    title: str


def stat(
    title: str,
    query: str,
    unit: str = "short",
    about: str = "",
    width: int = 4,
    steps: Sequence[tuple[float, str]] = (),
    empty: str = "–",
) -> Panel:
    """A single number."""
    return Panel(title, [(query, "")], "stat", unit, width, 4, about, steps=steps, empty=empty)


STUDIES: tuple[Panel | Row, ...] = (
    stat(
        "Studies at work", f'sum(coref_study_phase{{{STUDY}, phase=~"Preparing|Running"}})',
        about="Studies that prepare data or run trials.", empty="no study yet",
    ),
    stat(
        "Trials running",
        f'sum({{__name__=~"coref_study_(trials|finalist_runs)", {LENGTH}, state="running"}})',
        about="Trials and runs of finalists with a job, over all studies and lengths chosen.", empty="0",
    ),
    stat(
        "Trials done", f'sum(coref_study_trials{{{LENGTH}, state=~"complete|pruned|failed"}})',
        about="Trials with an outcome: complete, pruned or failed.", empty="0",
    ),
    stat("GPU time", f"sum(coref_study_gpu_seconds{{{STUDY}}})", "s", "Seconds times GPUs, running trials until now."),
    stat(
        "GPU time without a result",
        f'sum(coref_study_ended_gpu_seconds{{{STUDY}, outcome!="succeeded"}})',
        "s",
        "Ended attempts that were pruned, failed, ran out of memory, were disrupted or stopped.",
    ),
    stat(
        "Time left", f"max(coref_study_remaining_seconds{{{STUDY}}})", "s",
        "Estimate for the study that takes longest; known from its first complete trial on.",
        empty="not known yet",
    ),
    Row("Results"),
    Panel(
        "Progress",
        [
            (
                f'sum by (namespace, study, seq_len) (coref_study_trials{{{LENGTH}, state=~"complete|pruned|failed"}})'
                f" / sum by (namespace, study, seq_len) (coref_study_trials_planned{{{LENGTH}}})",
                "{{study}} {{seq_len}}",
            )
        ],
        "bargauge", "percentunit", about="Trials with an outcome, of those asked for.", empty="no study yet",
        steps=[(0, BUSY), (1, GOOD)],
    ),
    Panel(
        "Best score so far",
        [(f"max by (namespace, study, seq_len) (coref_study_best_score{{{LENGTH}}})", "{{study}} {{seq_len}}")],
        about="The highest score of a complete trial at each length (0 to 1).", unit="none", decimals=3,
        empty="no complete trial yet",
    ),
    Panel(
        "Score on test documents",
        [(f"max by (namespace, study, seq_len) (coref_study_test_score{{{LENGTH}}})", "{{study}} {{seq_len}}")],
        "bargauge", unit="none", decimals=3, low=0, steps=[(0, BUSY)], empty="not tested yet",
        about="Of what each length delivers: its finalists' winner, a final training or an ensemble (0 to 1).",
    ),
    Panel(
        "Better on test documents?",
        [
            (
                f"max by (namespace, study, seq_len, against, bound) (coref_study_test_difference{{{LENGTH}}})",
                "{{study}} {{seq_len}} – {{against}}: {{bound}}",
            )
        ],
        unit="none", decimals=3, empty="not tested yet",
        about="Score minus that of the untuned model, the defaults or the best single model, with its 95 % interval "
        "(dashed). Better is shown only where the whole interval lies above 0.",
    ),
    Panel(
        "Trials by state",
        [(f"sum by (state) (coref_study_trials{{{LENGTH}}})", "{{state}}")], stacked=True, unit="none", low=0,
        about="Over all studies and lengths chosen.",
    ),
    Panel(
        "Runs of finalists by state",
        [(f"sum by (state) (coref_study_finalist_runs{{{LENGTH}}})", "{{state}}")], stacked=True, unit="none", low=0,
        about="The best trials again with fresh seeds, the defaults and the untuned model beside them.",
        empty="no study has finalists",
    ),
    Panel(
        "Failed attempts by reason",
        [(f"sum by (reason) (coref_study_failed_attempts{{{STUDY}}})", "{{reason}}")], "bargauge", unit="none",
        about="Attempts, not trials: one that is started again and succeeds is counted here too.",
        steps=[(0, GOOD), (1, BAD)], low=0,
    ),
    Panel(
        "GPU time by outcome",
        [(f"sum by (outcome) (coref_study_ended_gpu_seconds{{{STUDY}}})", "{{outcome}}")], unit="s", stacked=True,
        low=0, about="Ended attempts, seconds times GPUs. All but succeeded gave no result.",
    ),
    Panel(
        "Phase of each study",
        [(f"max by (namespace, study, phase) (coref_study_phase{{{STUDY}}}) == 1", "{{study}}: {{phase}}")],
        "table", about="Every study that a controller has.", empty="no study yet",
    ),
    Row("Controller"),
    stat(
        "Controllers leading", "sum(coref_controller_leading)", about="One is right; none means that nothing moves.",
        width=6, steps=[(0, BAD), (1, GOOD), (2, BAD)], empty="no controller is scraped",
    ),
    stat(
        "Studies waiting to be looked at", "sum(coref_controller_queue_depth)", width=6,
        about="Depth of the queue; for long above 0 the controller does not keep up.", steps=[(0, GOOD), (10, WARN)],
    ),
    stat(
        "API server last heard", "max by (resource) (coref_controller_reflector_age_seconds)", "s",
        "Age of each watch; above two minutes something is wrong.", width=6,
        steps=[(0, GOOD), (60, WARN), (120, BAD)],
    ),
    stat(
        "Database errors", "sum(increase(coref_controller_database_errors_total[$__range]))",
        about="In the time shown.", width=6, steps=[(0, GOOD), (1, BAD)],
    ),
    Panel(
        "Time of a reconcile and of an ask (95th percentile)",
        [
            (
                f"histogram_quantile(0.95, sum by (le) (rate(coref_controller_{what}_seconds_bucket[$__rate_interval])))",
                what,
            )
            for what in ("reconcile", "ask")
        ],
        unit="s", low=0, about="Reconcile: one look at a study. Ask: the sampler chooses the parameters of a trial.",
        empty="nothing was asked in this time",
    ),
    Panel(
        "Requests to the Kubernetes API",
        [("sum by (verb, code) (rate(coref_controller_api_requests_total[$__rate_interval]))", "{{verb}} {{code}}")],
        unit="reqps", low=0, about="By verb and answer; code 0 is no answer.",
    ),
)  # fmt: skip

_WHO = "{{seq_len}} {{kind}} {{trial}}"
_NONE = "no trial runs in this time"


def _of(name: str) -> str:
    return f"coref_trial_{name}{{{TRIAL}}}"


TRIALS: tuple[Panel | Row, ...] = (
    Row("Learning"),
    Panel(
        "Steps done", [(f"{_of('step')} / {_of('steps')}", _WHO)], "bargauge", "percentunit",
        about="Optimiser steps of the running trials, of those planned.", empty="no trial is running",
        steps=[(0, BUSY), (1, GOOD)],
    ),
    Panel(
        "Score", [(_of("metric").replace("}", ', metric="score"}'), _WHO)], unit="none", decimals=3, empty=_NONE,
        about="The objective at each evaluation (0 to 1).",
    ),
    Panel(
        "Training loss", [(_of("loss"), _WHO)], about="Nats, mean since the last report.", unit="none", decimals=2,
        empty=_NONE,
    ),
    Panel(
        "Metrics of the last evaluation",
        [(_of("metric").replace("}", ', metric!="score"}'), f"{_WHO} {{{{metric}}}}")], unit="none", decimals=3,
        about="What the score is made of, by task: Coref and LAMBADA with what context adds to them (gain), or CoNLL, LEA, "
        "mentions and gold mentions of coreference.",
        empty=_NONE,
    ),
    Panel("Learning rate", [(_of("learning_rate"), _WHO)], unit="sci", about="Of the head; lower layers decay from it.", empty=_NONE),
    Row("Speed"),
    Panel(
        "Throughput (tokens per second)", [(_of("tokens_per_second"), _WHO)], low=0, empty=_NONE,
        about="Real tokens trained on per second, padding not counted.",
    ),
    Panel(
        "Time of a step", [(_of("step_seconds"), _WHO)], unit="s", low=0, empty=_NONE,
        about="Mean time of an optimiser step since the last report.",
    ),
    Panel(
        "Waiting for data", [(_of("data_wait_ratio"), _WHO)], unit="percentunit", empty=_NONE,
        about="Share of the time in which training waited for data; above 10 % the volume or the CPU request is too slow.",
    ),
    Panel(
        "Time of an evaluation and of a checkpoint",
        [
            (_of("evaluation_seconds"), f"{_WHO} evaluation"),
            (_of("checkpoint_seconds"), f"{_WHO} checkpoint"),
        ],
        unit="s", low=0, about="The last one of each.", empty=_NONE,
    ),
    Row("Memory and disk"),
    Panel(
        "Device memory: peak against prediction",
        [
            (_of("device_memory_peak_bytes"), f"{_WHO} peak"),
            (_of("device_memory_predicted_bytes"), f"{_WHO} predicted"),
            (_of("device_memory_budget_bytes"), f"{_WHO} budget"),
        ],
        unit="bytes", low=0, about="The GPU; on CPU the process, which no prediction was made for.", empty=_NONE,
    ),
    Panel(
        "Host memory: peak against limit",
        [
            (_of("host_memory_peak_bytes"), f"{_WHO} peak"),
            (_of("host_memory_limit_bytes"), f"{_WHO} limit"),
        ],
        unit="bytes", low=0, about="Resident memory of the process; at the limit the kernel kills it (exit 137).", empty=_NONE,
    ),
    Panel(
        "Checkpoints written, and batches halved for memory",
        [
            (_of("checkpoints_total"), f"{_WHO} checkpoints"),
            (_of("oom_retries_total"), f"{_WHO} halved"),
        ],
        unit="none", low=0, about="A halved batch costs speed: a larger memory tier may be cheaper.", empty=_NONE,
    ),
    Panel(
        "Free space of the data volume",
        [(f"min({_of('volume_free_bytes')} / {_of('volume_size_bytes')})", "free")],
        unit="percentunit", about="Seen by the trials that run; below 10 % an alert fires.", empty=_NONE,
    ),
)  # fmt: skip


def variable(name: str, query: str) -> Json:
    """A variable over a label; All matches everything, the empty namespace of one machine included."""
    return {
        "name": name,
        "type": "query",
        "label": {"seq_len": "length"}.get(name, name),
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 3 if name in ("seq_len", "trial") else 1,
    }


def _target(query: str, legend: str, kind: str, letter: str) -> Json:
    table = kind == "table"
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": query,
        "legendFormat": legend or "__auto",
        "instant": kind != "timeseries",
        "range": kind == "timeseries",
        "format": "table" if table else "time_series",
    }


def _colour(name: str, colour: str) -> Json:
    return _override({"id": "byName", "options": name}, "color", {"mode": "fixed", "fixedColor": colour})


def _override(matcher: Json, key: str, value: Any) -> Json:
    return {"matcher": matcher, "properties": [{"id": key, "value": value}]}


def _overrides(panel: Panel) -> list[Json]:
    """Series that mean the same look the same: outcomes by colour, what was planned as a dashed line."""
    if panel.kind == "table":
        mappings = [
            {"type": "value", "options": {name: {"color": colour, "index": place}}}
            for place, (name, colour) in enumerate(PHASES.items())
        ]
        matcher = {"id": "byName", "options": "phase"}
        return [
            _override(matcher, "mappings", mappings),
            _override(matcher, "custom.cellOptions", {"type": "color-text"}),
        ]
    if panel.kind != "timeseries":
        return []
    legends = [legend for _, legend in panel.queries]
    if legends in (["{{state}}"], ["{{outcome}}"]):
        return [_colour(name, colour) for name, colour in COLOURS.items()]
    if any(one.endswith("{{bound}}") for one in legends):
        style = {"fill": "dash", "dash": [6, 6]}
        return [_override({"id": "byRegexp", "options": "/: (low|high)$/"}, "custom.lineStyle", style)]
    dashed = [word for word in ("predicted", "budget", "limit") if any(one.endswith(word) for one in legends)]
    return [
        _override(
            {"id": "byRegexp", "options": f"/{word}$/"},
            "custom.lineStyle",
            {"fill": "dash", "dash": [4, 8] if word == "predicted" else [10, 10]},
        )
        for word in dashed
    ]


def _options(panel: Panel) -> Json:
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        named = "{{" in panel.queries[0][0] or " by (" in panel.queries[0][0]
        return {
            "reduceOptions": reduce, "graphMode": "none", "textMode": "value_and_name" if named else "value",
            "colorMode": "value" if panel.steps else "none",
        }  # fmt: skip
    if panel.kind == "bargauge":
        return {
            "reduceOptions": reduce, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True,
            "valueMode": "color",
        }  # fmt: skip
    if panel.kind == "table":
        return {"showHeader": True, "sortBy": [{"displayName": "study", "desc": False}]}
    # with its last value beside each name; a few series need no table
    many = any("{{" in legend for _, legend in panel.queries)
    return {
        "legend": {"displayMode": "table" if many else "list", "placement": "bottom", "calcs": ["lastNotNull"] if many else []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }  # fmt: skip


def _panel(panel: Panel, number: int, x: int, y: int) -> Json:
    defaults: Json = {"unit": panel.unit, "noValue": panel.empty}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 2,
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
    if panel.unit == "percentunit":
        defaults |= {"min": 0, "max": 1}
    if panel.low is not None:
        defaults["min"] = panel.low
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.kind in ("stat", "bargauge"):
        first, *rest = panel.steps or [(0, IDLE)]
        steps = [{"value": None, "color": first[1]}, *({"value": at, "color": colour} for at, colour in rest)]
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    body: Json = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [
            _target(q, legend, panel.kind, chr(65 + i)) for i, (q, legend) in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel)},
        "options": _options(panel),
    }
    if panel.kind == "table":
        order = {"namespace": 0, "study": 1, "phase": 2}
        organise = {"excludeByName": {"Time": True, "Value": True}, "indexByName": order}
        body["transformations"] = [{"id": "organize", "options": organise}]
    return body


def _row(row: Row, number: int, y: int) -> Json:
    place = {"x": 0, "y": y, "w": 24, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _placed(panels: Sequence[Panel | Row]) -> list[Json]:
    """Lay the panels out, left to right and top to bottom."""
    placed: list[Json] = []
    x, y, tallest = 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if isinstance(panel, Row):
            placed.append(_row(panel, number, y + tallest))
            x, y, tallest = 0, y + tallest + 1, 0
            continue
        if x + panel.width > 24:
            x, y, tallest = 0, y + tallest, 0
        placed.append(_panel(panel, number, x, y))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return placed


def dashboard(
    uid: str, title: str, about: str, panels: Sequence[Panel | Row], variables: Sequence[Json]
) -> Json:
    """Return a dashboard."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source"}
    others = [other for other in ("studies", "trial") if f"coref-{other}" != uid]
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["coref-k8s"],
        "schemaVersion": 38,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "links": [
            {
                "type": "link",
                "title": other.capitalize(),
                "url": f"/d/coref-{other}?${{namespace:queryparam}}&${{study:queryparam}}&${{seq_len:queryparam}}",
                "keepTime": True,
            }
            for other in others
        ],
        "panels": _placed(panels),
    }


def dashboards() -> dict[str, Json]:
    """Return every dashboard by its file name."""
    namespace = variable("namespace", "label_values(coref_study_phase, namespace)")
    study = variable("study", 'label_values(coref_study_phase{namespace=~"$namespace"}, study)')
    length = variable("seq_len", f"label_values(coref_study_trials{{{STUDY}}}, seq_len)")
    kind = variable("kind", f"label_values(coref_trial_step{{{LENGTH}}}, kind)")
    trial = variable("trial", f'label_values(coref_trial_step{{{LENGTH}, kind=~"$kind"}}, trial)')
    return {
        "studies.json": dashboard(
            "coref-studies",
            "coref-k8s: Studies",
            "How far studies are, what is best so far, what failed and what it costs; and the controller's health.",
            STUDIES,
            [namespace, study, length],
        ),
        "trial.json": dashboard(
            "coref-trial",
            "coref-k8s: Trial",
            "What running trials, runs of finalists and final trainings learn, how fast, and their memory against what was predicted.",
            TRIALS,
            [namespace, study, length, kind, trial],
        ),
    }


def main(arguments: list[str]) -> int:
    """Write or check the folder; return the exit code."""
    mode, folder = arguments[0], Path(arguments[1])
    code = 0
    for name, body in dashboards().items():
        path, text = folder / name, json.dumps(body, indent=2, ensure_ascii=False) + "\n"
        if mode == "--write":
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is out of date; run `make generate`", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
