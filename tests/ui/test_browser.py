"""The pages in a real browser: phone and desk, dark and light, Korean and English, by mouse, finger and keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coref_k8s.client.local import LocalBackend
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.settings import Settings
from coref_k8s.store import Phase, Store
from coref_k8s.study.reading import build_spec
from tests.report.browser import Browser, browser
from tests.ui.conftest import served

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
TRIAL = "/studies/korean-long/trials/1024/4"
RUN = "/studies/korean-long/runs/1024/2"
NUMBERS = "[...document.querySelectorAll('tr[data-t]')].map(r => +r.cells[0].textContent).join()"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, address: str) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as found:
        found.home = address
        yield found


@pytest.fixture
def page(opened: Browser) -> Iterator[Browser]:
    """The browser; nothing may complain."""
    opened.complaints.clear()
    yield opened
    assert opened.complaints == []


def middle(page: Browser, selector: str) -> tuple[float, float]:
    """Scroll an element into view; return its middle."""
    x, y = page.run(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
        " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
    )
    return x, y


def follow(page: Browser, selector: str) -> None:
    """Click a link and wait for its page."""
    page.click(*middle(page, selector))
    page.wait_for_load()


@pytest.mark.parametrize(
    ("lang", "dark", "width"),
    [("en", False, 1280), ("ko", True, 1280), ("ko", False, 390), ("en", True, 390)],
)
def test_every_page_opens_without_a_complaint_and_fits(
    page: Browser, address: str, lang: str, dark: bool, width: int
) -> None:
    paths = {
        "studies": "/", "overview": "/studies/korean-long", "trials": "/studies/korean-long/trials",
        "charts": "/studies/korean-long/charts", "numbers": "/studies/korean-long/numbers", "trial": TRIAL,
        "run": RUN, "chains": "/studies/chains/trials/512/0", "compare": "/compare?study=korean-long&study=chains",
        "missing": "/studies/none",
    }  # fmt: skip
    for name, path in paths.items():
        page.open(
            f"{address}{path}{'&' if '?' in path else '?'}lang={lang}",
            width=width,
            dark=dark,
            touch=width < 500,
        )
        page.picture(ARTEFACTS / f"ui-{name}-{lang}-{width}-{'dark' if dark else 'light'}.png")
        assert page.run("document.documentElement.scrollWidth") == width, name
        assert page.run("document.documentElement.lang") == lang
        ground = page.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) == dark
    # the browser says so itself when a page is not there
    page.complaints[:] = [one for one in page.complaints if "404" not in one]


def test_clicks_lead_from_the_list_to_a_trial_and_on(page: Browser, address: str) -> None:
    page.open(f"{address}/?lang=en", width=1280)
    follow(page, "a[href='/studies/korean-long']")
    assert page.run("document.querySelector('h1').textContent") == "korean-long"
    follow(page, "nav a[href$='/trials']")
    follow(page, "a[href$='/trials/1024/4']")
    assert page.run("document.querySelector('h1').textContent") == "1024 tokens, trial 4"
    assert page.run("document.querySelectorAll('circle.marked').length") > 3
    follow(page, "a[rel=next]")
    assert page.run("document.querySelector('h1').textContent") != "1024 tokens, trial 4"
    follow(page, "nav a[href='/studies/korean-long']")
    page.click(*middle(page, "#finalists details summary"))
    follow(page, f"a[href='{RUN}']")
    assert page.run("document.querySelector('h1').textContent") == "1024 tokens, run 2"
    follow(page, "a[rel=prev]")
    assert page.run("location.pathname").endswith("/runs/1024/1")


def test_typing_filters_and_a_heading_sorts_without_leaving_the_page(page: Browser, address: str) -> None:
    page.open(f"{address}/studies/korean-long/trials?lang=en", width=1280)
    before = page.run(NUMBERS)
    page.run("window.stays = true; document.querySelector('input[name=q]').focus()")
    for sign in "score>0.42":
        page.press(sign)
    page.until("document.querySelectorAll('tr[data-t]').length < 24")
    scores = page.run("[...document.querySelectorAll('tr[data-t]')].map(r => +r.cells[2].textContent)")
    assert min(scores) > 0.42
    assert page.run("document.activeElement.value") == "score>0.42"
    page.click(*middle(page, "th a[href*='sort=trial']"))
    page.until("location.search.includes('sort=trial')")
    down = page.until(
        f"(n => n.length && n.join() === [...n].sort((a, b) => b - a).join() && n.join())({NUMBERS}.split(',').map(Number))"
    )
    assert down != before
    assert page.run("window.stays && location.search.includes('q=')")
    page.run("history.back()")
    page.until("!location.search.includes('sort=')")


def test_a_chart_is_zoomed_by_dragging_and_by_keys(page: Browser, address: str) -> None:
    page.open(f"{address}/studies/korean-long?lang=en", width=1280)
    chart = "svg[data-zoom=history]"
    x, y = middle(page, chart)
    whole = page.run(f"document.querySelector('{chart}').dataset.ends")
    page.click(x - 60, y - 40, to=(x + 60, y + 30))
    page.until(f"!!document.querySelector('{chart}[data-part]')")
    low, high, *_ = map(float, page.run(f"document.querySelector('{chart}').dataset.ends").split(","))
    first, last, *_ = map(float, whole.split(","))
    assert first < low < high < last
    page.until("!!document.querySelector('.whole')")
    page.run(f"document.querySelector('{chart}').focus()")
    page.press("+")
    page.until(f"+document.querySelector('{chart}').dataset.ends.split(',')[0] > {low}")
    page.press("Escape")
    page.until(f"!document.querySelector('{chart}[data-part]')")
    assert page.run(f"document.querySelector('{chart}').dataset.ends") == whole


def test_all_of_it_is_reached_by_the_keyboard(page: Browser, address: str) -> None:
    page.open(f"{address}/?lang=en", width=1280)
    for _ in range(12):
        page.press("Tab")
        if page.run("document.activeElement.getAttribute('href')") == "/studies/korean-long":
            break
    outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.press("Enter")
    page.wait_for_load()
    assert page.run("location.pathname") == "/studies/korean-long"


def test_chosen_studies_are_compared(page: Browser, address: str) -> None:
    page.open(f"{address}/?lang=en", width=390, touch=True)
    for name in ("korean-long", "chains"):
        page.run(f"document.querySelector('input[value={name}]').click()")
    page.run("document.querySelector('form button').click()")
    page.wait_for_load()
    assert page.run("document.querySelectorAll('tbody tr').length") > 3
    assert page.run("document.documentElement.scrollWidth") == 390


def test_an_open_page_follows_its_study(page: Browser, tmp_path: Path) -> None:
    settings = Settings.from_env(data_dir=tmp_path)
    spec = build_spec(seq_lengths=[512], trials=3, search={"sampler": "random"})
    store = Store(settings.storage_url)
    store.create_study("", "live", spec)
    store.set_phase("", "live", Phase.RUNNING)
    trials = LengthStudy(open_storage(settings.storage_url), spec, "live", 512)
    first = trials.ask()
    home = page.home
    with served(tmp_path) as address:
        page.home = address
        page.open(f"{address}/studies/live/trials", width=1280)
        page.run("window.stays = true; document.querySelector('input[name=q]').value = 'ru'")
        assert "running" in page.run("document.querySelector('tbody').textContent")
        # nobody works on it here, so the page looks seldom: now, as when its tab is opened again
        look = "document.dispatchEvent(new Event('visibilitychange'))"
        TrialReporter(settings.storage_url, first.trial_id).result(0.4321, {"score": 0.4321})
        page.until(f"({look}, document.querySelector('tbody').textContent.includes('0.432'))")
        trials.ask()
        page.until(f"({look}, document.querySelectorAll('tbody tr').length == 2)")
        assert page.run("window.stays && document.querySelector('input[name=q]').value") == "ru"
        LocalBackend(settings).delete("live")
        page.until(f"({look}, document.getElementById('problem')?.textContent.includes(\"no study 'live'\"))")
    page.until(f"({look}, !document.getElementById('lost').hidden)")
    page.home = home
    # the browser says so itself that a page, and then the server, has gone
    page.complaints[:] = [one for one in page.complaints if "404" not in one and "ERR_" not in one]
