"""Whole documents: mentions from overlapping windows, links over the whole document, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from coref_k8s.coref.encoded import EncodedDocument
from coref_k8s.coref.head import CorefHead
from coref_k8s.coref.model import CorefModel
from coref_k8s.coref.training import LIKELY, pairs_of, spans_from, surfaces_of
from coref_k8s.coref.windows import Window, passes, pools
from coref_k8s.text.words import Span

#: Windows of one forward pass.
WINDOWS = 4
#: Forward passes whose windows are gathered before the first of them runs.
GATHERED = 4
#: Mentions whose links to all earlier ones are scored at once: with 10,000 mentions, 10 MB a matrix.
BLOCK = 256
#: Most mentions of a document, by its tokens: several times what any corpus has, and the end of the work that a model
#: makes that has learnt nothing yet.
DENSITY = 0.5
#: Most spans that a window keeps, by its own tokens: the document's likeliest are chosen among them, after those that
#: differ by a particle have become one.
CROWD = 4 * DENSITY
#: Spans that are scored at once: of a sentence without an end every token may begin one that any later token ends.
PAIRS = 1 << 16
T = TypeVar("T")
#: Called between forward passes; raises what is to end them.
Check = Callable[[], object]


def nothing() -> None:
    """Let the forward passes go on."""


@dataclass(frozen=True)
class Candidates:
    """Spans of a document that may be mentions, in reading order."""

    spans: np.ndarray
    """Token spans (first, end exclusive), int64 (mentions, 2)."""
    confidences: np.ndarray
    """Probability of each to be a mention, float32 (mentions)."""
    vectors: Tensor
    """What links are scored from, (mentions, link)."""

    def above(self, threshold: float) -> Candidates:
        """Return those that are mentions with more than this probability."""
        kept = np.flatnonzero(self.confidences > threshold)
        rows = torch.as_tensor(kept, device=self.vectors.device)
        return Candidates(self.spans[kept], self.confidences[kept], self.vectors[rows])


@dataclass(frozen=True)
class Found:
    """Mentions of a document in reading order, and the entity of each."""

    spans: np.ndarray
    """Token spans (first, end exclusive), int64 (mentions, 2)."""
    confidences: np.ndarray
    """Probability of each to be a mention, float32 (mentions)."""
    entities: np.ndarray
    """Number of each mention's entity, int64 (mentions)."""
    links: np.ndarray
    """Probability that a mention joins the entity it was given (or begins it), float32 (mentions)."""

    def settled(self, alone: float) -> Found:
        """Leave out mentions that nothing is linked to and that are no likelier than `alone`."""
        kept = (np.bincount(self.entities, minlength=1)[self.entities] > 1) | (self.confidences > alone)
        return Found(self.spans[kept], self.confidences[kept], self.entities[kept], self.links[kept])

    def chains(self, document: EncodedDocument, singletons: bool = True) -> list[list[Span]]:
        """Return the characters of each entity's mentions, entities by their first mention; `singletons` or not."""
        chains: dict[int, list[Span]] = {}
        for (first, stop), entity in zip(self.spans.tolist(), self.entities.tolist(), strict=True):
            chains.setdefault(entity, []).append(document.characters(first, stop))
        return [chain for chain in chains.values() if singletons or len(chain) > 1]


def predict(model: CorefModel, document: EncodedDocument, **options: Any) -> Found:
    """Find the mentions of a document of any length and link them; options are those of `predict_all`."""
    return next(predict_all(model, [document], **options))


def predict_all(
    model: CorefModel,
    documents: Iterable[EncodedDocument],
    *,
    windows: int = WINDOWS,
    check: Check = nothing,
) -> Iterator[Found]:
    """Find and link the mentions of each document by the model's thresholds.

    What is found does not depend on what is resolved beside it. `windows`: full windows of a forward pass, or as many
    short ones of several documents as have their tokens.
    """
    thresholds = model.config.thresholds
    for found in predict_at(model, documents, [thresholds.linked], windows=windows, check=check):
        yield found[0].settled(thresholds.alone)


def predict_at(
    model: CorefModel,
    documents: Iterable[EncodedDocument],
    linked: Sequence[float],
    *,
    windows: int = WINDOWS,
    check: Check = nothing,
) -> Iterator[list[Found]]:
    """Yield of each document what is found above each of these probabilities, mentions that stay alone among it.

    Mentions are linked once for each; the documents are read once.
    """
    for document, candidates in find_mentions(
        model, documents, threshold=min(linked), windows=windows, check=check
    ):
        some = [candidates.above(threshold) for threshold in linked]
        yield [
            Found(one.spans, one.confidences, *link(model, document, one.spans, one.vectors)) for one in some
        ]


@torch.inference_mode()
def predict_links(
    model: CorefModel,
    document: EncodedDocument,
    spans: np.ndarray,
    *,
    windows: int = WINDOWS,
    check: Check = nothing,
) -> Found:
    """Link mentions that are given (token spans in reading order): what linking alone is worth."""

    def read(window: Window, states: Tensor) -> tuple[np.ndarray, Tensor]:
        owned = _inside(spans, window)
        rows = torch.as_tensor(spans[owned] - [window.start, window.start + 1], device=states.device)
        return owned, model.head.vectors(states, rows)

    order: list[int] = []
    vectors = [torch.zeros(0, model.config.sizes.link, device=model.device)]
    for _, found in _read(model, [document], read, windows, check):
        order += [number for owned, _ in found for number in owned.tolist()]
        vectors += [one for _, one in found]
    place = torch.as_tensor(np.argsort(np.asarray(order, dtype=np.int64)), device=model.device)
    entities, links = link(model, document, spans, torch.cat(vectors)[place])
    return Found(spans, np.ones(len(spans), np.float32), entities, links)


def link_gold(
    model: CorefModel,
    encoded: EncodedDocument,
    gold: Iterable[Span],
    *,
    windows: int = WINDOWS,
    check: Check = nothing,
) -> list[list[Span]]:
    """Link gold mentions, given as characters, and return their chains; one that shares its tokens goes with the other."""
    covering = {span: encoded.tokens.covering(*span) for span in dict.fromkeys(gold)}
    spans = sorted(
        {tokens for tokens in covering.values() if encoded.holds(*tokens)}, key=lambda t: (t[0], -t[1])
    )
    given = np.asarray(spans, dtype=np.int64).reshape(-1, 2)
    found = predict_links(model, encoded, given, windows=windows, check=check)
    entities: dict[Span, Hashable] = dict(zip(spans, found.entities.tolist(), strict=True))
    chains: dict[Hashable, list[Span]] = {}
    for span, tokens in covering.items():
        chains.setdefault(entities.get(tokens, ("alone", span)), []).append(span)
    return list(chains.values())


def find_mentions(
    model: CorefModel,
    documents: Iterable[EncodedDocument],
    *,
    threshold: float,
    windows: int = WINDOWS,
    check: Check = nothing,
) -> Iterator[tuple[EncodedDocument, Candidates]]:
    """Yield each document with the spans that are mentions with more than this probability.

    A mention is read from the window in which its sentence has most context on both sides.
    """
    none = Candidates(
        np.zeros((0, 2), np.int64),
        np.zeros(0, np.float32),
        torch.zeros(0, model.config.sizes.link, device=model.device),
    )

    def read(window: Window, states: Tensor) -> Candidates:
        return _candidates(model.head, window, states, threshold) or none

    for document, found in _read(model, documents, read, windows, check):
        every = [none, *found]
        spans = np.concatenate([one.spans for one in every])
        sure = np.concatenate([one.confidences for one in every])
        best: dict[tuple[int, int], int] = {}
        for number in np.argsort(-sure, kind="stable").tolist():
            # a particle more or less is the same mention
            best.setdefault(document.characters(*spans[number].tolist()), number)
        likeliest = list(best.values())[: max(1, int(DENSITY * len(document)))]
        kept = np.asarray(sorted(likeliest), dtype=np.int64)
        order = kept[np.lexsort((-spans[kept, 1], spans[kept, 0]))]
        vectors = torch.cat([one.vectors for one in every])[torch.as_tensor(order, device=model.device)]
        yield document, Candidates(spans[order], sure[order], vectors)


def _candidates(head: CorefHead, window: Window, states: Tensor, threshold: float) -> Candidates | None:
    """Return the mentions in the sentences that are read from a window; None where no token begins one."""
    likely = torch.sigmoid(head.start_logits(states)) > LIKELY
    last = np.zeros(window.end - window.start, np.int64)
    own = np.zeros(window.end - window.start, bool)
    for first, stop in (window.sentences - window.start).tolist():
        last[first:stop] = stop - 1
        own[first:stop] = True
    pairs = spans_from(np.flatnonzero(likely.cpu().numpy() & own).tolist(), last)
    if not len(pairs):
        return None
    rows = torch.as_tensor(pairs, device=states.device)
    chances = torch.cat([torch.sigmoid(head.end_logits(states, *some.T)) for some in rows.split(PAIRS)])
    taken = (chances > threshold).nonzero()[:, 0]
    if len(taken) > (most := max(1, int(CROWD * own.sum()))):
        taken = taken[chances[taken].topk(most, sorted=False).indices.sort().values]
    return Candidates(
        pairs[taken.cpu().numpy()] + [window.start, window.start + 1],
        chances[taken].float().cpu().numpy(),
        head.vectors(states, rows[taken]),
    )


@torch.inference_mode()
def link(
    model: CorefModel, document: EncodedDocument, spans: np.ndarray, vectors: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Give each mention an entity, in reading order: the best that is known, or one of its own.

    Returns numbers of entities and the probability of each choice, (mentions) each. Scores of links are computed in
    blocks of mentions against all earlier ones: memory grows with the document, not with its square.
    """
    count = len(spans)
    entities = np.zeros(count, np.int64)
    chances = np.ones(count, np.float32)
    if not count:
        return entities, chances
    head = model.head
    words = surfaces_of(document, spans)
    numbers = torch.zeros(count, dtype=torch.long)
    known = 0
    for first in range(0, count, BLOCK):
        rows, columns = slice(first, min(first + BLOCK, count)), slice(0, min(first + BLOCK, count))
        scores = (
            head.link_scores(vectors[rows], vectors[columns], pairs_of(words, rows, columns, vectors.device))
            .float()
            .cpu()
        )
        for place in range(rows.start, rows.stop):
            best, chance = known, 1.0
            if place:
                row = scores[place - first : place - first + 1, :place]
                options = head.entity_scores(row, numbers[:place], known)[0]
                # no mention of an entity lies in another, or crosses it
                options[
                    numbers[:place][~words.before(slice(place, place + 1), slice(0, place))[0]]
                ] = -torch.inf
                options = torch.cat([options, options.new_zeros(1)])
                chance = float(options.softmax(0).max())
                best = int(options.argmax())
            numbers[place] = best
            chances[place] = chance
            known = max(known, best + 1)
    return numbers.numpy(), chances


def _read(
    model: CorefModel,
    documents: Iterable[EncodedDocument],
    read: Callable[[Window, Tensor], T],
    windows: int,
    check: Check,
) -> Iterator[tuple[EncodedDocument, list[T]]]:
    """Yield each document with what `read` takes from the states (tokens, hidden) of each of its windows.

    Some passes' windows are gathered before they are encoded, so that those of like length come together.
    """
    tokens = windows * model.config.seq_len
    for pool in pools(documents, model.window, GATHERED * tokens):
        taken: dict[int, T] = {}
        for group in passes([window for _, plan in pool for window in plan], model.padded, tokens):
            check()
            with torch.inference_mode():  # not a decorator: this yields, and what is between is the caller's
                for window, states in zip(group, model.encode(group), strict=True):
                    taken[id(window)] = read(window, states.float())
        for document, plan in pool:
            yield document, [taken.pop(id(window)) for window in plan]


def _inside(spans: np.ndarray, window: Window) -> np.ndarray:
    """Numbers of the spans whose sentence is read from a window."""
    inside = np.zeros(len(spans), bool)
    for first, stop in window.sentences.tolist():
        inside |= (spans[:, 0] >= first) & (spans[:, 1] <= stop)
    return np.flatnonzero(inside)
