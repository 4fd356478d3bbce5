"""`ResolvedDocument`: who is who in a text, and the formats that this is written in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from coref_k8s.coref.formats.conll import to_conll
from coref_k8s.coref.formats.conllu import to_conllu
from coref_k8s.coref.formats.marked import to_text
from coref_k8s.coref.formats.page import to_html, to_notebook
from coref_k8s.coref.surface import is_pronoun
from coref_k8s.errors import RequestError
from coref_k8s.text.clean import clean_text
from coref_k8s.wording import LANGUAGES, Lang


@dataclass(frozen=True, slots=True)
class Mention:
    """Characters [`start`, `end`) of a text that name an entity, and their `text`.

    `confidence` is the probability that it is a mention; `link_confidence` that of the choice that put it into `chain`,
    the index of its chain in `ResolvedDocument.chains` (or that made it the first of one). Both are from 0 to 1.
    """

    start: int
    end: int
    text: str
    confidence: float
    chain: int
    link_confidence: float


@dataclass(frozen=True, repr=False)
class ResolvedDocument:
    """A text with its mentions in reading order (by start, longer first) and the chains that they form.

    `text` is the text as it was given, `mentions` are all mentions, `sentences` where its sentences stand (characters); no
    mention crosses one.
    """

    doc_id: str
    text: str
    mentions: Sequence[Mention]
    sentences: Sequence[tuple[int, int]] = ()

    @cached_property
    def chains(self) -> list[list[Mention]]:
        """Mentions of each entity in reading order, entities by their first mention."""
        chains: list[list[Mention]] = [
            [] for _ in range(1 + max((m.chain for m in self.mentions), default=-1))
        ]
        for mention in self.mentions:
            chains[mention.chain].append(mention)
        return chains

    @cached_property
    def names(self) -> list[str]:
        """What to call each chain: its most frequent words; a name goes before pronouns that are more frequent.

        A name is two characters or more that are no pronoun, and names one mention in ten: a narrator who is called by
        name once stays "나".
        """
        return [_name(Counter(clean_text(mention.text).text for mention in chain)) for chain in self.chains]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: `clusters` as the project's own JSON lines have them, and every mention with its confidences."""
        return {
            "doc_id": self.doc_id,
            "text": self.text,
            "clusters": [[[mention.start, mention.end] for mention in chain] for chain in self.chains],
            "mentions": [
                {
                    "start": mention.start,
                    "end": mention.end,
                    "text": mention.text,
                    "chain": mention.chain,
                    "confidence": round(mention.confidence, 4),
                    "link_confidence": round(mention.link_confidence, 4),
                }
                for mention in self.mentions
            ],
        }

    def to_json(self, indent: int | None = None) -> str:
        """One JSON object; without `indent` one line of JSON lines."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_conllu(self, first: int = 1) -> str:
        """CorefUD CoNLL-U with `Entity=`; words are cut where mentions begin and end.

        `first` is the number of its first entity: documents that are written to one file may not share any.
        """
        return to_conllu(self, first)

    def to_conll(self) -> str:
        """CoNLL-2012, one part."""
        return to_conll(self)

    def to_text(self, colour: bool = False) -> str:
        """The text with every mention in brackets and the number of its chain; in colours for a terminal."""
        return to_text(self, colour=colour)

    def to_html(self, lang: Lang = "en") -> str:
        """One HTML page that needs nothing else; `lang` is the language of its few labels. Raises RequestError for another one."""
        if lang not in LANGUAGES:
            raise RequestError("words.unknown-language", option="lang", asked=lang, known=LANGUAGES)
        return to_html(self, lang)

    def __repr__(self) -> str:
        counts = f"{len(self.text)} characters, {len(self.mentions)} mentions, {len(self.chains)} chains"
        return f"<{type(self).__name__} {self.doc_id!r}: {counts}>"

    def _repr_html_(self) -> str:
        return to_notebook(self)


def _name(counts: Counter[str]) -> str:
    least = counts.total() / 10
    return max(
        counts,
        key=lambda text: (len(text) > 1 and not is_pronoun(text) and counts[text] >= least, counts[text]),
    )
