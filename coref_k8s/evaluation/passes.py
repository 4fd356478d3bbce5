"""Forward passes: what is asked of the model, batched by length, and what is kept of its answers.

Only the masked positions' logits are ever computed, and of those only the best few tokens and the
probabilities of candidate tokens leave the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from coref_k8s.evaluation.kbest import DEPTH
from coref_k8s.evaluation.sharing import Together, answered
from coref_k8s.evaluation.vocabulary import Vocabulary

#: (input_ids (batch, length), attention_mask (batch, length), positions (n, 2) of row and column)
#: -> logits (n, vocabulary). Ids and positions come on the CPU.
LogitsFn = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
#: Positions whose logits are held at once: 256 of a vocabulary of 130,000 are 133 MB in fp32.
MAX_POSITIONS = 256

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pass:
    """One sequence with masks, and the candidates whose tokens fit these masks."""

    ids: tuple[int, ...]
    """Token ids with special tokens."""
    positions: tuple[int, ...]
    """Where in `ids` the masks of the target stand."""
    candidates: tuple[tuple[int, ...], ...] = ()
    """Token ids of candidates, each as many as there are positions."""


@dataclass(frozen=True)
class Answer:
    """What the model says at a pass's masks."""

    top_scores: list[list[float]]
    """Log-probabilities of the best tokens at each mask, best first."""
    top_ids: list[list[int]]
    candidate_scores: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    """Mean log-probability of each candidate's tokens."""


def run(
    logits_fn: LogitsFn,
    passes: Sequence[Pass],
    vocabulary: Vocabulary,
    batch_tokens: int,
    progress: Callable[[int, int], None] | None = None,
    together: Together | None = None,
) -> list[Answer]:
    """Answer every pass, in the order given; equal passes are computed once.

    `batch_tokens` bounds the tokens of a batch, padding included. `progress` hears (passes done, all) after
    each batch. Processes that are `together` take every so many-th batch each.
    """
    distinct = sorted(dict.fromkeys(passes), key=lambda item: -len(item.ids))
    batches = list(_batches(distinct, batch_tokens))
    answers: dict[Pass, Answer] = {}
    found = answered(batches, lambda batch: _forward(logits_fn, batch, vocabulary), together)
    for batch, some in zip(batches, found, strict=True):
        answers.update(zip(batch, some, strict=True))
        if progress:
            progress(len(answers), len(distinct))
    return [answers[item] for item in passes]


def _batches(passes: Sequence[Pass], batch_tokens: int) -> Iterator[list[Pass]]:
    """Yield passes, longest first, in batches of at most so many tokens and of `MAX_POSITIONS`."""
    batch: list[Pass] = []
    positions = 0
    for item in passes:
        longest = len(batch[0].ids) if batch else len(item.ids)
        full = (len(batch) + 1) * longest > batch_tokens or positions + len(item.positions) > MAX_POSITIONS
        if batch and full:
            yield batch
            batch, positions = [], 0
        batch.append(item)
        positions += len(item.positions)
    if batch:
        yield batch


def _forward(logits_fn: LogitsFn, batch: Sequence[Pass], vocabulary: Vocabulary) -> list[Answer]:
    longest = max(len(item.ids) for item in batch)
    ids = torch.full((len(batch), longest), vocabulary.pad, dtype=torch.long)
    mask = torch.zeros((len(batch), longest), dtype=torch.long)
    for row, item in enumerate(batch):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        mask[row, : len(item.ids)] = 1
    positions = torch.tensor([(row, at) for row, item in enumerate(batch) for at in item.positions])
    with torch.inference_mode():
        logits = logits_fn(ids, mask, positions).float()
        total = torch.logsumexp(logits, dim=-1)
        best = torch.topk(logits, min(DEPTH, logits.shape[-1]), dim=-1)
        scores = (best.values - total[:, None]).cpu().tolist()
        best_ids = best.indices.cpu().tolist()
        wanted_rows, wanted_ids = _wanted(batch)
        if len(wanted_rows):
            rows = torch.from_numpy(wanted_rows).to(logits.device)
            gathered = logits[rows, torch.from_numpy(wanted_ids).to(logits.device)] - total[rows]
            values = gathered.cpu().numpy()
    answers, first, offset = [], 0, 0
    for item in batch:
        n, c = len(item.positions), len(item.candidates)
        means = np.zeros(0, np.float32)
        if c:
            means = values[offset : offset + c * n].reshape(c, n).mean(axis=1)
            offset += c * n
        answers.append(Answer(scores[first : first + n], best_ids[first : first + n], means))
        first += n
    return answers


def _wanted(batch: Sequence[Pass]) -> tuple[Ints, Ints]:
    """Row (of positions) and token id of every candidate token, candidate after candidate."""
    rows: list[Ints] = [np.zeros(0, np.int64)]
    ids: list[Ints] = [np.zeros(0, np.int64)]
    first = 0
    for item in batch:
        n = len(item.positions)
        if item.candidates:
            rows.append(np.tile(np.arange(first, first + n), len(item.candidates)))
            ids.append(np.asarray(item.candidates, dtype=np.int64).ravel())
        first += n
    return np.concatenate(rows), np.concatenate(ids)
