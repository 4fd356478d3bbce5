"""The report in a real browser: phone and desk, dark and light, Korean and English, by mouse and by finger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from coref_k8s.report.page import report
from coref_k8s.search.records import TrialState
from coref_k8s.wording import Lang
from tests.report.browser import Browser, browser
from tests.report.sample import NOW, study

ARTEFACTS = Path(__file__).parents[2] / "artefacts"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture
def opened(page: Browser, tmp_path: Path) -> Browser:
    """The report of three lengths at a desk, in English."""
    show(page, tmp_path)
    return page


@cache
def written(lang: Lang) -> str:
    return report(study(), lang, NOW)


def show(page: Browser, folder: Path, lang: Lang = "en", *, width: int = 1280, dark: bool = False) -> None:
    path = folder / "report.html"
    path.write_text(written(lang), encoding="utf-8")
    page.complaints.clear()
    page.open(path, width=width, dark=dark, touch=width < 500)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_it_opens_without_a_complaint_and_fits(
    page: Browser, tmp_path: Path, lang: Lang, dark: bool, width: int
) -> None:
    show(page, tmp_path, lang, width=width, dark=dark)
    page.picture(ARTEFACTS / f"report-{lang}-{width}-{'dark' if dark else 'light'}.png")
    assert page.complaints == []
    assert page.run("document.documentElement.scrollWidth") == width
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) == dark
    # upright axes where there is room, lying ones on a phone; each readable without a magnifying glass
    upright = page.run("getComputedStyle(document.querySelector('svg.up')).display")
    assert (upright == "none") == (width == 390)
    least = page.run(
        "Math.min(...[...document.querySelectorAll('svg.plot text')].map(t => t.getBoundingClientRect().height)"
        ".filter(h => h > 0))"
    )
    assert least > 9
    # every text of a chart is inside of the window, and the names on an axis neither repeat nor overlap
    assert (
        page.run(
            "[...document.querySelectorAll('svg.plot text')].map(t => [t.textContent, t.getBoundingClientRect()])"
            f".filter(([, r]) => r.width && (r.left < -0.5 || r.right > {width} + 0.5)).map(([t]) => t).join()"
        )
        == ""
    )
    assert (
        page.run(
            "[...document.querySelectorAll('#history, #by_length, #curves, #losses, #slices')].flatMap(s => [...s.querySelectorAll('svg.plot')])"
            ".flatMap(svg => { const texts = [...svg.querySelectorAll('text:not(.axis)')]; return texts.filter((t, i) => texts.slice(0, i).some("
            "o => { const [a, b] = [t, o].map(e => e.getBoundingClientRect()); return a.width && t.getAttribute('y') === o.getAttribute('y')"
            " ? t.textContent === o.textContent || (a.left < b.right && b.left < a.right)"
            " : a.width && a.top < b.bottom - 3 && b.top < a.bottom - 3 && a.left < b.right && b.left < a.right })) }).map(t => t.textContent).join()"
        )
        == ""
    )
    # what scrolls sideways shows that it does
    assert page.run(
        "[...document.querySelectorAll('.wide')].filter(w => w.scrollWidth > w.clientWidth)"
        ".every(w => getComputedStyle(w).backgroundImage.includes('gradient'))"
    )


def test_korean_is_drawn_by_a_font_that_has_it(page: Browser, tmp_path: Path) -> None:
    show(page, tmp_path, "ko")
    # a missing glyph would be drawn by the last fallback as a box: the same width for every syllable and none at all
    widths = page.run(
        "['가', '힣', '뷁', 'i'].map(s => { const c = document.createElement('canvas').getContext('2d');"
        " c.font = '40px ' + getComputedStyle(document.body).fontFamily; c.fillText(s, 0, 40);"
        " return [...c.getImageData(0, 0, 60, 60).data].filter((v, i) => i % 4 == 3 && v > 0).length })"
    )
    assert len(set(widths)) == 4, (widths, page.fonts("h2"))


def test_the_mouse_follows_a_trial_through_every_chart(opened: Browser) -> None:
    spot = opened.run(
        "(() => { const c = document.querySelector('#history circle[data-t=\"1024-4\"]'); c.scrollIntoView({block: 'center'});"
        " const r = c.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
    )
    opened.move(*spot)
    followed = (
        "[...new Set([...document.querySelectorAll('.on')].map(e => e.closest('section').id))].sort().join()"
    )
    assert opened.run(followed) == "by_length,curves,history,losses,parallel,slices,timeline,trials"
    tip = opened.run("document.querySelector('.tip').textContent")
    assert tip.startswith("1024 tokens, trial 4 · complete")
    assert "learning_rate = " in tip
    opened.move(5, 5)
    assert opened.run("document.querySelectorAll('.on').length") == 0
    assert opened.complaints == []


def test_a_finger_near_a_line_picks_it(page: Browser, tmp_path: Path) -> None:
    show(page, tmp_path, width=390)
    spot = page.run(
        "(() => { const svg = document.querySelector('svg.lie'); svg.scrollIntoView({block: 'start'});"
        " const line = svg.querySelector('polyline.best'), p = line.points[0], m = svg.getScreenCTM();"
        " const at = new DOMPoint(p.x, p.y).matrixTransform(m); return [at.x, at.y + 3, line.dataset.t] })()"
    )
    page.tap(spot[0], spot[1])
    assert page.run("document.querySelector('svg.lie .on').dataset.t") == spot[2]
    box = page.run(
        "(() => { const r = document.querySelector('.tip').getBoundingClientRect(); return [r.left, r.right] })()"
    )
    assert box[0] >= 0
    assert box[1] <= 390
    assert page.complaints == []


def test_tables_are_sorted_by_the_keyboard(opened: Browser) -> None:
    opened.run("document.querySelector('#trials details').open = true")
    opened.run("document.querySelectorAll('#trials table')[0].tHead.rows[0].cells[2].focus()")
    opened.press("Enter")
    assert opened.run("document.activeElement.getAttribute('aria-sort')") == "descending"


def test_tables_are_sorted_by_a_click(opened: Browser) -> None:
    values = "[...document.querySelectorAll('#trials table')[0].tBodies[0].rows].map(r => parseFloat(r.cells[2].textContent)).filter(v => !isNaN(v))"
    click = "document.querySelectorAll('#trials table')[0].tHead.rows[0].cells[2].click()"
    opened.run(click)
    found = opened.run(values)
    assert found == sorted(found, reverse=True)
    opened.run(click)
    assert opened.run(values) == sorted(found)
    # thousands are numbers too: 2,700 s is more than 45 s
    opened.run(
        "(() => { const rows = document.querySelector('#trials table').tBodies[0].rows;"
        " rows[0].cells[7].textContent = '45 s'; rows[1].cells[7].textContent = '12,700 s' })()"
    )
    opened.run(click.replace("cells[2]", "cells[7]"))
    times = opened.run(
        "[...document.querySelector('#trials table').tBodies[0].rows].map(r => r.cells[7].textContent)"
    )
    assert (times[0], times[-1]) == ("12,700 s", "45 s")
    assert opened.complaints == []


def test_what_a_trial_says_is_text_and_never_runs(page: Browser, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror='document.title=1'><script>document.title=2</script>"
    view = study()
    trials = [
        replace(one, attrs={"reason": evil}) if one.state is TrialState.FAILED else one for one in view.trials
    ]
    path = tmp_path / "evil.html"
    path.write_text(report(replace(view, trials=trials, name="korean-long"), now=NOW), encoding="utf-8")
    page.complaints.clear()
    page.open(path, width=1280)
    assert page.run("document.title") == "korean-long · coref-k8s"
    assert page.run("document.images.length") == 0
    assert evil in page.run("document.querySelector('#warnings').textContent")
    assert page.complaints == []


def test_without_a_trial_there_is_no_complaint_either(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "empty.html"
    path.write_text(report(replace(study(), trials=[], attempts=[]), now=NOW), encoding="utf-8")
    page.complaints.clear()
    page.open(path, width=390)
    assert page.complaints == []


def test_the_chart_of_a_single_length_is_no_larger_than_those_of_several(
    page: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "one.html"
    path.write_text(report(study(6, (512,)), "en", NOW), encoding="utf-8")
    page.open(path, width=1280)
    widths = page.run(
        "[...document.querySelectorAll('.two svg.plot')].map(one => one.getBoundingClientRect().width)"
    )
    assert widths
    assert max(widths) < 700
