"""Training the head with its encoder: batches of windows, and what is learnt from them.

    batches = Batches(encoded, window=510, windows=4)
    for number in range(batches.steps(3)):
        loss(model, batches.step(number)).total.backward()

A batch holds windows of one document (of several where they are short), drawn from anywhere in it half of the time: only
so are links over long distances seen. Mentions are linked over all windows of their document in the batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.utils.checkpoint import checkpoint

from coref_k8s.coref.encoded import EncodedDocument
from coref_k8s.coref.head import CorefHead, Pairs
from coref_k8s.coref.surface import Surfaces, surfaces
from coref_k8s.coref.windows import Window, disjoint

#: Weight of the losses of starts and of ends, each summed over tokens and divided by the number of gold mentions: a
#: mean over tokens lets the rare mentions starve (docs/decisions has the figures).
MENTIONS = 3.0
#: Probability from which a start is given ends: starts are there to be many, ends decide.
LIKELY = 0.2
#: Share of a pass in which a document's batches hold windows from anywhere in it, and not consecutive ones.
FAR = 0.5
#: Mentions whose links to all earlier ones are scored at once.
BLOCK = 512


@dataclass(frozen=True)
class Batch:
    """Windows that are encoded together; those of one document stand beside each other, in its order."""

    windows: Sequence[Window]
    at_rest: bool = False
    """Whether its states are those of an encoder that learns no more (`finishing.AtRest`)."""

    @property
    def mentions(self) -> int:
        """Gold mentions in its windows."""
        return len(_gold(self))

    @property
    def tokens(self) -> int:
        """Tokens in its windows, without padding."""
        return sum(window.end - window.start for window in self.windows)


class Passes(ABC):
    """Passes over documents, one after the other without end, in batches."""

    def __init__(self) -> None:
        self._firsts = [0]
        self._made: tuple[int, list[Batch]] = (-1, [])

    @abstractmethod
    def of_pass(self, number: int) -> list[Batch]:
        """Return the batches of a pass over all documents, shuffled: the same at every call."""

    def steps(self, passes: float) -> int:
        """Return how many batches so many passes have; at least 1, and none for no pass."""
        whole, part = divmod(passes, 1)
        count = self._first(int(whole))
        if part:
            count += round(part * (self._first(int(whole) + 1) - count))
        return max(count, min(1, math.ceil(passes)))

    def step(self, number: int) -> Batch:
        """Return batch `number` (0 is the first) of the passes: the same at every call."""
        while self._first(len(self._firsts) - 1) <= number:
            self._first(len(self._firsts))
        one = bisect_right(self._firsts, number) - 1
        return self._pass(one)[number - self._firsts[one]]

    def _first(self, number: int) -> int:
        """Return the number of the first batch of a pass."""
        while len(self._firsts) <= number:
            self._firsts.append(self._firsts[-1] + len(self._pass(len(self._firsts) - 1)))
        return self._firsts[number]

    def _pass(self, number: int) -> list[Batch]:
        if self._made[0] != number:
            self._made = number, self.of_pass(number)
        return self._made[1]


class Batches(Passes):
    """Cuts documents into batches of windows; the same seed and number of a pass give the same batches."""

    def __init__(
        self, documents: Sequence[EncodedDocument], *, window: int, windows: int, seed: int = 0
    ) -> None:
        """`window`: most tokens of a window, without special tokens; `windows`: windows of a batch."""
        super().__init__()
        self._documents = documents
        self._window = window
        self._windows = windows
        self._seed = seed

    def of_pass(self, number: int) -> list[Batch]:
        """See `Passes`."""
        rng = Random(f"coref:{self._seed}:{number}")
        groups: list[list[Window]] = []
        for document in self._documents:
            windows = disjoint(document, self._window, rng)
            if rng.random() < FAR:
                rng.shuffle(windows)
            for first in range(0, len(windows), self._windows):
                chosen = windows[first : first + self._windows]
                groups.append(sorted(chosen, key=lambda window: window.start))
        rng.shuffle(groups)
        return [Batch(windows) for windows in filled(groups, len, self._windows)]


def filled(
    groups: Iterable[list[Window]], size_of: Callable[[list[Window]], int], most: int
) -> Iterator[list[Window]]:
    """Yield the groups, several small ones together, while their size is at most `most`."""
    waiting: list[Window] = []
    for group in groups:
        if waiting and size_of(waiting) + size_of(group) > most:
            yield waiting
            waiting = []
        waiting = waiting + group
    if waiting:
        yield waiting


@dataclass(frozen=True)
class Losses:
    """What a batch costs; scalars."""

    starts: Tensor
    ends: Tensor
    links: Tensor

    @property
    def total(self) -> Tensor:
        """The number to minimise."""
        return MENTIONS * (self.starts + self.ends) + self.links


class Encodes(Protocol):
    """What `loss` needs: a `CorefModel`, or one at rest (`finishing.AtRest`)."""

    head: CorefHead

    def encode(self, windows: Sequence[Window]) -> list[Tensor]:
        """Return the states of each window's tokens, (tokens, hidden) each."""


def loss(model: Encodes, batch: Batch) -> Losses:
    """Return the losses of a batch: binary cross-entropies of starts and ends, marginal likelihood of the entities."""
    head = model.head
    states = torch.cat(model.encode(batch.windows)).float()
    gold = _gold(batch)
    count = max(1, len(gold))

    logits = head.start_logits(states)
    target = torch.zeros_like(logits)
    target[torch.as_tensor(gold[:, 0], device=states.device)] = 1.0
    starts = cross_entropy(logits, target, reduction="sum") / count

    known = {(first, last): entity for first, last, entity in gold.tolist()}
    likely = (torch.sigmoid(logits.detach()) > LIKELY).nonzero()[:, 0].tolist()
    wanted = sorted({first for first, _ in known} | set(likely[: 4 * count + 8]))
    pairs = spans_from(wanted, _last_of_sentence(batch))
    ends, found = states.new_zeros(()), []
    if len(pairs):
        rows = torch.as_tensor(pairs, device=states.device)
        scores = head.end_logits(states, rows[:, 0], rows[:, 1])
        truth = torch.tensor([pair in known for pair in map(tuple, pairs.tolist())], device=states.device)
        ends = cross_entropy(scores, truth.float(), reduction="sum") / count
        mistaken = ((scores.detach() > 0) & ~truth).nonzero()[:, 0].tolist()
        # what is taken for a mention must learn to be linked to nothing
        found = [(int(pairs[number, 0]), int(pairs[number, 1])) for number in mistaken[:count]]
    return Losses(starts, ends, _link_loss(head, states, batch, known, found))


def _link_loss(
    head: CorefHead,
    states: Tensor,
    batch: Batch,
    known: Mapping[tuple[int, int], int],
    mistaken: Sequence[tuple[int, int]],
) -> Tensor:
    """Return the mean negative log-likelihood that each mention joins its entity, or none where it is the first."""
    mentions = sorted([*known, *mistaken], key=lambda span: (span[0], -span[1]))
    total, offset = states.new_zeros(()), 0
    for document, windows in groupby(batch.windows, key=lambda window: window.document):
        places = np.concatenate([np.arange(window.start, window.end) for window in windows])
        inside = [span for span in mentions if offset <= span[0] < offset + len(places)]
        if len(inside) > 1:
            rows = np.asarray(inside)
            words = surfaces_of(document, places[rows - offset] + [0, 1])
            entities = [known.get(span, span) for span in inside]
            total = total + _unlikelihood(head, states, rows, words, entities)
        offset += len(places)
    return total / max(1, len(mentions))


def _unlikelihood(
    head: CorefHead, states: Tensor, mentions: np.ndarray, words: Surfaces, entities: Sequence[Hashable]
) -> Tensor:
    """Return the summed negative log-likelihood of the entities of one document's mentions."""
    vectors = head.vectors(states, torch.as_tensor(mentions, device=states.device))
    numbers = {entity: number for number, entity in enumerate(dict.fromkeys(entities))}
    labels = torch.tensor([numbers[entity] for entity in entities], device=states.device)
    asked, offered, count = head.later(vectors), head.earlier(vectors), len(mentions)

    def of_block(first: int, asked: Tensor, offered: Tensor) -> Tensor:
        """Of a block of mentions, against themselves and all earlier ones."""
        rows, columns = slice(first, min(first + BLOCK, count)), slice(0, min(first + BLOCK, count))
        pairs = pairs_of(words, rows, columns, states.device)
        by_entity = head.entity_scores(
            head.pair_scores(asked[rows], offered[columns], pairs), labels[columns], len(numbers)
        )
        own = by_entity.gather(1, labels[rows, None])[:, 0]
        own = torch.where(torch.isfinite(own), own, torch.zeros_like(own))
        return (torch.cat([by_entity, torch.zeros_like(by_entity[:, :1])], dim=1).logsumexp(1) - own).sum()

    if count <= BLOCK:
        return of_block(0, asked, offered)
    # computed again in the backward pass: what all pairs of a book's mentions keep would be gigabytes
    parts = [
        checkpoint(of_block, first, asked, offered, use_reentrant=False, preserve_rng_state=False)
        for first in range(0, count, BLOCK)
    ]
    return torch.stack(parts).sum()


def pairs_of(found: Surfaces, rows: slice, columns: slice, device: torch.device) -> Pairs:
    """Return what is known of the pairs of a block of mentions beside their vectors."""
    return Pairs(
        torch.as_tensor(found.categories(rows, columns), device=device),
        torch.as_tensor(found.quoted(rows, columns), device=device),
        torch.as_tensor(found.distances(rows, columns), device=device),
        torch.as_tensor(found.before(rows, columns), device=device),
    )


def surfaces_of(document: EncodedDocument, spans: np.ndarray) -> Surfaces:
    """Return the words of mentions, given as token spans (first, end exclusive) of a document."""
    strings = [document.surface(first, stop) for first, stop in spans.tolist()]
    return surfaces(strings, spans, document.quotes[spans[:, 0]])


def spans_from(starts: Sequence[int], last: np.ndarray) -> np.ndarray:
    """Return every span from each start to each token up to `last` of it: int64 (spans, 2), last inclusive."""
    rows = [
        np.stack([np.full(last[start] - start + 1, start), np.arange(start, last[start] + 1)], axis=1)
        for start in starts
    ]
    return np.concatenate(rows).astype(np.int64) if rows else np.zeros((0, 2), np.int64)


def _gold(batch: Batch) -> np.ndarray:
    """Rows of (first, last inclusive, entity) of the gold mentions in the windows, in tokens of the batch."""
    rows, offset = [np.zeros((0, 3), np.int64)], 0
    for window in batch.windows:
        mentions = window.document.mentions
        inside = mentions[(mentions[:, 0] >= window.start) & (mentions[:, 1] <= window.end)].astype(np.int64)
        inside[:, :2] += offset - window.start
        inside[:, 1] -= 1
        rows.append(inside)
        offset += window.end - window.start
    return np.concatenate(rows)


def _last_of_sentence(batch: Batch) -> np.ndarray:
    """The last token of the sentence of each token of the batch, in tokens of the batch."""
    last, offset = [], 0
    for window in batch.windows:
        for first, stop in window.sentences.tolist():
            last.append(np.full(stop - first, stop - 1 - window.start + offset))
        offset += window.end - window.start
    return np.concatenate(last)
