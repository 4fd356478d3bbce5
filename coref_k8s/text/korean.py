"""Korean morphology by Kiwi: noun runs, pronouns, sentences and words of a text.

The definitions are those that the metrics, the quality filters and the masking share. A noun run is a
maximal chain of adjacent morphemes of one word with tags NNG NNP NR SN SL XPN XSN NNB, holding at least
one NNG or NNP and two syllables: single morphemes are not enough, since Kiwi may split a name it does
not know into several. Kiwi takes 2-4 s to load; it is loaded once a process, at first use. Of its 520 MiB
about 470 are a mapped model file that processes on one machine share.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from coref_k8s.errors import MissingDependencyError

#: Tags that a noun run may consist of, and those of which it needs one (Sejong tag set).
RUN_TAGS = frozenset({"NNG", "NNP", "NR", "SN", "SL", "XPN", "XSN", "NNB"})
CORE_TAGS = frozenset({"NNG", "NNP"})
#: Kiwi tags these as pronouns (NP); they ask or generalise, and refer to nothing said before.
INTERROGATIVES = frozenset(
    {"무엇", "뭐", "무어", "뭣", "머", "누구", "누", "어디", "언제", "아무", "아무개", "어느", "몇"}
)
# Text is analysed in pieces of at most this many characters, so memory does not grow with a document.
_PIECE = 20_000
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_TWO_SYLLABLES = re.compile(r"[가-힣A-Za-z0-9㐀-鿿].*?[가-힣A-Za-z0-9㐀-鿿]", re.DOTALL)


class Span(NamedTuple):
    """A piece of a text: characters [start, end) and what stands there."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """What Kiwi says about a text; every list is in text order."""

    noun_runs: list[Span]
    """Noun runs: maximal chains of nominal morphemes in one word."""
    pronouns: list[Span]
    """Pronouns (NP) that can refer back; a contraction (이게) keeps its particle."""
    interrogatives: list[Span]
    """What Kiwi tags as pronoun but asks (무엇, 누구): no anaphors."""
    sentences: list[tuple[int, int]]
    """Sentences: characters [start, end), without surrounding blanks."""
    words: int
    """Words (eojeol)."""


def analyse(text: str) -> Analysis:
    """Analyse a text of any length; blank lines always end a sentence.

    Raises MissingDependencyError when Kiwi is not installed.
    """
    result = Analysis([], [], [], [], 0)
    words = 0
    for offset, piece in _pieces(text):
        for sentence in _sentences(kiwi().tokenize(piece)):
            start, end = offset + sentence[0].start, offset + sentence[-1].end
            result.sentences.append((start, end))
            words += sentence[-1].word_position - sentence[0].word_position + 1
            _collect(text, offset, sentence, result)
    return Analysis(result.noun_runs, result.pronouns, result.interrogatives, result.sentences, words)


class Morpheme(NamedTuple):
    """Characters [start, end) of a text and their tag (Sejong tag set); contracted morphemes share characters."""

    start: int
    end: int
    tag: str


def morphemes(text: str) -> Iterator[list[Morpheme]]:
    """Yield the morphemes of each sentence of a text of any length; blank lines always end a sentence.

    Raises MissingDependencyError when Kiwi is not installed.
    """
    for offset, piece in _pieces(text):
        for sentence in _sentences(kiwi().tokenize(piece)):
            yield [Morpheme(offset + token.start, offset + token.end, token.tag) for token in sentence]


def is_noun(word: str) -> bool:
    """Tell whether a bare word is, as a whole, nominal morphemes with at least one NNG or NNP.

    Unlike a noun run it may have a single syllable.
    """
    if not word or word.isspace():
        return False
    tokens = kiwi().tokenize(word)
    return (
        bool(tokens)
        and all(token.tag in RUN_TAGS for token in tokens)
        and any(token.tag in CORE_TAGS for token in tokens)
        and tokens[0].start == 0
        and tokens[-1].end == len(word)
    )


def strip_josa(word: str) -> str:
    """Return a word without its trailing particles and copula: 나루터에서는 -> 나루터."""
    end = len(word)
    tokens = kiwi().tokenize(word)
    while tokens and (tokens[-1].tag.startswith("J") or tokens[-1].tag in {"VCP", "EF", "EC", "EP", "ETM"}):
        # An ending belongs to a verb unless a copula stands between it and a noun.
        if tokens[-1].tag.startswith("E") and not any(token.tag == "VCP" for token in tokens):
            break
        end = min(end, tokens[-1].start)
        tokens = tokens[:-1]
    return word[:end] if end else word


def josa_class(word: str) -> str:
    """Return which particle forms a word takes, by its last sound: `vowel`, `rieul`, `consonant` or `other`.

    Two words of one class take the same particles (이/가, 을/를, 로/으로). Digits count as they are read.
    """
    last = word[-1:] if word else ""
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
        return "vowel" if final == 0 else "rieul" if final == 8 else "consonant"
    if last.isdigit():
        return {
            "1": "rieul",
            "7": "rieul",
            "8": "rieul",
            "0": "consonant",
            "3": "consonant",
            "6": "consonant",
        }.get(last, "vowel")
    return "other"


@lru_cache(maxsize=1)
def kiwi() -> Any:
    """Return this process's Kiwi; loads it at the first call."""
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise MissingDependencyError("corpus.needs-package", package="kiwipiepy") from error
    # One worker: Kiwi's own threads give no gain, processes do (corpus/quality.py).
    return Kiwi(num_workers=1)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, piece): the text cut at blank lines, and at the last line or blank before the limit."""
    start = 0
    bounds = [*((gap.start(), gap.end()) for gap in _BLANK_LINE.finditer(text)), (len(text), len(text))]
    for end, following in bounds:
        while end - start > _PIECE:
            cut = max(text.rfind("\n", start, start + _PIECE), text.rfind(". ", start, start + _PIECE) + 1)
            if cut <= start:
                cut = text.rfind(" ", start, start + _PIECE)
            if cut <= start:
                cut = start + _PIECE
            yield start, text[start:cut]
            start = cut
        if end > start:
            yield start, text[start:end]
        start = following


def _sentences(tokens: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the tokens of each sentence: what Kiwi's `split_sents` gives by a call a token, in less time."""
    numbers = [token.sent_position for token in tokens]
    start = 0
    while start < len(tokens):
        end = bisect_right(numbers, numbers[start], lo=start)
        yield tokens[start:end]
        start = end


def _collect(text: str, offset: int, sentence: Sequence[Any], into: Analysis) -> None:
    """Add a sentence's noun runs and pronouns."""
    start = end = word = -1  # the open run; start is -1 when there is none
    core = False
    for token in sentence:
        # Every attribute is a call into Kiwi, and most tokens are neither nominal nor beside a run.
        tag = token.tag
        if tag in RUN_TAGS:
            begins = offset + token.start
            if begins != end or token.word_position != word or start < 0:
                if core:
                    _close(text, start, end, into)
                start, word, core = begins, token.word_position, False
            end = offset + token.end
            core = core or tag in CORE_TAGS
            continue
        if start >= 0:
            # contracted with what follows, the run has no surface of its own
            if core and (end <= offset + token.start or token.word_position != word):
                _close(text, start, end, into)
            start, core = -1, False
        if tag == "NP":
            span = offset + token.start, offset + token.end
            target = into.interrogatives if token.form in INTERROGATIVES else into.pronouns
            target.append(Span(*span, text[span[0] : span[1]]))
    if core:
        _close(text, start, end, into)


def _close(text: str, start: int, end: int, into: Analysis) -> None:
    surface = text[start:end]
    if _TWO_SYLLABLES.search(surface):
        into.noun_runs.append(Span(start, end, surface))
