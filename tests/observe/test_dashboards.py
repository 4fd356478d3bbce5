"""Every panel's query returns data from a real Prometheus that scraped real exporters; alerts fire and are silent."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.dashboards import dashboards, main
from coref_k8s.cluster.resources import STUDIES
from coref_k8s.controller.progress import Progress
from coref_k8s.controller.view import StudyView
from coref_k8s.store.records import Phase
from coref_k8s.study.reading import build_spec
from tests.cluster.world import JOBS_HERE, World
from tests.local.run_study import session
from tests.observe.prometheus import RULES, Prometheus, prometheus
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "charts/coref-k8s/dashboards"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something: rows are headings."""
    return [one for one in body["panels"] if one["type"] != "row"]


def queries() -> list[str]:
    """The queries as Grafana sends them with every variable on All."""
    found = [
        target["expr"] for name in ("studies.json", "trial.json")
        for panel in panels(json.loads((FOLDER / name).read_text())) for target in panel["targets"]
    ]  # fmt: skip
    found = [one.replace("$__rate_interval", "1m").replace("$__range", "1m") for one in found]
    return [re.sub(r"\$(namespace|study|seq_len|kind|trial)", ".*", one) for one in found]


def variables() -> list[str]:
    """What the variables' `label_values` read."""
    listed = [
        one for body in dashboards().values() for one in body["templating"]["list"] if one["type"] == "query"
    ]
    found = [re.fullmatch(r"label_values\((.*), (\w+)\)", one["definition"]) for one in listed]
    assert all(found)
    return [re.sub(r"\$\w+", ".*", f"count by ({one[2]}) ({one[1]})") for one in found if one]


#: What a study without finalists has no series of.
OF_FINALISTS = re.compile("finalist_runs|_test_")

#: A real trial in a few seconds, and one that trains and evaluates until somebody ends it.
QUICK = {
    "seqLengths": [128],
    "anyLength": True,
    "model": "models/tiny",
    "trials": 1,
    "parallelism": 1,
    "data": {"sources": [{"source": "gaps:24"}], "evalItems": 4},
    "training": {"maxSteps": 2, "batchSize": 2, "evaluations": 1},
    "search": {"sampler": "random", "pruner": "none"},
    "pod": {"gpus": 0},
}
ENDLESS = QUICK | {
    "training": {"maxSteps": 1_000_000, "batchSize": 2, "evaluations": 100_000, "checkpointSeconds": 1},
}


def test_every_panel_has_data_of_a_real_study(whole: World, tmp_path: Path) -> None:
    port = free_port()
    jobs = JOBS_HERE.model_copy(update={"metrics_port": port})
    controller = whole.controller(jobs=jobs)
    try:
        with prometheus(tmp_path, [controller.web.port, port]) as server:
            whole.submit("quick", QUICK)
            whole.until_phase("Succeeded", "quick")
            whole.submit("endless", ENDLESS)
            expressions = [one for one in queries() + variables() if not OF_FINALISTS.search(one)]
            assert len(expressions) > 35
            assert server.until(expressions, 240) == []
            _what_it_says_is_true(server, controller.database.view(whole.api.namespace, "quick"))
            whole.annotate("endless", cancel="true")
            whole.until_phase("Cancelled", "endless")
            # a finished trial's series go away, and a deleted study's
            assert server.until_none(["coref_trial_step"], 180) == []
            assert server.until(['coref_study_phase{study="endless", phase="Cancelled"} == 1'], 180) == []
            whole.api.delete(STUDIES, "endless")
            assert server.until_none(['coref_study_phase{study="endless"}'], 180) == []
            assert server.query('coref_study_phase{study="quick"}')
    finally:
        controller.stop()
        controller.api.close()


def test_panels_of_finalists_have_data_when_they_have_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes, metrics over HTTP and verdict; only the training is left out."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    local, port = session(tmp_path), free_port()
    search = {"sampler": "random", "pruner": "none", "finalists": 1, "finalist_seeds": 1}
    local.submit("demo", build_spec(seq_lengths=[512], trials=2, search=search))
    expressions = [one for one in queries() if OF_FINALISTS.search(one)]
    assert len(expressions) == 4
    differences: list[str] = []
    with prometheus(tmp_path, [port]) as server:

        def on_progress(progress: Progress) -> None:
            if progress.phase is Phase.SUCCEEDED and not differences:
                assert server.until(expressions, 120) == []
                asked = 'coref_study_test_difference{against="untuned"}'
                found: list[dict[str, Any]] = server.query(asked)
                differences.extend(one["metric"]["bound"] for one in found)

        local.run("demo", on_progress=on_progress, metrics_port=port)
    assert sorted(differences) == ["high", "low", "value"]


def _what_it_says_is_true(server: Prometheus, quick: StudyView) -> None:
    record = quick.lengths[0].best
    assert record is not None
    best = server.query('coref_study_best_score{study="quick"}')
    assert float(best[0]["value"][1]) == pytest.approx(record.value)
    # honor_labels: the study's namespace, not the target's
    found: list[dict[str, Any]] = server.query('coref_study_phase{study="quick"} == 1')
    assert (found[0]["metric"]["namespace"], found[0]["metric"]["phase"]) == (quick.namespace, "Succeeded")
    steps = server.query("coref_trial_steps")
    assert [(one["metric"]["study"], one["value"][1]) for one in steps] == [("endless", "1000000")]
    for name, least, most in (
        ("loss", 0, 20), ("tokens_per_second", 1, 1e7), ("data_wait_ratio", 0, 1), ("host_memory_peak_bytes", 1e8, 1e11),
        ("device_memory_predicted_bytes", 1e6, 1e12), ("checkpoint_bytes", 1e5, 1e10), ("step_seconds", 1e-4, 100),
    ):  # fmt: skip
        value = float(server.query(f"coref_trial_{name}")[0]["value"][1])
        assert least <= value <= most, (name, value)
    assert server.query("ALERTS{alertstate='firing'}") == []


def test_the_dashboards_are_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(FOLDER)]) == 0
    assert main(["--check", str(tmp_path)]) == 1
    assert "make generate" in capsys.readouterr().err


def test_panels_do_not_overlap_and_use_the_chosen_data_source() -> None:
    for body in dashboards().values():
        cells = [
            (x, y)
            for panel in body["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24
        assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels(body))
        assert len({panel["id"] for panel in body["panels"]}) == len(body["panels"])


def test_a_person_understands_each_panel() -> None:
    """A sentence, a unit that is meant, words instead of an empty box, a name for each of many series."""
    for body in dashboards().values():
        for panel in panels(body):
            defaults, title = panel["fieldConfig"]["defaults"], panel["title"]
            assert panel["description"].endswith("."), title
            assert defaults["noValue"], title
            assert (
                defaults["unit"] != "short" or panel["type"] in ("stat", "table") or "per second" in title
            ), title
            for target in panel["targets"]:
                many = " by (" in target["expr"] or panel["type"] == "timeseries"
                assert target["legendFormat"] != "__auto" or not many or panel["type"] == "stat", title
            if panel["type"] == "bargauge" and defaults["unit"] == "percentunit":
                assert (defaults["min"], defaults["max"]) == (0, 1)
        assert body["description"].endswith(".")


def test_every_alert_fires_and_is_silent_where_it_should() -> None:
    tests = ROOT / "tests/observe/rules_test.yaml"
    done = subprocess.run(["promtool", "test", "rules", str(tests)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = yaml.safe_load(tests.read_text())["tests"]
    fires = {
        name for one in tested for case in one["promql_expr_test"] if case["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', case["expr"])
    }  # fmt: skip
    assert fires == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_runbook_and_reads_metrics_that_exist(rule: dict[str, Any]) -> None:
    page = ROOT / "docs" / "runbooks" / f"{rule['alert']}.md"
    assert rule["annotations"]["runbook_url"].endswith(f"docs/runbooks/{page.name}")
    headings = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
    assert headings == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    documented = (ROOT / "docs/metrics.md").read_text()
    names = set(re.findall(r"\bcoref_\w+", rule["expr"]))
    assert names
    assert [name for name in names if f"`{name}`" not in documented] == []
