"""Gold mentions to be linked, for the CoNLL scores: real coreference on gold chains.

Every gold mention is masked in its window and scored against the strings of earlier gold mentions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coref_k8s.evaluation.coref_items import RIGHT_CONTEXT
from coref_k8s.evaluation.table import Workbench
from coref_k8s.evaluation.vocabulary import Vocabulary

#: Longest antecedent string (tokens) that is scored; longer phrases are no single name.
LONGEST = 4

Span = tuple[int, int]


@dataclass(frozen=True)
class ConllItem:
    """One gold mention; offsets are tokens of `document`, end exclusive."""

    id: str
    document: int
    window: Span
    target: Span
    entity: str
    names: bool
    """Holds a noun run, so that its string may name an antecedent; pronouns are only linked."""
    string: str
    pieces: list[int]
    """T(string); empty when it is too long or cannot be written."""


def conll_items(
    benches: Sequence[Workbench], indices: Sequence[int], seq_len: int, vocabulary: Vocabulary
) -> list[ConllItem]:
    """Every gold mention of every document with gold clusters, by document and place."""
    items = []
    for index, bench in zip(indices, benches, strict=True):
        text, tokens = bench.document.text, bench.tokens
        runs = [(run.start, run.end) for run in bench.analysis.noun_runs]
        for start, end, entity in bench.document.mentions():
            first, last = tokens.covering(start, end)
            if first >= last:
                continue
            again = text.find(text[start:end], end)
            following = tokens.covering(again, again + 1)[0] if again >= 0 else len(tokens.ids)
            stop = max(last, min(last + RIGHT_CONTEXT, following))
            pieces = vocabulary.word(text[start:end])
            items.append(
                ConllItem(
                    id=f"{bench.document.doc_id}:{start}-{end}:{entity}",
                    document=index,
                    window=(max(0, stop - (seq_len - 2)), stop),
                    target=(first, last),
                    entity=entity,
                    names=any(start <= run[0] and run[1] <= end for run in runs),
                    string=text[start:end],
                    pieces=pieces if len(pieces) <= LONGEST else [],
                )
            )
    return items
