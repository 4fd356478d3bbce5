"""Which documents are kept, and how many each filter removed."""

from __future__ import annotations

import hashlib
from collections import Counter

from coref_k8s.corpus.quality import Quality
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.text.document import Document, Split
from coref_k8s.wording import Message

#: Of two equal texts the one that must not be trained on is kept.
PRIORITY: dict[Split, int] = {"test": 0, "dev": 1, "train": 2}
#: Why documents are removed, as statistics name it; in words: `corpus.removed-<reason>`.
REASONS = (
    "empty",
    "too_short",
    "too_long",
    "domain",
    "no_chains",
    "same_text",
    "coref_density",
    "near_duplicate",
)


class Filters:
    """Decides on documents one by one and counts why they go."""

    def __init__(self, spec: DataSpec, *, chains: bool = False) -> None:
        """`chains`: only documents with gold chains are wanted."""
        self._spec, self.chains = spec, chains
        self.counts: Counter[str] = Counter(dict.fromkeys(REASONS, 0))

    def before_analysis(self, document: Document, config: DatasetConfig) -> bool:
        """Tell whether a document passes what needs no analysis: length (characters), domain, chains."""
        length = len(document.text)
        if not document.text.strip():
            return self._drop("empty")
        if length < config.min_length:
            return self._drop("too_short")
        if config.max_length is not None and length > config.max_length:
            return self._drop("too_long")
        if self._spec.domains and document.domain not in self._spec.domains:
            return self._drop("domain")
        if self.chains and not document.clusters:
            return self._drop("no_chains")
        return True

    def density(self, quality: Quality) -> bool:
        """Tell whether a document has the coreference density asked for."""
        return quality.coref_density >= self._spec.min_coref_density or self._drop("coref_density")

    def removed(self) -> list[Message]:
        """Return how many documents went for each reason, those that struck any."""
        usual = DatasetConfig.model_fields["min_length"].default
        return [Message.of(f"corpus.removed-{why}", n=n, usual=usual) for why, n in self.counts.items() if n]

    def drop(self, reason: str, count: int = 1) -> None:
        """Count documents that something else removed."""
        self.counts[reason] += count

    def _drop(self, reason: str) -> bool:
        self.counts[reason] += 1
        return False


def text_key(text: str) -> bytes:
    """Return what equal texts share, whatever their blanks."""
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
