"""What task coreference keeps of its text: whole documents with their gold chains, and what is counted of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from coref_k8s.text.document import Document

#: Counts how many gold mentions a model can give back from whole tokens: (documents, tokenizer) -> plain data.
Measure = Callable[[Iterable[Document], Any], dict[str, Any]]


def without_singletons(document: Document) -> Document:
    """Return a document without its entities of a single mention."""
    return replace(document, clusters={name: one for name, one in document.clusters.items() if len(one) > 1})


@dataclass
class ChainCounts:
    """The documents of one split."""

    documents: int = 0
    mentions: int = 0
    entities: int = 0
    singletons: int = 0
    tokens: int = 0
    longest: int = 0
    """The longest document (tokens)."""

    def add(self, document: Document, tokens: int) -> None:
        """Count a document of so many tokens."""
        sizes = [len(spans) for spans in document.clusters.values()]
        self.documents += 1
        self.mentions += sum(sizes)
        self.entities += len(sizes)
        self.singletons += sizes.count(1)
        self.tokens += tokens
        self.longest = max(self.longest, tokens)

    def to_json(self) -> dict[str, int]:
        """Plain data."""
        return asdict(self)
