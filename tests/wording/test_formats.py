"""Values as people read them: times, numbers, plurals and the particles that Korean puts behind a word."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coref_k8s.wording import Message, formats
from coref_k8s.wording.formats import Words
from coref_k8s.wording.language import Lang


def filled(text: str, lang: Lang = "en", **values: Any) -> str:
    return Words(lang, lambda code, lang: f"<{code} {lang}>").vformat(text, (), values)


@pytest.mark.parametrize(
    ("span", "english", "korean"),
    [
        (None, "–", "–"),
        (0, "0 s", "0초"),
        (timedelta(days=-91), "0 s", "0초"),  # a clock was set back
        (12.4, "12 s", "12초"),
        (200, "3 min 20 s", "3분 20초"),
        (timedelta(hours=2, minutes=5, seconds=9), "2 h 5 min", "2시간 5분"),
        (timedelta(days=1), "1 d", "1일"),
        (90_061, "1 d 1 h", "1일 1시간"),
    ],
)
def test_a_time_has_its_two_largest_units(span: Any, english: str, korean: str) -> None:
    assert formats.duration(span) == english
    assert formats.duration(span, "ko") == korean
    assert filled("{span:duration}", "ko", span=span) == korean


def test_an_estimate_has_no_seconds_from_ten_minutes_on() -> None:
    assert filled("{span:about}", span=599) == "9 min 59 s"
    assert filled("{span:about}", span=629) == "10 min"
    assert filled("{span:duration}", span=629) == "10 min 29 s"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.337e-5, "2.34e-5"),
        (1e-5, "1e-5"),
        (0.1, "0.1"),
        (0.0, "0"),
        (512, "512"),
        ("linear", "linear"),
        (None, "–"),
        (True, "True"),
    ],
)
def test_a_parameter_is_short_and_exact_enough(value: Any, shown: str) -> None:
    assert filled("{value:parameter}", value=value) == shown


def test_scores_differences_and_shares() -> None:
    assert filled("{a:score} {b:difference} {c:difference}", a=0.41, b=0.31, c=-0.02) == "0.410 +0.310 −0.020"
    assert formats.interval(-0.1, 0.25, formats.difference) == "−0.100 … +0.250"
    assert formats.interval(None, 0.25) == "–"
    assert filled("{share:percent}", share=0.123) == "12\u00a0%"
    assert filled("{share:percent}", "ko", share=0.123) == "12%"
    assert filled("{n:count}", n=50_000) == "50,000"


def test_plurals_and_lists() -> None:
    assert filled("{n:trial|trials}", n=1) == "1 trial"
    assert filled("{n:trial|trials}", n=1200) == "1,200 trials"
    assert filled("{names:list}", names=["a", "b", "c"]) == "a, b and c"
    assert filled("{names:list}", "ko", names=["a", "b", "c"]) == "a, b, c"
    assert filled("{names:list}", names=["a"]) == "a"


@pytest.mark.parametrize(
    ("word", "pair", "said"),
    [
        ("스터디", "이/가", "스터디가"),
        ("모델", "이/가", "모델이"),
        ("모델", "으로/로", "모델로"),
        ("트라이얼", "을/를", "트라이얼을"),
        ("값", "으로/로", "값으로"),
        ("512", "은/는", "512는"),
        ("1024", "은/는", "1024는"),
        ("30", "이/가", "30이"),
        ("klue/mrc.json", "을/를", "klue/mrc.json을"),
        ("'my-study'", "은/는", "'my-study'는"),
        ("97 %", "이/가", "97 %가"),
        ("NAME", "이/가", "NAME이"),
        ("sampler", "이/가", "sampler가"),
        ("training", "은/는", "training은"),
        ("", "이/가", "가"),
    ],
)
def test_a_particle_fits_the_last_sound(word: str, pair: str, said: str) -> None:
    assert formats.with_particle(word, pair) == said
    assert filled(f"{{word:{pair}}}", "ko", word=word) == said


def test_formats_and_particles_go_together() -> None:
    assert filled("{low:g 이/가}", "ko", low=0.5) == "0.5가"
    assert filled("{names:list 을/를}", "ko", names=["torch", "kiwipiepy"]) == "torch, kiwipiepy를"
    assert filled("{name!r:은/는}", "ko", name="모델") == "'모델'은"


def test_messages_within_messages_are_said_in_the_same_language() -> None:
    inner = Message.of("words.trial")
    assert filled("{a} {b:list}", "ko", a=Message.verbatim("x"), b=[Message.verbatim("y"), "z"]) == "x y, z"
    assert Message.of("words.warning", message=inner).say("ko") == "경고: 트라이얼"
