"""checkov on the rendered chart: every finding is repaired, or argued in charts/coref-k8s/.checkov.yaml."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

from tests.chart.rendering import CHART, MATRIX, files

ARGUED = CHART / ".checkov.yaml"
#: Together these render every template.
CASES = ("two-controllers", "cluster-wide", "dashboard", "pages", "operator", "postgres-tls")


def checkov() -> Path:
    """Return the program: in the environment of the tests, or in the one that `make test` gives it."""
    places = [Path(sys.prefix) / "bin" / "checkov", Path(sys.prefix) / "checkov" / "bin" / "checkov"]
    found = [place for place in places if place.exists()]
    assert found, "checkov is not installed; run `make test`, or pip install checkov"
    return found[0]


def scan(folder: Path, *arguments: str) -> dict[str, list[dict[str, str]]]:
    command = [
        # by its Python: the first line of its script does not stand a blank in the path
        checkov().parent / "python",
        checkov(),
        "--skip-download",
        "--directory",
        folder,
        "--output",
        "json",
        "--soft-fail",
    ]
    done = subprocess.run([*map(str, command), *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["results"]


def render_to(folder: Path) -> None:
    for case in CASES:
        for path, text in files(MATRIX[case]).items():
            if path.endswith(".yaml") and not path.endswith("crd.yaml"):
                (folder / f"{case}-{path.replace('/', '-')}").write_text(text, encoding="utf-8")


def test_findings_are_none_but_the_argued(tmp_path: Path) -> None:
    render_to(tmp_path)
    results = scan(tmp_path, "--framework", "kubernetes")
    assert len(results["passed_checks"]) > 500
    argued = set(yaml.safe_load(ARGUED.read_text())["skip-check"])
    found = {check["check_id"]: check["resource"] for check in results["failed_checks"]}
    assert set(found) - argued == set(), found
    # an argument whose finding is gone only hides the next one
    assert argued - set(found) == set()
