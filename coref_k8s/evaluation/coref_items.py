"""Masked-mention items: a noun run whose earlier occurrence lies in the window, and first mentions.

The antecedent is the NEAREST earlier occurrence, and an item is dropped when anything between it and the
target reveals the string (나루터지기 for 나루터), so an item of a distance bucket needs at least that much context.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coref_k8s.evaluation.drawing import Item, in_turns, shuffled
from coref_k8s.evaluation.table import Mention, Workbench
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.text.korean import josa_class

#: Tokens kept to the right of a target.
RIGHT_CONTEXT = 32
#: Upper bounds of the distance buckets (tokens between antecedent and target).
BUCKETS = (512, 1024, 1536, 2048)
#: Most items of one document in one bucket, and of one string in one document.
PER_DOCUMENT_BUCKET = 5
PER_STRING = 2

Span = tuple[int, int]


@dataclass(frozen=True)
class CorefItem(Item):
    """A target in its window; offsets are tokens of `document`, end exclusive."""

    window: Span
    target: Span
    string: str
    entity: str
    antecedent: Span | None
    """None for a first mention, which has nothing to be linked to."""
    distance: int
    """Tokens between antecedent and target; 0 for a first mention."""
    earlier: list[Span]
    """Where the string stands left of the target in the window, be it inside a longer token."""
    swap: str | None = None
    """A noun run of another document that may stand for the string: as many tokens, same josa class."""


def bucket(distance: int) -> int:
    """Index of the distance's bucket."""
    return next((i for i, bound in enumerate(BUCKETS) if distance <= bound), len(BUCKETS) - 1)


def window(bench: Workbench, mention: Mention, seq_len: int) -> Span:
    """The `seq_len` - 2 tokens that end 32 tokens after the target, or before its string comes again."""
    end = min(mention.end + RIGHT_CONTEXT, len(bench.tokens.ids))
    for start, _ in bench.occurrences(mention.string):
        if start >= mention.end:
            end = min(end, start)
            break
    return max(0, end - (seq_len - 2)), end


def anaphoric(bench: Workbench, index: int, seq_len: int) -> Iterator[CorefItem]:
    """Yield the document's targets that have an antecedent in their window, in text order."""
    gold = bool(bench.document.clusters)
    entities = {run[0]: entity for run, entity in zip(bench.table.runs, bench.table.entities, strict=True)}
    for mention in bench.mentions:
        if gold and mention.entity.startswith("="):
            continue
        before = [span for span in bench.by_string[mention.string] if span[1] <= mention.start]
        if not before:
            continue
        antecedent = before[-1]
        earlier = [span for span in bench.occurrences(mention.string) if span[0] < mention.start]
        distance = mention.start - antecedent[1]
        first, last = window(bench, mention, seq_len)
        if (
            distance <= 0
            or antecedent[0] < first
            or earlier[-1][0] > antecedent[0]  # something nearer reveals the string
            or earlier[-1][1] > mention.start
            or (gold and entities[antecedent[0]] != mention.entity)
        ):
            continue
        yield CorefItem(
            id=_identity(bench, mention),
            document=index,
            window=(first, last),
            target=(mention.start, mention.end),
            string=bench.table.strings[mention.string],
            entity=mention.entity,
            antecedent=antecedent,
            distance=distance,
            earlier=[
                (start, stop)
                for start, stop, _ in bench.places(mention.string)
                if first <= start < mention.start
            ],
        )


def first_mentions(bench: Workbench, index: int, seq_len: int) -> Iterator[CorefItem]:
    """Yield the first mentions of entities whose string has not been read before, in text order.

    With gold chains those of gold entities alone, singletons among them: what is not annotated may refer to anything.
    """
    gold = bool(bench.document.clusters)
    seen: set[str] = set()
    for mention in bench.mentions:
        if gold and mention.entity.startswith("="):
            continue
        known = mention.entity in seen
        seen.add(mention.entity)
        if known or bench.occurrences(mention.string)[0][0] < mention.start:
            continue
        if _introduced(bench, mention):
            continue
        yield CorefItem(
            id=_identity(bench, mention),
            document=index,
            window=window(bench, mention, seq_len),
            target=(mention.start, mention.end),
            string=bench.table.strings[mention.string],
            entity=mention.entity,
            antecedent=None,
            distance=0,
            earlier=[],
        )


def sample(candidates: Sequence[CorefItem], max_items: int, seed: int) -> list[CorefItem]:
    """Draw at most `max_items`, taking turns between buckets, then documents; far ones are rare: they choose first."""
    return in_turns(
        sorted(shuffled(candidates, seed), key=lambda item: -bucket(item.distance)),
        max_items,
        group=lambda item: bucket(item.distance),
        per_document=PER_DOCUMENT_BUCKET,
        string=lambda item: item.string,
        per_string=PER_STRING,
    )


def pair(items: Sequence[CorefItem], pool: Sequence[CorefItem]) -> list[tuple[CorefItem, CorefItem]]:
    """Give each anaphoric item a first mention with about as much left context, of its document if possible.

    Each first mention serves once; items for which none is left are not paired.
    """
    unused: dict[int, dict[str, CorefItem]] = defaultdict(dict)
    for first in sorted(pool, key=lambda item: item.id):
        unused[first.document][first.id] = first

    def room(item: CorefItem) -> int:
        return item.target[0] - item.window[0]

    pairs = []
    for item in items:
        choices = unused.get(item.document) or {k: v for some in unused.values() for k, v in some.items()}
        if not choices:
            break
        best = min(choices.values(), key=lambda other: (abs(room(other) - room(item)), other.id))
        pairs.append((item, unused[best.document].pop(best.id)))
    return pairs


def swaps(
    items: Sequence[CorefItem], benches: Sequence[Workbench], vocabulary: Vocabulary, seed: int
) -> dict[str, str]:
    """For each item id a noun run of another document: as many tokens, same josa class, new to its window."""
    pool: dict[tuple[int, str], list[tuple[str, int]]] = defaultdict(list)
    for number, bench in enumerate(benches):
        for string, pieces in zip(bench.table.strings, bench.table.pieces, strict=True):
            pool[len(pieces), josa_class(string)].append((string, number))
    found = {}
    for item in items:
        rng = random.Random(f"{seed}/{item.id}")
        choices = pool[len(vocabulary.word(item.string)), josa_class(item.string)]
        text = benches[item.document].document.text
        for _ in range(20):
            string, number = rng.choice(choices)
            if (
                number != item.document
                and string not in text
                and vocabulary.join(vocabulary.word(string)) != vocabulary.join(vocabulary.word(item.string))
            ):
                found[item.id] = string
                break
    return found


def _identity(bench: Workbench, mention: Mention) -> str:
    """An id that does not depend on the tokeniser, so that models with different ones can be paired."""
    return f"{bench.document.doc_id}:{mention.characters[0]}-{mention.characters[1]}"


def _introduced(bench: Workbench, mention: Mention) -> bool:
    """Whether a gold entity has an earlier mention of any kind (a pronoun, a longer phrase)."""
    spans = bench.document.clusters.get(mention.entity, ())
    return any(start < mention.characters[0] for start, _ in spans)
