"""Weights averaged over models, and probabilities averaged over models: two ways to make one of several.

Model soups: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time", uniform and greedy (recipe 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coref_k8s.model.loss import masked_logits
from coref_k8s.trial.provenance import config_of_encoder

Weights = dict[str, Tensor]
#: Fields of a configuration that give equal weights another meaning.
_MEANING = ("model_type", "position_buckets", "max_relative_positions", "relative_attention")


def can_be_averaged(one: nn.Module, other: nn.Module) -> bool:
    """Whether two models have the same weights with the same meaning: shapes, and position range."""
    a, b = one.state_dict(), other.state_dict()
    meaning = [[getattr(config_of_encoder(model), name, None) for name in _MEANING] for model in (one, other)]
    return (
        meaning[0] == meaning[1]
        and a.keys() == b.keys()
        and all(a[name].shape == b[name].shape for name in a)
    )


class Sum:
    """A running sum of weights, on the CPU: one model's worth of memory however many are added."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Weights = {}

    def add(self, model: nn.Module) -> None:
        """Add a model's weights; what is no floating point number stays as the first model has it."""
        for name, value in model.state_dict().items():
            value = value.detach().cpu()
            if name not in self._sum:
                self._sum[name] = value.clone()
            elif value.is_floating_point():
                self._sum[name] += value
        self.count += 1

    def mean(self) -> Weights:
        """Return the mean of what was added."""
        return {
            name: value / self.count if value.is_floating_point() else value.clone()
            for name, value in self._sum.items()
        }


class ProbabilityMean(nn.Module):
    """Several masked LMs as one: its logits are the logarithm of the mean of their probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def masked_logits(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """Return log of the mean probability (count, vocabulary) at `positions` (count, 2)."""
        found: Tensor | None = None
        for member in self.members:
            one = torch.log_softmax(masked_logits(member, ids, mask, positions).float(), dim=-1)
            found = one if found is None else torch.logaddexp(found, one)
        assert found is not None
        return found - math.log(len(self.members))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return log of the mean probability (batch, length, vocabulary)."""
        every = [
            torch.log_softmax(member(input_ids, attention_mask=attention_mask).logits.float(), dim=-1)
            for member in self.members
        ]
        return torch.logsumexp(torch.stack(every), dim=0) - math.log(len(every))
