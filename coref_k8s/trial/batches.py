"""Which sequences make a step, and how they become tensors.

Everything here is a function of (seed, step): no generator runs ahead of training, so the data position
and the state of the masking generator are the step number, and a step can be made again exactly
(after a preemption, or after it ran out of memory).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coref_k8s.trial.masking import IGNORED, Masker, TokenSequence
from coref_k8s.trial.sequences import Sequences

#: Streams of random numbers drawn from one seed.
_ORDER, _MASKS = 1, 2
#: Steps whose sequences are sorted by length together: enough to fill batches evenly, few enough to stay random.
_BUCKET_STEPS = 16
#: Sequences are padded to a multiple of this (tokens), for the matrix units.
_PAD_MULTIPLE = 8


class StepPlan:
    """Cuts the endless stream of shuffled epochs into steps of sequences of like length.

    The stream is epoch after epoch, each in its own order. It is cut into windows of 16 steps; inside a
    window sequences are sorted by length and cut into steps, and the steps shuffled. So a sequence is
    seen once an epoch, a batch is padded by little, and which sequences make a step does not depend on
    how the step is cut into batches.
    """

    def __init__(self, lengths: NDArray[np.int64], effective_batch: int, seed: int) -> None:
        self._lengths = lengths
        self._size = effective_batch
        self._seed = seed
        self._window: tuple[int, NDArray[np.int64]] | None = None

    def steps(self, epochs: float) -> int:
        """Return the steps of so many passes over the data; at least 1."""
        return max(1, math.ceil(epochs * len(self._lengths) / self._size))

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the row numbers of a step's sequences (0 is the first step), shortest first."""
        number, within = divmod(step, _BUCKET_STEPS)
        if self._window is None or self._window[0] != number:
            self._window = (number, self._fill(number))
        return self._window[1][within]

    def _fill(self, number: int) -> NDArray[np.int64]:
        """Return the rows of a window, (16, effective batch)."""
        count = _BUCKET_STEPS * self._size
        rows = self._stream(number * count, count)
        order = np.argsort(self._lengths[rows], kind="stable")
        rng = np.random.default_rng((self._seed, _ORDER, 1, number))
        return rng.permutation(rows[order].reshape(_BUCKET_STEPS, self._size))

    def _stream(self, start: int, count: int) -> NDArray[np.int64]:
        """Return `count` row numbers of the stream from position `start` on."""
        n = len(self._lengths)
        epochs = range(start // n, (start + count - 1) // n + 1)
        orders = [np.random.default_rng((self._seed, _ORDER, 0, epoch)).permutation(n) for epoch in epochs]
        offset = start - epochs.start * n
        return np.concatenate(orders)[offset : offset + count]


@dataclass(frozen=True)
class Masked:
    """One masked sequence of n tokens."""

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    segments: NDArray[np.int64]

    @property
    def predicted(self) -> int:
        """Tokens to predict."""
        return int((self.labels != IGNORED).sum())


class MaskedStep:
    """The masked sequences of one step, shortest first."""

    def __init__(self, sequences: Sequence[Masked], pad: int) -> None:
        self._sequences = sequences
        self._pad = pad
        self.predicted = sum(one.predicted for one in sequences)
        """Tokens to predict in the whole step."""
        self.tokens = sum(len(one.input_ids) for one in sequences)
        """Real tokens (without padding) in the whole step."""

    def batches(self, batch_size: int, *, pin: bool = False) -> Iterator[tuple[dict[str, Tensor], float]]:
        """Yield (batch, weight) of at most `batch_size` sequences; the weights sum to 1.

        A weight is the batch's share of the step's predicted tokens, so however a step is cut, the
        weighted sum of the batches' mean losses is the step's mean loss.
        """
        for first in range(0, len(self._sequences), batch_size):
            part = self._sequences[first : first + batch_size]
            predicted = sum(one.predicted for one in part)
            if predicted:
                yield collate(part, self._pad, pin=pin), predicted / self.predicted


class StepData(Protocol):
    """What one optimiser step learns from."""

    tokens: int
    """Real tokens (without padding)."""

    def batches(self, batch_size: int, *, pin: bool = False) -> Iterable[tuple[Any, float]]:
        """Yield (batch, weight) of at most `batch_size` sequences; the weights sum to 1.

        However the step is cut, the weighted sum of the batches' losses is the step's loss. `pin`: in memory that a
        GPU copies from.
        """


class StepSource(Protocol):
    """Makes the data of any step."""

    def step(self, number: int) -> StepData:
        """Return the data of step `number` (0 is the first): the same at every call."""


class MaskedSource:
    """The steps of the task `mentions`: sequences with some of their tokens masked."""

    def __init__(
        self, sequences: Sequences | Sequence[TokenSequence], plan: StepPlan, masker: Masker, seed: int
    ) -> None:
        self._sequences = sequences
        self._plan = plan
        self._masker = masker
        self._seed = seed

    def step(self, number: int) -> MaskedStep:
        """Return the data of step `number` (0 is the first): the same at every call."""
        rng = np.random.default_rng((self._seed, _MASKS, number))
        sequences = [self._sequences[int(row)] for row in self._plan.rows(number)]
        masks = self._masker.mask(sequences, rng)
        return MaskedStep(
            [Masked(ids, labels, one.segments) for one, (ids, labels) in zip(sequences, masks, strict=True)],
            self._masker.vocabulary.pad,
        )


def collate(part: Sequence[Masked], pad: int, *, pin: bool = False) -> dict[str, Tensor]:
    """Return the batch that `coref_k8s.model.loss.masked_lm_loss` takes, long tensors.

    `input_ids`, `labels` (batch, length); `masked_positions` (predicted,), flat, so that the device need
    not look for them; and, only where it is needed, `segment_ids` (packed documents) or `attention_mask`
    (padding), (batch, length), 0 at padding.
    """
    longest = max(len(one.input_ids) for one in part)
    length = -(-longest // _PAD_MULTIPLE) * _PAD_MULTIPLE
    shape = (len(part), length)
    ids = np.full(shape, pad, dtype=np.int64)
    segments = np.zeros(shape, dtype=np.int64)
    labels = np.full(shape, IGNORED, dtype=np.int64)
    packed = False
    for row, one in enumerate(part):
        n = len(one.input_ids)
        ids[row, :n] = one.input_ids
        segments[row, :n] = one.segments + 1
        labels[row, :n] = one.labels
        packed = packed or bool(one.segments.any())
    batch = {"input_ids": ids, "labels": labels, "masked_positions": np.flatnonzero(labels != IGNORED)}
    if packed:
        batch["segment_ids"] = segments
    elif not segments.all():
        batch["attention_mask"] = (segments > 0).astype(np.int64)
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    return {name: tensor.pin_memory() for name, tensor in tensors.items()} if pin else tensors
