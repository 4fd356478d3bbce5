"""LAMBADA items: the last content word of a passage, which only the passage before tells.

After Paperno et al. 2016 (LAMBADA). A passage is consecutive sentences, as many as fit the window; its
last sentence holds the target once, an earlier one held it before. Korean sentences end in a predicate
whose stem seldom stands free of its ending, so the target is the last noun run or free verb stem among the
last three words (docs/decisions/020-lambada-in-korean.md). Released items (Ko-LAMBADA) are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from coref_k8s.evaluation.drawing import Item, in_turns, shuffled
from coref_k8s.evaluation.table import Mention, Workbench
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.text.korean import kiwi, strip_josa

#: Words at the end of a sentence among which its last content word is looked for.
LAST_WORDS = 3
#: Most items of one document, and of one string in one document.
PER_DOCUMENT = 20
PER_STRING = 2

_WORD = re.compile(r"\S*[가-힣]\S*")
_FREE_STEMS = frozenset({"VV", "VA"})

Span = tuple[int, int]


@dataclass(frozen=True)
class LambadaItem(Item):
    """A passage with its target; offsets are tokens of `document`, end exclusive."""

    passage: Span
    sentence: Span
    """The sentence that holds the target: what the last-sentence-only arm shows."""
    target: Span
    string: str
    released: bool = False
    """Taken from a published set, not made from a document."""


def from_document(
    bench: Workbench, index: int, seq_len: int, vocabulary: Vocabulary
) -> Iterator[LambadaItem]:
    """Yield the items of a document, in text order."""
    text, tokens = bench.document.text, bench.tokens
    sentences = [(start, end, *tokens.covering(start, end)) for start, end in bench.analysis.sentences]
    for number, (start, end, first, last) in enumerate(sentences):
        if number == 0 or last - first > seq_len - 2:
            continue
        for target, surface in _last_content(bench, start, end, vocabulary):
            begin = number
            while begin > 0 and last - sentences[begin - 1][2] <= seq_len - 2:
                begin -= 1
            if text.count(surface, start, end) == 1 and _reads(bench, surface, sentences[begin][0], start):
                at = tokens.starts[target[0]]
                yield LambadaItem(
                    id=f"{bench.document.doc_id}:{at}-{at + len(surface)}",
                    document=index,
                    passage=(sentences[begin][2], last),
                    sentence=(first, last),
                    target=target,
                    string=surface,
                )
            break


def from_released(bench: Workbench, index: int, seq_len: int) -> LambadaItem | None:
    """Take a released item; None when its answer is not whole tokens.

    Particles and endings are split off with Kiwi and stay unmasked.
    """
    assert bench.document.answer is not None
    at, stop = bench.document.answer
    surface = strip_josa(bench.document.text[at:stop])
    tokens = bench.tokens
    target = tokens.exactly(at, at + len(surface))
    if target is None:
        return None
    first, last = target
    sentence = next((s for s in bench.analysis.sentences if s[0] <= at < s[1]), (0, len(bench.document.text)))
    end = min(len(tokens.ids), max(last, first + seq_len - 2))
    begin = max(0, end - (seq_len - 2))
    inside = tokens.covering(*sentence)
    return LambadaItem(
        id=f"{bench.document.doc_id}:{at}-{at + len(surface)}",
        document=index,
        passage=(begin, end),
        sentence=(max(begin, inside[0]), min(end, inside[1])),
        target=target,
        string=surface,
        released=True,
    )


def sample(candidates: Sequence[LambadaItem], max_items: int, seed: int) -> list[LambadaItem]:
    """Draw at most `max_items`, taking turns between documents."""
    return in_turns(
        shuffled(candidates, seed),
        max_items,
        per_document=PER_DOCUMENT,
        string=lambda item: item.string,
        per_string=PER_STRING,
    )


def _reads(bench: Workbench, word: str, start: int, end: int) -> bool:
    """Whether a word can be read in characters [start, end): it stands there from the start of a token on."""
    text, tokens = bench.document.text, bench.tokens
    at = text.find(word, start, end)
    while at >= 0:
        if tokens.starts[tokens.covering(at, at + 1)[0]] == at:
            return True
        at = text.find(word, at + 1, end)
    return False


def _last_content(bench: Workbench, start: int, end: int, vocabulary: Vocabulary) -> list[tuple[Span, str]]:
    """The last usable content stem among a sentence's last words, as a list of at most one."""
    text = bench.document.text
    words = [match.start() for match in _WORD.finditer(text, start, end)]
    if not words:
        return []
    bound = words[-LAST_WORDS] if len(words) >= LAST_WORDS else words[0]
    found: list[tuple[int, Span, str]] = [
        (m.characters[0], (m.start, m.end), text[slice(*m.characters)])
        for m in _mentions_between(bench, bound, end)
    ]
    found += _verb_stems(bench, bound, end, vocabulary)
    return [(span, surface) for _, span, surface in sorted(found)[-1:]]


def _mentions_between(bench: Workbench, start: int, end: int) -> list[Mention]:
    return [m for m in bench.mentions if start <= m.characters[0] and m.characters[1] <= end]


def _verb_stems(
    bench: Workbench, start: int, end: int, vocabulary: Vocabulary
) -> Iterator[tuple[int, Span, str]]:
    """Verb and adjective stems of two or more syllables that have not merged with their ending."""
    text, tokens = bench.document.text, bench.tokens
    morphemes = kiwi().tokenize(text[start:end])
    for stem, ending in pairwise(morphemes):
        if stem.tag not in _FREE_STEMS or stem.len < 2 or ending.start < stem.end:
            continue
        at, stop = start + stem.start, start + stem.end
        span = tokens.exactly(at, stop)
        if span and tokens.ids[slice(*span)] == vocabulary.word(text[at:stop]):
            yield at, span, text[at:stop]
