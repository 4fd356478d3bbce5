"""The report in a real browser: light, dark and phone, without a console error, without the network."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
]  # fmt: skip
VIEWS = {"light": ("1200,1500", []), "dark": ("1200,1500", ["--force-dark-mode"]), "phone": ("500,1800", [])}


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_everything_is_in_one_file(coref: Any, study: str, lang: str) -> None:
    answer = coref("report", study, "--lang", lang)
    assert answer.code == 0, answer.err
    page = Path(answer.out.strip()).read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|<script", page)
    for words in (
        "0.410",
        "0.450 … 0.550",
        "+0.300",
        "learning_rate",
        "coref-k8s submit",
        "<polyline",
        "<circle",
    ):
        assert words in page
    assert ("최적화 이력" in page) == (lang == "ko")


def test_its_request_can_be_submitted_again(coref: Any, study: str, tmp_path: Path) -> None:
    page = Path(coref("report", study).out.strip()).read_text(encoding="utf-8")
    request = html.unescape(re.search(r"<pre>[^\n]*\n(.*?)\n\ncoref-k8s submit", page, re.DOTALL)[1])
    (tmp_path / "request.yaml").write_text(request)
    answer = coref("plan", "--file", tmp_path / "request.yaml", "-o", "json")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("view", VIEWS)
def test_it_opens_in_a_browser(coref: Any, study: str, tmp_path: Path, view: str) -> None:
    path = tmp_path / "report.html"
    assert coref("report", study, "--lang", "ko", "--output", path).code == 0
    size, more = VIEWS[view]
    ARTEFACTS.mkdir(exist_ok=True)
    picture = ARTEFACTS / f"report-{view}.png"
    picture.unlink(missing_ok=True)
    done = subprocess.run(
        ["chromium", *FLAGS, *more, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}",
         f"--screenshot={picture}", path.as_uri()],
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ":CONSOLE" not in done.stderr
    assert picture.stat().st_size > 10_000
