"""The language of this run of the program: that of `--lang`, wherever it stands, or of the locale."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Sequence

from coref_k8s import wording
from coref_k8s.errors import RequestError
from coref_k8s.wording import LANGUAGES, Lang, Message, locale_lang

_asked: Lang | None = None
_chosen: Lang | None = None
#: What stands for signs that the terminal's encoding lacks.
_PLAIN = dict(
    zip("–−…·█░→✓✗─│\u00a0", ["-", "-", "...", "*", "#", ".", "->", "+", "x", "-", "|", " "], strict=True)
)


def speak(chosen: Lang | None) -> None:
    """Choose the language; None is that of the locale, and English where the output cannot show Korean."""
    global _asked, _chosen
    _asked = chosen
    _chosen = chosen or locale_lang()
    for stream in (sys.stdout, sys.stderr):
        try:
            wording.say("words.yes", "ko").encode(getattr(stream, "encoding", None) or "utf-8")
        except (UnicodeEncodeError, LookupError):
            _chosen = "en"
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="coref-plain")


def lang() -> Lang:
    """Return the language that is spoken."""
    return _chosen or locale_lang()


def asked() -> Lang | None:
    """Return the language that `--lang` asks for, if it does."""
    return _asked


def say(code: str, **values: object) -> str:
    """Return the text of a code in the language that is spoken."""
    return wording.say(code, lang(), **values)


def said(message: Message | str) -> str:
    """Return a message, or the text that a database or an event holds of it, in the language that is spoken."""
    return Message.load(message).say(lang())


def take_language(arguments: Sequence[str]) -> tuple[Lang | None, list[str]]:
    """Return the language that `--lang` asks for, and the arguments without it.

    Taken before the command line is read, so that it stands before or after the command and holds for what is wrong
    with the others. Raises RequestError for a language that the program does not speak.
    """
    rest: list[str] = []
    left, chosen = list(arguments), None
    while left:
        word = left.pop(0)
        if word == "--":
            return chosen, [*rest, word, *left]
        name, equals, value = word.partition("=")
        if name != "--lang":
            rest.append(word)
            continue
        if not equals and not left:
            raise RequestError("cli.needs-a-value", option=name)
        asked = value if equals else left.pop(0)
        chosen = next((one for one in LANGUAGES if one == asked), None)
        if chosen is None:
            raise RequestError("words.unknown-language", option=name, asked=asked, known=LANGUAGES)
    return chosen, rest


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "#" if "▁" <= sign <= "▇" else "?") for sign in lost), error.end


codecs.register_error("coref-plain", _plain)
