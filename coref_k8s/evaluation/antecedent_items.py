"""Gold mentions to be linked: each with the strings of earlier mentions that it may go back to.

A mention is masked and every candidate asked for in its place. A name or noun tells whose it is; a pronoun does not, so pronouns
are linked, but are no candidates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coref_k8s.evaluation.closed import MAX_LENGTHS
from coref_k8s.evaluation.coref_items import RIGHT_CONTEXT, Span
from coref_k8s.evaluation.coreference.breakdown import MentionType, anaphors, is_pronoun
from coref_k8s.evaluation.drawing import Item, in_turns, shuffled
from coref_k8s.evaluation.table import Workbench
from coref_k8s.evaluation.vocabulary import Vocabulary


@dataclass(frozen=True)
class AntecedentItem(Item):
    """A gold mention whose entity has an earlier mention in its window; offsets are tokens of `document`, end exclusive."""

    window: Span
    target: Span
    entity: str
    type: MentionType
    distance: int
    """Tokens to the nearest mention of the same entity."""
    candidates: list[str]
    """Distinct strings of earlier mentions in the window, in the order of their nearest ones; none if all are pronouns."""
    entities: list[str]
    """Entity of the nearest mention with each of `candidates`."""
    frequent: int
    """Index of the candidate with the most mentions, of equals the nearest; the nearest is the last. -1 without candidates."""


def antecedent_items(
    bench: Workbench, index: int, seq_len: int, vocabulary: Vocabulary
) -> Iterator[AntecedentItem]:
    """Yield a document's gold mentions that have an antecedent in their window, in text order."""
    if not bench.document.clusters:
        return
    text, tokens = bench.document.text, bench.tokens
    named = [
        (*tokens.covering(start, end), " ".join(text[start:end].split()), entity)
        for start, end, entity in bench.document.mentions()
        if not is_pronoun(text, (start, end), bench.analysis)
    ]
    for mention in anaphors(
        bench.document, bench.analysis, list(zip(tokens.starts, tokens.ends, strict=True))
    ):
        first, last = target = tokens.covering(*mention.span)
        window = _window(bench, mention.span, target, seq_len)
        nearest = max((span for span in mention.antecedents if span[1] <= mention.span[0]), default=None)
        if first >= last or nearest is None or tokens.covering(*nearest)[0] < window[0]:
            continue
        some = named[bisect_left(named, (window[0],)) : bisect_left(named, (first,))]
        before = [(string, entity) for _, end, string, entity in some if end <= first]
        strings = _askable([string for string, _ in before], vocabulary)
        entities = dict(before)  # of equal strings that of the last, the nearest
        counts = Counter(string for string, _ in before)
        yield AntecedentItem(
            id=f"{bench.document.doc_id}:{mention.span[0]}-{mention.span[1]}",
            document=index,
            window=window,
            target=target,
            entity=mention.entity,
            type=mention.type,
            distance=mention.distance or 0,
            candidates=strings,
            entities=[entities[string] for string in strings],
            frequent=max(range(len(strings)), key=lambda i: (counts[strings[i]], i), default=-1),
        )


def sample(candidates: Sequence[AntecedentItem], max_items: int, seed: int) -> list[AntecedentItem]:
    """Draw at most `max_items`, taking turns between types, then documents.

    Types are rare and frequent; how many there were of each tells what an item stands for (`ItemSet.counts`).
    """
    return in_turns(shuffled(candidates, seed), max_items, group=lambda item: item.type)


def _window(bench: Workbench, span: Span, target: Span, seq_len: int) -> Span:
    """Return the `seq_len` - 2 tokens that end 32 tokens after the mention, or before its string comes again."""
    text, tokens = bench.document.text, bench.tokens
    again = text.find(text[span[0] : span[1]], span[1])
    following = tokens.covering(again, again + 1)[0] if again >= 0 else len(tokens.ids)
    end = max(target[1], min(target[1] + RIGHT_CONTEXT, following))
    return max(0, end - (seq_len - 2)), end


def _askable(strings: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Return the distinct strings that can be written in one of the most common numbers of tokens, the nearest last."""
    distinct = list(dict.fromkeys(reversed(strings)))[::-1]
    lengths = Counter(len(vocabulary.word(string)) for string in distinct)
    lengths.pop(0, None)
    kept = sorted(lengths, key=lambda n: (-lengths[n], n))[:MAX_LENGTHS]
    return [string for string in distinct if len(vocabulary.word(string)) in kept]
