"""Writes `docs/metrics.md` from the metrics themselves: `python -m docs.metrics_page --write FILE`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from coref_k8s.telemetry.metrics import ControllerMetrics, StudyMetrics
from coref_k8s.telemetry.trial_metrics import TRIAL_LABELS, TrialMetrics

_HEAD = """\
# Prometheus metrics

Generated from `coref_k8s/telemetry/metrics.py` and `trial_metrics.py` by `make generate`; do not edit.

* On a cluster the controller serves `/metrics` beside its health pages, and every pod that trains or scores on its
  metrics port: trials, runs of finalists, final trainings, ensembles (`kind` tells a finalist's run from a trial).
  Scrape with `honor_labels: true` (`honorLabels` in a PodMonitor): `namespace` is that of the study.
* On one machine: `coref-k8s submit --local --metrics-port 9100 ...` serves the study and its running trials
  at `http://127.0.0.1:9100/metrics` for as long as the study runs. `namespace` is empty there.
* The chart installs alerts and dashboards. A Prometheus of your own takes `charts/coref-k8s/rules/coref-k8s.yaml` under
  `rule_files`; a Grafana of your own imports `charts/coref-k8s/dashboards/`.
* Cardinality is bounded: series of a study by length and state, never by trial; a trial's series end with its
  process; a study's series end when its resource is deleted or another controller takes over.
* Times are seconds, sizes bytes, shares 0 to 1.
"""


def page() -> str:
    """Return the page."""
    trial = TrialMetrics(dict.fromkeys(TRIAL_LABELS, ""))
    study = _families(StudyMetrics())
    controller = [family for family in _families(ControllerMetrics()) if family not in study]
    parts = [_HEAD]
    for title, rows in (("Studies", study), ("Controller", controller), ("Trials", _families(trial))):
        parts.append(f"## {title}\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n" + "".join(rows))
    return "\n".join(parts)


def _families(metrics: StudyMetrics | TrialMetrics) -> list[str]:
    rows = []
    for collector in metrics.registry._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        family = next(iter(collector.describe()))
        name = f"{family.name}_total" if isinstance(collector, Counter) else family.name
        kind = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}[type(collector)]
        labels = ", ".join(f"`{label}`" for label in collector._labelnames)
        rows.append(f"| `{name}` | {kind} | {labels} | {family.documentation} |\n")
    return rows


def main(arguments: list[str], page: Callable[[], str]) -> int:
    """Write or check the file that `page` makes (`--write FILE`, `--check FILE`); return the exit code."""
    mode, path = arguments[0], Path(arguments[1])
    if mode == "--write":
        path.write_text(page(), encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != page():
        print(f"{path} is out of date; run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
