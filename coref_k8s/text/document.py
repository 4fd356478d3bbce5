"""`Document`: one text with its coreference chains; what sources yield and evaluation reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from coref_k8s.text.words import Words

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
#: Fewest documents that an interval can be made of.
MIN_DOCUMENTS = 3


@dataclass(frozen=True)
class Document:
    """One text. Offsets are characters of `text`, end exclusive.

    `clusters` maps an entity's label to its mentions, sorted by start; empty for text without gold
    chains. `answer` is the word to be guessed of a published LAMBADA passage. `split` is the split that the
    document's author fixed, None where the split is ours to draw. `weight` is the relative chance to be sampled
    for training. `group` names the work that this is a part of: it stays in one split. `words` are those of a
    treebank: with them mentions can be matched by their heads. `zeros` are the places (characters) of mentions without
    a word of their own (dropped arguments), by entity: kept, not predicted. `beyond` counts what the annotation has
    that clusters of spans cannot hold, by its name in the catalogue (`coref_data.beyond-…`).
    """

    doc_id: str
    text: str
    clusters: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)
    title: str = ""
    domain: str = "general"
    source: str = ""
    split: Split | None = None
    weight: float = 1.0
    words: Words | None = None
    answer: tuple[int, int] | None = None
    group: str = ""
    zeros: Mapping[str, list[int]] = field(default_factory=dict)
    beyond: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """A short hash of text and chains: documents of one name that differ in either are others."""
        content = json.dumps([self.text, list(self.mentions())], ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:10]

    def mentions(self) -> Iterator[tuple[int, int, str]]:
        """Yield (start, end, entity) of every gold mention, by start, longer first."""
        found = ((start, end, name) for name, spans in self.clusters.items() for start, end in spans)
        return iter(sorted(found, key=lambda mention: (mention[0], -mention[1], mention[2])))
