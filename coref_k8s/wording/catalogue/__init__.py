"""The catalogue: a TOML file a topic, read when the first of its words is needed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from string import Template
from typing import Any

from coref_k8s.wording.formats import Words
from coref_k8s.wording.language import Lang


def say(code: str, lang: Lang = "en", **values: Any) -> str:
    """Return the text of a code with its values filled in.

    A value that is a `Message` is said in the same language. Raises KeyError for a code without words and for a value
    that the text needs and that is not given: both are mistakes in the program, which a test looks for.
    """
    return Words(lang, say).vformat(_text(code, lang), (), values)


def has(code: str) -> bool:
    """Return whether a code has words: one that another version wrote may have none here."""
    topic, _, name = code.partition(".")
    return topic in _topics() and name in _topic(topic)


def codes() -> Iterator[str]:
    """Yield every code of the catalogue."""
    for topic in sorted(_topics()):
        yield from (f"{topic}.{name}" for name in _topic(topic))


def entry(code: str) -> Mapping[Lang, str]:
    """Return the texts of a code by language, not filled in. Raises KeyError for a code without words."""
    topic, _, name = code.partition(".")
    return _topic(topic)[name]


def _text(code: str, lang: Lang) -> str:
    try:
        return entry(code)[lang]
    except (KeyError, FileNotFoundError):
        raise KeyError(f"no words for {code!r} in {lang!r}") from None


@lru_cache
def _topics() -> frozenset[str]:
    folder = files(__name__)
    return frozenset(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


@lru_cache
def _topic(topic: str) -> Mapping[str, Mapping[Lang, str]]:
    return tomllib.loads((files(__name__) / f"{topic}.toml").read_text(encoding="utf-8"))


def document(name: str) -> Template:
    """Return the text of a document for people (`wording/<name>.txt`), with `$name` where facts go; in English."""
    return Template((files("coref_k8s.wording") / f"{name}.txt").read_text(encoding="utf-8"))
