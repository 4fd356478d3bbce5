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
TRIAL = f'{LENGTH}, trial=~"$trial"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


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


def stat(title: str, query: str, unit: str = "short", about: str = "", width: int = 4) -> Panel:
    """A single number."""
    return Panel(title, [(query, "")], "stat", unit, width, 4, about)


STUDIES = (
    stat("Studies at work", f'sum(coref_study_phase{{{STUDY}, phase=~"Preparing|Running"}})'),
    stat("Trials running", f'sum(coref_study_trials{{{LENGTH}, state="running"}})'),
    stat("Trials done", f'sum(coref_study_trials{{{LENGTH}, state=~"complete|pruned|failed"}})'),
    stat("GPU time", f"sum(coref_study_gpu_seconds{{{STUDY}}})", "s", "Seconds times GPUs, until now."),
    stat(
        "GPU time without a result",
        f'sum(coref_study_ended_gpu_seconds{{{STUDY}, outcome!="succeeded"}})',
        "s",
        "Ended attempts that were pruned, failed, disrupted or stopped.",
    ),
    stat("Time left", f"max(coref_study_remaining_seconds{{{STUDY}}})", "s", "Of the study that takes longest."),
    Panel(
        "Progress",
        [
            (
                f'sum by (namespace, study, seq_len) (coref_study_trials{{{LENGTH}, state=~"complete|pruned|failed"}})'
                f" / sum by (namespace, study, seq_len) (coref_study_trials_planned{{{LENGTH}}})",
                "{{study}} {{seq_len}}",
            )
        ],
        "bargauge", "percentunit", about="Trials with an outcome, of those asked for.",
    ),
    Panel(
        "Best score so far",
        [(f"max by (namespace, study, seq_len) (coref_study_best_score{{{LENGTH}}})", "{{study}} {{seq_len}}")],
    ),
    Panel(
        "Trials by state",
        [(f"sum by (state) (coref_study_trials{{{LENGTH}}})", "{{state}}")], stacked=True,
    ),
    Panel(
        "Failed attempts by reason",
        [(f"sum by (reason) (coref_study_failed_attempts{{{STUDY}}})", "{{reason}}")], "bargauge",
    ),
    Panel(
        "GPU time by outcome",
        [(f"sum by (outcome) (coref_study_ended_gpu_seconds{{{STUDY}}})", "{{outcome}}")], unit="s", stacked=True,
    ),
    Panel(
        "Phase of each study",
        [(f"max by (namespace, study, phase) (coref_study_phase{{{STUDY}}}) == 1", "{{study}}: {{phase}}")],
        "table",
    ),
    stat("Controllers leading", "sum(coref_controller_leading)", about="One is right.", width=6),
    stat("Studies waiting to be looked at", "sum(coref_controller_queue_depth)", width=6),
    stat(
        "API server last heard", "max by (resource) (coref_controller_reflector_age_seconds)", "s",
        "Oldest watch; above two minutes something is wrong.", width=6,
    ),
    stat(
        "Database errors", "sum(increase(coref_controller_database_errors_total[$__range]))",
        about="In the time shown.", width=6,
    ),
    Panel(
        "Look at a study, and ask for parameters (95th percentile)",
        [
            (
                f"histogram_quantile(0.95, sum by (le) (rate(coref_controller_{what}_seconds_bucket[$__rate_interval])))",
                what,
            )
            for what in ("reconcile", "ask")
        ],
        unit="s",
    ),
    Panel(
        "Requests to the Kubernetes API",
        [("sum by (verb, code) (rate(coref_controller_api_requests_total[$__rate_interval]))", "{{verb}} {{code}}")],
        unit="reqps",
    ),
)  # fmt: skip

_WHO = "{{seq_len}} trial {{trial}}"


def _of(name: str) -> str:
    return f"coref_trial_{name}{{{TRIAL}}}"


TRIALS = (
    Panel(
        "Steps done", [(f"{_of('step')} / {_of('steps')}", _WHO)], "bargauge", "percentunit",
    ),
    Panel("Score", [(_of("metric").replace("}", ', metric="score"}'), _WHO)]),
    Panel("Training loss", [(_of("loss"), _WHO)], about="Nats, mean since the last report."),
    Panel(
        "Metrics of the last evaluation",
        [(_of("metric").replace("}", ', metric!="score"}'), f"{_WHO} {{{{metric}}}}")],
    ),
    Panel("Throughput", [(_of("tokens_per_second"), _WHO)], about="Real tokens per second, padding not counted."),
    Panel("Time of a step", [(_of("step_seconds"), _WHO)], unit="s"),
    Panel(
        "Device memory: peak against prediction",
        [
            (_of("device_memory_peak_bytes"), f"{_WHO} peak"),
            (_of("device_memory_predicted_bytes"), f"{_WHO} predicted"),
            (_of("device_memory_budget_bytes"), f"{_WHO} budget"),
        ],
        unit="bytes", about="The GPU; on CPU the process, which no prediction was made for.",
    ),
    Panel(
        "Host memory: peak against limit",
        [
            (_of("host_memory_peak_bytes"), f"{_WHO} peak"),
            (_of("host_memory_limit_bytes"), f"{_WHO} limit"),
        ],
        unit="bytes",
    ),
    Panel("Waiting for data", [(_of("data_wait_ratio"), _WHO)], unit="percentunit"),
    Panel("Learning rate", [(_of("learning_rate"), _WHO)], unit="sci"),
    Panel(
        "Evaluation and checkpoint",
        [
            (_of("evaluation_seconds"), f"{_WHO} evaluation"),
            (_of("checkpoint_seconds"), f"{_WHO} checkpoint"),
        ],
        unit="s",
    ),
    Panel(
        "Checkpoints, and batches halved for memory",
        [
            (_of("checkpoints_total"), f"{_WHO} checkpoints"),
            (_of("oom_retries_total"), f"{_WHO} halved"),
        ],
    ),
    Panel(
        "Free space of the data volume",
        [(f"min({_of('volume_free_bytes')} / {_of('volume_size_bytes')})", "free")],
        unit="percentunit",
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


def _panel(panel: Panel, number: int, x: int, y: int) -> Json:
    custom: Json = {}
    if panel.kind == "timeseries":
        custom = {
            "lineWidth": 2,
            "fillOpacity": 20 if panel.stacked else 5,
            "showPoints": "auto",
            "spanNulls": False,
        }
        custom["stacking"] = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    options: Json = {
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
        "bargauge": {
            "reduceOptions": {"calcs": ["lastNotNull"]},
            "orientation": "horizontal",
            "displayMode": "basic",
        },
        "table": {"showHeader": True},
        "timeseries": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi"},
        },
    }[panel.kind]
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
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "options": options,
    }
    if panel.unit == "percentunit":
        body["fieldConfig"]["defaults"] |= {"min": 0, "max": 1}
    if panel.kind == "table":
        body["transformations"] = [
            {"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}},
        ]
    return body


def dashboard(uid: str, title: str, panels: Sequence[Panel], variables: Sequence[Json]) -> Json:
    """Lay the panels out, left to right and top to bottom."""
    placed, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > 24:
            x, y, tallest = 0, y + tallest, 0
        placed.append(_panel(panel, number, x, y))
        x, tallest = x + panel.width, max(tallest, panel.height)
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source"}
    others = [other for other in ("studies", "trial") if f"coref-{other}" != uid]
    return {
        "uid": uid,
        "title": title,
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
        "panels": placed,
    }


def dashboards() -> dict[str, Json]:
    """Return every dashboard by its file name."""
    namespace = variable("namespace", "label_values(coref_study_phase, namespace)")
    study = variable("study", 'label_values(coref_study_phase{namespace=~"$namespace"}, study)')
    length = variable("seq_len", f"label_values(coref_study_trials{{{STUDY}}}, seq_len)")
    trial = variable("trial", f"label_values(coref_trial_step{{{LENGTH}}}, trial)")
    return {
        "studies.json": dashboard("coref-studies", "coref-k8s: Studies", STUDIES, [namespace, study, length]),
        "trial.json": dashboard("coref-trial", "coref-k8s: Trial", TRIALS, [namespace, study, length, trial]),
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
