"""The last passes of a training: the head alone, on whole documents, over states that the encoder gives once.

Windows of a batch show a part of a document's mentions; links go wrong where a whole book's are compared. With the encoder
at rest its states are computed once, and a pass over whole documents costs the head only (docs/decisions/114-who-is-who.md):

    resting, whole = AtRest(model, encoded), WholeDocuments(encoded)
    for number in range(whole.steps(8)):
        loss(resting, whole.step(number)).total.backward()     # gradients reach the head alone
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from coref_k8s.coref.encoded import EncodedDocument
from coref_k8s.coref.head import CorefHead
from coref_k8s.coref.model import CorefModel
from coref_k8s.coref.training import Batch, Passes, filled
from coref_k8s.coref.windows import Window, disjoint

#: Most tokens of a document whose mentions are linked in one batch: links take memory with the square of their number.
LONGEST = 24_576
#: Short documents share a batch up to so many tokens.
TOGETHER = 2048


class AtRest:
    """A model whose encoder learns no more, and what it says of documents; `training.loss` takes it for a model."""

    def __init__(
        self, model: CorefModel, documents: Sequence[EncodedDocument], *, windows: int = 4, seed: int = 0
    ) -> None:
        """Encode the documents, `windows` windows at a time; kept are two bytes a number: (tokens, hidden) a document.

        They are kept in the memory of the host: those of a large corpus would fill a GPU's.
        """
        self.head: CorefHead = model.head
        self._device = model.device
        training = model.training
        model.eval()
        self._states = {id(one): _states(model, one, windows, seed) for one in documents if len(one)}
        model.train(training)

    def encode(self, windows: Sequence[Window]) -> list[Tensor]:
        """Return the states of each window's tokens, (tokens, hidden) each."""
        own = [self._states[id(one.document)][one.start : one.end] for one in windows]
        return [states.to(self._device).float() for states in own]


class WholeDocuments(Passes):
    """Batches of whole documents: several short ones together, the longest in parts."""

    def __init__(self, documents: Sequence[EncodedDocument], *, seed: int = 0) -> None:
        super().__init__()
        self._documents = [document for document in documents if len(document)]
        self._seed = seed

    def of_pass(self, number: int) -> list[Batch]:
        """See `Passes`."""
        rng = Random(f"rest:{self._seed}:{number}")
        documents = list(self._documents)
        rng.shuffle(documents)
        parts = [
            [Window(one, 0, len(one), one.sentences)] if len(one) <= LONGEST else disjoint(one, LONGEST, rng)
            for one in documents
        ]
        alone = ([window] for windows in parts for window in windows)
        return [Batch(windows, at_rest=True) for windows in filled(alone, _tokens, TOGETHER)]


def _tokens(windows: Sequence[Window]) -> int:
    return sum(window.end - window.start for window in windows)


@torch.no_grad()
def _states(model: CorefModel, document: EncodedDocument, count: int, seed: int) -> Tensor:
    plan = disjoint(document, model.window, Random(seed))
    parts: list[Tensor] = []
    for first in range(0, len(plan), count):
        parts += [states.half().cpu() for states in model.encode(plan[first : first + count])]
    # autocast of a CPU, in bfloat16, refuses to join halves
    with torch.autocast("cpu", enabled=False):
        return torch.cat(parts)
