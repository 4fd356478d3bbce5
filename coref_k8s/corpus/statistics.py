"""What a preparation counted: the numbers that `coref-k8s data show` prints and results carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coref_k8s.corpus.marked import mark
from coref_k8s.corpus.quality import DISTANCES, Analysed
from coref_k8s.corpus.sources import Loaded
from coref_k8s.text.document import Document

#: Upper ends of the distance buckets (tokens) of METRICS.md.
TOKEN_DISTANCES = (512, 1024, 1536, 2048)
#: Upper ends of the document length buckets (tokens).
TOKEN_LENGTHS = (128, 256, 512, 1024, 2048, 4096)
FREQUENT_NOUNS = 100
SAMPLES, SAMPLE_CHARACTERS = 3, 600


@dataclass
class LengthCounts:
    """Training rows of one sequence length."""

    seq_len: int
    rows: int = 0
    tokens: int = 0
    chunks: int = 0
    documents: int = 0
    mentions: int = 0
    distances: list[int] = field(default_factory=lambda: [0] * (len(TOKEN_DISTANCES) + 1))

    def add(self, row: dict[str, np.ndarray]) -> None:
        """Count a row."""
        self.rows += 1
        self.tokens += len(row["input_ids"])
        self.chunks += int(row["segments"][-1]) + 1
        distances = row["mention_distance"]
        self.mentions += len(distances)
        later = distances[distances >= 0]
        for bucket in np.searchsorted(TOKEN_DISTANCES, later, side="left").tolist():
            self.distances[bucket] += 1

    def to_json(self) -> dict[str, Any]:
        """Return the counts with the share of padding if every row is padded to the length."""
        return {
            "rows": self.rows,
            "tokens": self.tokens,
            "chunks": self.chunks,
            "documents": self.documents,
            "padding": round(1 - self.tokens / (self.rows * self.seq_len), 4) if self.rows else 0.0,
            "mentions": self.mentions,
            "distances": dict(zip(buckets(TOKEN_DISTANCES), self.distances, strict=True)),
        }


class TextCounts:
    """Quality of the documents that were kept, over all lengths."""

    def __init__(self) -> None:
        self.documents: Counter[str] = Counter()
        self.domains: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.characters = self.words = self.nouns = self.pronouns = self.repeated = 0
        self.distances = [0] * (len(DISTANCES) + 1)
        self.frequent: Counter[str] = Counter()
        self.tokens = self.aligned = self.candidates = 0
        self.lengths = [0] * (len(TOKEN_LENGTHS) + 1)
        self.samples: list[dict[str, str]] = []

    def add(self, document: Document, analysed: Analysed, split: str) -> None:
        """Count a kept document."""
        quality = analysed.quality
        self.documents[split] += 1
        self.domains[document.domain] += 1
        self.sources[document.source] += 1
        self.characters += quality.characters
        self.words += quality.words
        self.nouns += quality.nouns
        self.pronouns += quality.pronouns
        self.repeated += quality.repeated
        for bucket, count in enumerate(quality.distances):
            self.distances[bucket] += count

    def add_training(
        self, document: Document, analysed: Analysed, tokens: int, aligned: int, candidates: int
    ) -> None:
        """Count a document that is trained on, by its tokens and noun runs."""
        self.tokens += tokens
        self.lengths[int(np.searchsorted(TOKEN_LENGTHS, tokens, side="left"))] += 1
        self.aligned += aligned
        self.candidates += candidates
        runs = analysed.noun_runs
        self.frequent.update(document.text[s:e] for s, e in zip(runs[::2], runs[1::2], strict=True))
        if len(self.frequent) > 200_000:
            self.frequent = Counter(dict(self.frequent.most_common(50_000)))
        if len(self.samples) < SAMPLES:
            self.samples.append(
                {"doc_id": document.doc_id, "source": document.source, "text": _sample(document, runs)}
            )

    def to_json(self) -> dict[str, Any]:
        """Return densities (per 100 words), counts, lengths, distances and samples."""
        words = max(1, self.words)
        return {
            "documents": {split: self.documents[split] for split in ("train", "dev", "test")},
            "domains": dict(sorted(self.domains.items())),
            "sources": dict(sorted(self.sources.items())),
            "characters": self.characters,
            "words": self.words,
            "noun_density": round(100 * self.nouns / words, 2),
            "pronoun_density": round(100 * self.pronouns / words, 2),
            "coref_density": round(100 * (self.repeated + self.pronouns) / words, 2),
            "distances_characters": dict(zip(buckets(DISTANCES), self.distances, strict=True)),
            "training_tokens": self.tokens,
            "document_tokens": dict(zip(buckets(TOKEN_LENGTHS), self.lengths, strict=True)),
            "mentions_aligned": round(self.aligned / self.candidates, 4) if self.candidates else None,
            "frequent_nouns": [word for word, _ in self.frequent.most_common(FREQUENT_NOUNS)],
            "samples": self.samples,
        }


def buckets(limits: Sequence[int]) -> list[str]:
    """Name the buckets between limits: `0-512`, `513-1024`, ..., `2049+`."""
    lows = [0, *(limit + 1 for limit in limits)]
    return [f"{low}-{high}" for low, high in zip(lows, limits, strict=False)] + [f"{lows[-1]}+"]


def assemble(
    *,
    key: str,
    code: int,
    tokenizer: dict[str, Any],
    filters: dict[str, int],
    loaded: Loaded,
    text: TextCounts,
    lengths: dict[int, LengthCounts],
) -> dict[str, Any]:
    """Return the whole of the statistics, ready for JSON."""
    return {
        "hash": key,
        "code_version": code,
        "tokenizer": tokenizer,
        **text.to_json(),
        "filters": filters,
        "read": loaded.documents,
        "revisions": loaded.revisions,
        "licences": {name: licensed.to_dict() for name, licensed in loaded.licences.items()},
        "skipped_sources": [
            {
                "source": lost.source,
                "reason": lost.reason,
                "message": lost.message.dump(),
                "documents": lost.documents,
            }
            for lost in loaded.skipped
        ],
        "left_out": [message.dump() for message in loaded.left_out],
        "lengths": {str(length): counts.to_json() for length, counts in lengths.items()},
    }


def _sample(document: Document, runs: Sequence[int]) -> str:
    """Return the beginning of a document with the mentions of repeated entities marked."""
    if document.clusters:
        mentions = list(document.mentions())
    else:
        spans = [(s, e, document.text[s:e]) for s, e in zip(runs[::2], runs[1::2], strict=True)]
        counts = Counter(text for _, _, text in spans)
        numbers: dict[str, str] = {}
        mentions = [
            (s, e, numbers.setdefault(t, str(len(numbers) + 1))) for s, e, t in spans if counts[t] > 1
        ]
    end = min(SAMPLE_CHARACTERS, len(document.text))
    shown = mark(document.text[:end], [mention for mention in mentions if mention[1] <= end])
    return shown if end == len(document.text) else f"{shown} …"
