"""What Python lets pass and a study cannot use: an argument of another type, a language that is not spoken."""

from __future__ import annotations

from coref_k8s.errors import RequestError
from coref_k8s.wording import LANGUAGES, Lang, locale_lang


def check_type(name: str, value: object, *kinds: type | None) -> None:
    """Raise RequestError for an argument that is of none of these types (None stands for itself)."""
    if not isinstance(value, tuple(kind or type(None) for kind in kinds)):
        expected = " | ".join(kind.__name__ if kind else "None" for kind in kinds)
        raise RequestError("client.wrong-type", name=name, expected=expected, given=type(value).__name__)


def check_lang(lang: Lang | None) -> Lang:
    """Return the language, that of the locale for None. Raises RequestError for one that is not spoken."""
    if lang not in (None, *LANGUAGES):
        raise RequestError("words.unknown-language", option="lang", asked=lang, known=LANGUAGES)
    return lang or locale_lang()
