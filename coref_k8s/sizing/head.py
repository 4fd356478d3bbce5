"""The coreference head in numbers: its weights, and what a batch of windows keeps of it (`coref_k8s/coref/head.py`)."""

from __future__ import annotations

from dataclasses import dataclass

#: Mentions whose links are scored at once; of more, the links are computed again in the backward pass.
BLOCK = 512
#: Bytes that a pair of mentions keeps or needs for a moment: masks and numbers of its kind, its score in several forms;
#: and those of a mention and an entity that it may belong to.
PAIR_BYTES, ENTITY_BYTES = 30, 40


@dataclass(frozen=True)
class HeadShape:
    """Sizes of the head's layers, and what documents are expected to hold."""

    mention: int = 256
    """Width of the layers that find mentions."""
    link: int = 256
    """Width of a mention's vector."""
    pairs: int = 640
    """Width of the bilinear forms of pairs in all."""
    mentions: float = 0.125
    """Mentions of a token. Novels in which persons are marked have 0.04, texts in which every noun phrase is, 0.2."""
    spans: float = 4.0
    """Spans of a token of which it is asked whether they are mentions: starts, up to the ends of their sentences."""
    entities: float = 0.5
    """Entities of a mention: about half of the noun phrases of a text are named once only."""

    def parameters(self, hidden: int) -> int:
        """Number of trainable parameters over states of a width."""
        finding = 3 * (hidden * self.mention + self.mention) + 12 * self.mention
        linking = 2 * hidden * self.link + 3 * self.link + 2 * (self.link + 1) * self.pairs
        return finding + linking

    def bytes(self, tokens: int, hidden: int, mask: int, narrow: int) -> int:
        """Return what the loss of windows of so many tokens in all keeps and holds for a moment (bytes).

        `mask` and `narrow`: bytes of a number that dropout keeps, and of one that a matrix product made.
        """
        copies = 2 * 3 if narrow == 2 else 0
        states = tokens * (hidden * (4 + 3 * (4 + mask) + copies) + self.mention * (4 + 4 + mask))
        spans = int(self.spans * tokens) * self.mention
        found = int(2 * self.mentions * tokens)  # as many again are mistaken for one
        vectors = found * (2 * hidden * (4 + mask) + self.link * (12 + mask) + 2 * self.pairs * 4)
        finding = tokens * self.mention * 2 * narrow + spans * 2 * 4
        linking = vectors + min(found, BLOCK) * found * int(PAIR_BYTES + ENTITY_BYTES * self.entities)
        return states + spans * (4 + 4 + mask) + max(finding, linking)
