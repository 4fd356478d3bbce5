"""What the model must predict: random whole words, and later mentions of what was named before.

Random masking alone does not teach a model to look far back (METRICS.md section 6: it stays at 0 where
mention masking reaches 0.99), so a share of the masked tokens comes from repeated mentions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coref_k8s.trial.hyperparameters import Hyperparameters

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Label of a token that is not predicted.
IGNORED = -100
#: Of the tokens of random words: this share becomes [MASK], the next a random token; the rest stay.
SHARE_MASK, SHARE_RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class TokenSequence:
    """One prepared sequence of n tokens. Offsets are tokens, end exclusive."""

    input_ids: Ints
    """(n,) with the special tokens."""
    segments: Ints
    """(n,) number of the packed document that a token belongs to, from 0."""
    word_starts: Bools
    """(n,) whether a token is the first piece of a word."""
    mention_start: Ints
    """(m,)"""
    mention_end: Ints
    """(m,)"""
    mention_entity: Ints
    """(m,) number of the entity."""
    mention_distance: Ints
    """(m,) tokens since the previous mention of the same entity; -1 for the first."""


@dataclass(frozen=True)
class Vocabulary:
    """What masking must know of a tokeniser."""

    size: int
    mask: int
    pad: int
    special: tuple[int, ...]

    def ordinary(self) -> Ints:
        """Return the ids that a random replacement may take."""
        ids = np.arange(self.size)
        return ids[~np.isin(ids, self.special)]


class Masker:
    """Draws the masks of a step.

    For a sequence of n tokens, of at most `seq_len`, the budget is p(n)·n tokens with
    p(n) = low + (high - low)·n / seq_len. `mention_share` of the masked tokens are mentions, the rest words:
    where a step's mentions are fewer than their share of the budget, it masks fewer words, so that the
    mix holds; only where it has none at all are the words' full share masked.

    Mentions: only later ones (distance > 0), drawn without replacement with weight
    distance^preference. All tokens of a mention become [MASK], always: that is what evaluation asks for,
    and a half-replaced name would teach nothing. The first mention of the entity is kept whole, so there
    is always something to find, at the distance that was drawn or further away.

    Words: uniform, whole, replaced 80/10/10 by [MASK], a random token, themselves. A word that touches
    a mention of a drawn entity is left alone: names stay readable, and so do their particles.
    """

    def __init__(self, vocabulary: Vocabulary, hyper: Hyperparameters, seq_len: int) -> None:
        self.vocabulary = vocabulary
        self._special = np.zeros(max(vocabulary.size, max(vocabulary.special, default=0) + 1), dtype=bool)
        self._special[list(vocabulary.special)] = True
        self._ordinary = vocabulary.ordinary()
        self._hyper = hyper
        self._seq_len = seq_len

    def probability(self, tokens: int) -> float:
        """Return p(n), the share of tokens masked in a sequence of n tokens."""
        low, high = self._hyper.mask_low, self._hyper.mask_high
        return low + (high - low) * min(1.0, tokens / self._seq_len)

    def mask(self, sequences: Sequence[TokenSequence], rng: np.random.Generator) -> list[tuple[Ints, Ints]]:
        """Return (input_ids, labels), (n,) each, of all sequences of a step.

        Labels are `IGNORED` where nothing is predicted.
        """
        contents = [~self._special[one.input_ids] for one in sequences]
        budgets = [self.probability(len(content)) * int(content.sum()) for content in contents]
        share = self._hyper.mention_share
        mentions = [
            self._draw_mentions(one, share * budget, rng)
            for one, budget in zip(sequences, budgets, strict=True)
        ]
        drawn = sum(int(masked.sum()) for masked, _ in mentions)
        scale = 1 - share
        if 0 < drawn < share * sum(budgets):
            scale *= drawn / (share * sum(budgets))
        return [
            self._apply(
                one,
                masked,
                self._draw_words(one.word_starts, scale * budget, rng, masked | kept, content),
                rng,
            )
            for one, budget, content, (masked, kept) in zip(
                sequences, budgets, contents, mentions, strict=True
            )
        ]

    def _apply(
        self, sequence: TokenSequence, mentions: Bools, words: Ints, rng: np.random.Generator
    ) -> tuple[Ints, Ints]:
        ids = sequence.input_ids.copy()
        labels = np.full(len(ids), IGNORED, dtype=np.int64)
        labels[mentions] = ids[mentions]
        labels[words] = ids[words]
        ids[mentions] = self.vocabulary.mask
        dice = rng.random(len(words))
        ids[words[dice < SHARE_MASK]] = self.vocabulary.mask
        random = words[(dice >= SHARE_MASK) & (dice < SHARE_MASK + SHARE_RANDOM)]
        ids[random] = self._ordinary[rng.integers(0, len(self._ordinary), len(random))]
        return ids, labels

    def _draw_mentions(
        self, sequence: TokenSequence, budget: float, rng: np.random.Generator
    ) -> tuple[Bools, Bools]:
        """Return which tokens belong to drawn mentions, and which to the mentions before them; (n,) each."""
        masked = np.zeros(len(sequence.input_ids), dtype=bool)
        kept = np.zeros_like(masked)
        start, end, distance = sequence.mention_start, sequence.mention_end, sequence.mention_distance
        later = np.flatnonzero(distance > 0)
        if budget <= 0 or not len(later):
            return masked, kept
        # Gumbel top-k: an order drawn without replacement, in proportion to the weights
        weight = self._hyper.distance_preference * np.log(distance[later])
        order = later[np.argsort(-(weight + rng.gumbel(size=len(later))), kind="stable")]
        first = _first_mentions(sequence)
        entities: set[int] = set()
        left = budget
        for mention in order:
            size = int(end[mention] - start[mention])
            # one that overshoots is taken as often as it takes for the share to hold on average
            if left <= 0 or (size > left and rng.random() >= left / size):
                break
            span = slice(start[mention], end[mention])
            origin = first[mention]
            named = slice(start[origin], end[origin])
            if masked[span].any() or kept[span].any() or masked[named].any() or named.stop > span.start:
                continue
            masked[span] = True
            kept[named] = True
            entities.add(int(sequence.mention_entity[mention]))
            left -= size
        for mention in np.flatnonzero(np.isin(sequence.mention_entity, list(entities))):
            kept[start[mention] : end[mention]] = True
        return masked, kept & ~masked

    def _draw_words(
        self, word_starts: Bools, budget: float, rng: np.random.Generator, taken: Bools, content: Bools
    ) -> Ints:
        """Return token positions of whole random words that touch nothing in `taken`."""
        if budget <= 0:
            return np.zeros(0, dtype=np.int64)
        # a word begins at a marked token, and wherever ordinary text follows a special token
        begins = content & (word_starts | ~np.concatenate(([False], content[:-1])))
        word_of = np.cumsum(begins) - 1
        tokens = np.flatnonzero(content)
        sizes = np.bincount(word_of[tokens])
        touched = np.bincount(word_of[tokens], weights=taken[tokens]) > 0
        order = rng.permutation(np.flatnonzero(~touched))
        if not len(order):
            return np.zeros(0, dtype=np.int64)
        # the budget on average: a fraction of a token is drawn, and so is a word that overshoots
        sums = np.cumsum(sizes[order])
        count = int(np.searchsorted(sums, budget, side="right"))
        if count < len(order):
            short = budget - (sums[count - 1] if count else 0)
            count += int(rng.random() < short / sizes[order[count]])
        chosen = np.zeros(len(sizes), dtype=bool)
        chosen[order[:count]] = True
        return tokens[chosen[word_of[tokens]]]


def _first_mentions(sequence: TokenSequence) -> Ints:
    """Return for each mention the index of the first mention of its entity, (m,)."""
    order = np.lexsort((sequence.mention_start, sequence.mention_entity))
    _, index, group = np.unique(sequence.mention_entity[order], return_index=True, return_inverse=True)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[index][group]
    return first
