"""The page of a resolved text in a real browser: desk and phone, dark and light, by mouse, finger and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.coref.resolved import Mention, ResolvedDocument
from tests.report.browser import Browser, browser

LINES = (
    "김 첨지는 아내를 보았다. 그는 아내의 손을 잡았다.",
    "<script>document.title = 'no'</script> 김 첨지는 &amp; 나갔다.",
    *["인력거는 오래 달렸고, 길은 끝이 없었다."] * 60,
    "아내는 그를 기다렸다.",
)
TEXT = "\n".join(LINES)
MAN, WOMAN = 0, 1


def place(words: str, nth: int = 0) -> tuple[int, int]:
    start = -1
    for _ in range(nth + 1):
        start = TEXT.index(words, start + 1)
    return start, start + len(words)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spans = [
        (*place("김 첨지"), MAN), (*place("김 첨지", 1), MAN), (*place("그는"), MAN), (*place("그를"), MAN),
        (*place("아내"), WOMAN), (*place("아내의 손"), WOMAN), (*place("아내", 2), WOMAN), (*place("길은"), 2),
    ]  # fmt: skip
    mentions = [Mention(start, end, TEXT[start:end], 0.9, chain, 0.8) for start, end, chain in sorted(spans)]
    path = tmp_path_factory.mktemp("page") / "운수 좋은 날.html"
    path.write_text(ResolvedDocument("운수 좋은 날", TEXT, mentions).to_html("ko"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


def middle(look: Browser, selector: str) -> tuple[float, float]:
    x, y = look.run(
        f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('{selector}').getBoundingClientRect())"
    )
    return x, y


def bar(look: Browser) -> Any:
    """What the bar at the foot of the page says: whose chain, and which of its mentions; None while it is hidden."""
    return look.run("(n => n.hidden ? null : [n.querySelector('b'), n.querySelector('span')].map(e => e.innerText))"
                    "(document.querySelector('nav'))")  # fmt: skip


def press(look: Browser, key: str) -> None:
    look.call("Input.dispatchKeyEvent", type="keyDown", key=key)
    look.call("Input.dispatchKeyEvent", type="keyUp", key=key)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "touch"), [(390, True), (1280, False)])
def test_a_chain_lights_up_and_is_walked_along(
    chromium: Browser, page: Path, width: int, touch: bool, dark: bool
) -> None:
    look = chromium
    look.open(page, width=width, dark=dark, touch=touch)
    assert look.run("document.documentElement.scrollWidth") <= width
    assert look.run("document.title") == "운수 좋은 날"
    first = middle(look, "#m0")
    if touch:
        look.tap(*first)
    else:
        look.move(*first)
        assert look.run("document.querySelectorAll('main .lit').length") == 4
        assert bar(look) is None
        for kind in ("mousePressed", "mouseReleased"):
            look.call(
                "Input.dispatchMouseEvent", type=kind, x=first[0], y=first[1], button="left", clickCount=1
            )
    assert bar(look) == ["김 첨지", "1 / 4"]
    assert look.run("document.querySelectorAll('main .lit').length") == 4
    press(look, "ArrowLeft")
    assert bar(look) == ["김 첨지", "4 / 4"]
    look.run("new Promise(done => setTimeout(done, 1500))")  # it scrolls there
    top = look.run("document.querySelector('main .here').getBoundingClientRect().top")
    assert 0 < top < 900, "the last mention, pages below, is in sight"
    look.run("document.querySelectorAll('nav button')[1].click()")
    assert bar(look) == ["김 첨지", "1 / 4"]
    press(look, "Escape")
    assert bar(look) is None
    assert not look.run("document.querySelectorAll('.lit, .here').length")
    look.run("document.querySelector('aside li:nth-child(2) summary').click()")
    assert bar(look) == ["아내", "1 / 3"]
    look.run("document.querySelectorAll('aside li:nth-child(2) a')[2].click()")
    assert bar(look) == ["아내", "3 / 3"]
    assert look.complaints == []


def test_a_mention_is_reached_and_left_by_the_keyboard_alone(chromium: Browser, page: Path) -> None:
    look = chromium
    look.open(page, width=1280)
    press(look, "ArrowRight")
    assert bar(look) is None, "there is nothing to go on from"
    look.run("document.querySelector('#m0').focus()")
    assert look.run("document.querySelectorAll('main .lit').length") == 4
    press(look, "ArrowRight")
    assert bar(look) == ["김 첨지", "2 / 4"]
    press(look, "Escape")
    look.run("document.activeElement.blur()")
    look.move(*middle(look, "#m1"))
    press(look, "ArrowRight")
    assert bar(look) == ["아내", "2 / 3"]
    assert look.run("document.querySelector('#m1').title") == "멘션일 확률 0.90, 이 연결의 확률 0.80"
    assert look.run("document.querySelector('aside summary').innerText.split(/\\s+/).join(' ')").endswith(
        "멘션 4개"
    )


def test_light_and_dark_differ_and_can_be_read(chromium: Browser, page: Path) -> None:
    grounds = []
    for dark in (False, True):
        chromium.open(page, width=390, dark=dark, touch=True)
        style = "getComputedStyle(document.body)"
        ground, ink = (chromium.run(f"{style}.{one}") for one in ("backgroundColor", "color"))
        light = [sum(map(int, one[4:-1].split(",")[:3])) for one in (ground, ink)]
        assert abs(light[0] - light[1]) > 400, (ground, ink)
        grounds.append(ground)
    assert grounds[0] != grounds[1]
