"""The coreference head: mention starts, ends given a start, and the antecedents of each mention.

Starts and ends as in Maverick (Martinelli, Barba, Navigli 2024), which needs no limit of width but the sentence;
antecedents scored from mention vectors by bilinear forms (Kirstain, Ram, Levy 2021, "s2e") of which each category of
pair has its own (Otmazgin, Cattan, Goldberg 2023, "LingMess"), against a dummy antecedent at 0 (Lee et al. 2017).
What an entity scores is made of what its mentions score (`entity_scores`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coref_k8s.coref.surface import CATEGORIES, DISTANCES, QUOTED

#: Widths of a mention (tokens) are told apart by their powers of two, up to this.
WIDTHS = 10
#: Logit of a start and of an end before anything is learnt: about one token in twenty begins a mention.
RARE = -3.0


@dataclass(frozen=True)
class HeadSizes:
    """Sizes of a head's layers (numbers)."""

    hidden: int
    """Width of the encoder's states."""
    mention: int = 256
    """Width of the layers that find mentions."""
    link: int = 256
    """Width of a mention's vector."""
    category: int = 64
    """Width of the bilinear form that a category of pairs has beside the common one."""


class CorefHead(nn.Module):
    """Scores of starts, ends and links over the hidden states of any encoder."""

    def __init__(self, sizes: HeadSizes, dropout: float = 0.2) -> None:
        super().__init__()
        self.sizes = sizes
        self.start = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(sizes.hidden, sizes.mention),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(sizes.mention, 1),
        )
        self.end_of_start = nn.Sequential(nn.Dropout(dropout), nn.Linear(sizes.hidden, sizes.mention))
        self.end_of_end = nn.Sequential(nn.Dropout(dropout), nn.Linear(sizes.hidden, sizes.mention))
        self.end_of_width = nn.Embedding(WIDTHS, sizes.mention)
        self.end = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(sizes.mention, 1))
        self.vector = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * sizes.hidden, sizes.link),
            nn.GELU(),
            nn.LayerNorm(sizes.link),
            nn.Dropout(dropout),
        )
        width = sizes.link + len(CATEGORIES) * sizes.category
        self.later = nn.Linear(sizes.link, width)
        self.earlier = nn.Linear(sizes.link, width)
        self.distance = nn.Parameter(torch.zeros(len(CATEGORIES), DISTANCES))
        self.quoted = nn.Parameter(torch.zeros(len(CATEGORIES), QUOTED))
        #: How much of an entity's score is its mentions' mean, and how much its size counts against it.
        self.mean_share = nn.Parameter(torch.tensor(0.0))
        self.size_share = nn.Parameter(torch.tensor(0.0))
        nn.init.zeros_(self.end_of_width.weight)
        for layers in (self.start, self.end):
            nn.init.constant_(layers.get_parameter(f"{len(layers) - 1}.bias"), RARE)

    def start_logits(self, states: Tensor) -> Tensor:
        """Return the logit of each token to begin a mention: states (…, hidden) → (…)."""
        logits: Tensor = self.start(states)[..., 0]
        return logits

    def end_logits(self, states: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Return the logit of each span to be a mention, given that one begins at its start.

        `states` (tokens, hidden); `starts`, `ends` (pairs): first and last token of each span → (pairs).
        """
        widths = (ends - starts + 1).float().log2().long().clamp(max=WIDTHS - 1)
        hidden = self.end_of_start(states)[starts] + self.end_of_end(states)[ends] + self.end_of_width(widths)
        logits: Tensor = self.end(hidden)[..., 0]
        return logits

    def vectors(self, states: Tensor, spans: Tensor) -> Tensor:
        """Return the vectors of mentions: states (tokens, hidden), spans (mentions, 2; last inclusive) → (mentions, link)."""
        vectors: Tensor = self.vector(torch.cat([states[spans[:, 0]], states[spans[:, 1]]], dim=1))
        return vectors

    def link_scores(self, later: Tensor, earlier: Tensor, pairs: Pairs) -> Tensor:
        """Return the score of each pair to be one entity: (rows, link), (columns, link) → (rows, columns).

        A pair whose earlier mention does not end before the later one scores minus infinity.
        """
        return self.pair_scores(self.later(later), self.earlier(earlier), pairs)

    def pair_scores(self, asked: Tensor, offered: Tensor, pairs: Pairs) -> Tensor:
        """Return `link_scores` of vectors that `later` and `earlier` have been through."""
        common, size = self.sizes.link, self.sizes.category
        scores = asked[:, :common] @ offered[:, :common].T / common**0.5
        for number in range(len(CATEGORIES)):
            part = slice(common + number * size, common + (number + 1) * size)
            own = asked[:, part] @ offered[:, part].T / size**0.5
            scores = scores + own * (pairs.categories == number)
        # one look-up by numbers of four bytes: indexing keeps eight of each pair for each table
        table = (self.distance[:, :, None] + self.quoted[:, None, :]).flatten()
        index = (pairs.categories.int() * DISTANCES + pairs.distances) * QUOTED + pairs.quoted
        scores = scores + nn.functional.embedding(index, table[:, None])[..., 0]
        return scores.masked_fill(~pairs.before, -torch.inf)

    def entity_scores(self, scores: Tensor, entities: Tensor, count: int) -> Tensor:
        """Return the score of each mention to belong to each entity that is known when it is read.

        `scores` (rows, columns) of links, minus infinity where there can be none; `entities` (columns): number of each
        earlier mention's entity, below `count` → (rows, count), minus infinity for entities without earlier mentions.
        An entity scores the logarithm of its links' summed exponentials (the marginal likelihood of Lee et al. 2017)
        less a share of the logarithm of their number, mixed with their mean; both shares are learnt.
        """
        rows, columns = scores.shape
        possible = torch.isfinite(scores)
        index = entities.expand(rows, columns)
        counts = torch.zeros(rows, count, device=scores.device).scatter_add(1, index, possible.float())
        known = counts > 0
        counts = counts.clamp(min=1)
        finite = scores.masked_fill(~possible, 0.0)
        mean = torch.zeros_like(counts).scatter_add(1, index, finite) / counts
        top = torch.full_like(counts, -torch.inf).scatter_reduce(1, index, scores.detach(), "amax")
        top = top.masked_fill(~known, 0.0)
        above = (finite - top.gather(1, index)).masked_fill(~possible, -torch.inf)
        summed = torch.zeros_like(counts).scatter_add(1, index, above.exp())
        summed = summed.masked_fill(~known, 1.0)
        whole = summed.log() + top - torch.sigmoid(self.size_share) * counts.log()
        share = torch.sigmoid(self.mean_share)
        mixed: Tensor = (1 - share) * whole + share * mean
        return mixed.masked_fill(~known, -torch.inf)


@dataclass(frozen=True)
class Pairs:
    """What is known of each pair of mentions beside their vectors, (rows, columns) each."""

    categories: Tensor
    quoted: Tensor
    distances: Tensor
    before: Tensor
    """Whether the column's mention ends before the row's, bool."""
