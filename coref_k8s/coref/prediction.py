"""Whole documents: mentions from overlapping windows, links over the whole document, in bounded memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from coref_k8s.coref.encoded import EncodedDocument
from coref_k8s.coref.model import CorefModel
from coref_k8s.coref.training import LIKELY, pairs_of, spans_from, surfaces_of
from coref_k8s.coref.windows import Window, overlapping
from coref_k8s.text.words import Span

#: Probability above which a span is taken for a mention when it is linked to others, and when it stays alone: a link is
#: evidence, too (docs/decisions/114-who-is-who.md has the figures).
LINKED, ALONE = 0.25, 0.6
#: Windows of one forward pass.
WINDOWS = 4
#: Mentions whose links to all earlier ones are scored at once: with 10,000 mentions, 10 MB a matrix.
BLOCK = 256


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

    def chains(self, document: EncodedDocument, singletons: bool = True) -> list[list[Span]]:
        """Return the characters of each entity's mentions, entities by their first mention; `singletons` or not."""
        chains: dict[int, list[Span]] = {}
        for (first, stop), entity in zip(self.spans.tolist(), self.entities.tolist(), strict=True):
            chains.setdefault(entity, []).append(document.characters(first, stop))
        return [chain for chain in chains.values() if singletons or len(chain) > 1]


@torch.inference_mode()
def predict(
    model: CorefModel,
    document: EncodedDocument,
    *,
    linked: float = LINKED,
    alone: float = ALONE,
    windows: int = WINDOWS,
) -> Found:
    """Find the mentions of a document of any length and link them.

    `linked` and `alone` are the least probabilities of a mention that is linked to others, and of one that is not.
    """
    spans, confidences, vectors = find_mentions(model, document, threshold=linked, windows=windows)
    entities, links = link(model, document, spans, vectors)
    kept = (np.bincount(entities, minlength=1)[entities] > 1) | (confidences > alone)
    return Found(spans[kept], confidences[kept], entities[kept], links[kept])


@torch.inference_mode()
def predict_links(model: CorefModel, document: EncodedDocument, spans: np.ndarray) -> Found:
    """Link mentions that are given (token spans in reading order): what linking alone is worth."""
    vectors: list[Tensor] = []
    order: list[int] = []
    for window, states in _states(model, document, WINDOWS):
        owned = _inside(spans, window)
        order += owned.tolist()
        rows = torch.as_tensor(spans[owned] - [window.start, window.start + 1], device=states.device)
        vectors.append(model.head.vectors(states, rows))
    gathered = torch.cat(vectors) if vectors else torch.zeros(0, model.config.sizes.link)
    place = np.argsort(np.asarray(order, dtype=np.int64))
    entities, links = link(model, document, spans, gathered[torch.as_tensor(place, device=gathered.device)])
    return Found(spans, np.ones(len(spans), np.float32), entities, links)


def link_gold(model: CorefModel, encoded: EncodedDocument, gold: Iterable[Span]) -> list[list[Span]]:
    """Link gold mentions, given as characters, and return their chains; one that shares its tokens goes with the other."""
    covering = {span: encoded.tokens.covering(*span) for span in dict.fromkeys(gold)}
    spans = sorted(
        {tokens for tokens in covering.values() if encoded.holds(*tokens)}, key=lambda t: (t[0], -t[1])
    )
    found = predict_links(model, encoded, np.asarray(spans, dtype=np.int64).reshape(-1, 2))
    entities: dict[Span, Hashable] = dict(zip(spans, found.entities.tolist(), strict=True))
    chains: dict[Hashable, list[Span]] = {}
    for span, tokens in covering.items():
        chains.setdefault(entities.get(tokens, ("alone", span)), []).append(span)
    return list(chains.values())


@torch.inference_mode()
def find_mentions(
    model: CorefModel, document: EncodedDocument, *, threshold: float = LINKED, windows: int = WINDOWS
) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Return spans (mentions, 2), their probabilities, and their vectors (mentions, link), in reading order.

    A mention is read from the window in which its sentence has most context on both sides.
    """
    head = model.head
    spans: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
    confidences: list[np.ndarray] = [np.zeros(0, np.float32)]
    vectors: list[Tensor] = [torch.zeros(0, model.config.sizes.link, device=model.device)]
    for window, states in _states(model, document, windows):
        likely = torch.sigmoid(head.start_logits(states)) > LIKELY
        last = np.zeros(window.end - window.start, np.int64)
        own = np.zeros(window.end - window.start, bool)
        for first, stop in (window.sentences - window.start).tolist():
            last[first:stop] = stop - 1
            own[first:stop] = True
        starts = np.flatnonzero(likely.cpu().numpy() & own).tolist()
        pairs = spans_from(starts, last)
        if not len(pairs):
            continue
        rows = torch.as_tensor(pairs, device=states.device)
        chances = torch.sigmoid(head.end_logits(states, rows[:, 0], rows[:, 1]))
        taken = (chances > threshold).nonzero()[:, 0]
        spans.append(pairs[taken.cpu().numpy()] + [window.start, window.start + 1])
        confidences.append(chances[taken].float().cpu().numpy())
        vectors.append(head.vectors(states, rows[taken]))
    found, sure = np.concatenate(spans), np.concatenate(confidences)
    best: dict[tuple[int, int], int] = {}
    for number in np.argsort(-sure, kind="stable").tolist():
        # a particle more or less is the same mention
        best.setdefault(document.characters(*found[number].tolist()), number)
    kept = np.asarray(sorted(best.values()), dtype=np.int64)
    order = kept[np.lexsort((-found[kept, 1], found[kept, 0]))]
    joined = torch.cat(vectors)[torch.as_tensor(order, device=model.device)]
    return found[order], sure[order], joined


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


def _states(model: CorefModel, document: EncodedDocument, windows: int) -> Iterator[tuple[Window, Tensor]]:
    plan = overlapping(document, model.window)
    for first in range(0, len(plan), windows):
        group = plan[first : first + windows]
        for window, states in zip(group, model.encode(group), strict=True):
            yield window, states.float()


def _inside(spans: np.ndarray, window: Window) -> np.ndarray:
    """Numbers of the spans whose sentence is read from a window."""
    inside = np.zeros(len(spans), bool)
    for first, stop in window.sentences.tolist():
        inside |= (spans[:, 0] >= first) & (spans[:, 1] <= stop)
    return np.flatnonzero(inside)
