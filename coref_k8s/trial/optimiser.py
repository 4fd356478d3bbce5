"""AdamW with a learning rate for each layer and one for the head, and its schedule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

#: Names of numbered layers: BERT and its kin, DeBERTa, DistilBERT (`layer.N`), ModernBERT (`layers.N`), and the
#: groups of layers that share their weights (ALBERT).
_LAYER = re.compile(r"\b(?:layers?|albert_layer_groups)\.(\d+)\.")
#: Tables of words and positions, and what brings them to the width of the layers; not `rel_embeddings`.
_EMBEDDINGS = re.compile(r"\bembed")


@dataclass(frozen=True)
class Rates:
    """How fast what is learnt."""

    learning_rate: float
    """Peak rate of the top."""
    layer_decay: float = 1.0
    """Rate of a layer relative to the one above it."""
    weight_decay: float = 0.0
    """Decoupled decay of weights."""
    head_learning_rate: float | None = None
    """Peak rate of the head; None for `learning_rate`, from which the layers below are counted then."""

    def at(self, steps: int) -> float:
        """Return the peak rate so many steps below the head, which is 0."""
        if self.head_learning_rate is None:
            return self.learning_rate * self.layer_decay**steps
        return self.learning_rate * self.layer_decay ** (steps - 1) if steps else self.head_learning_rate


def depths_of(model: nn.Module) -> dict[str, int]:
    """Return how high each parameter stands, by name: 0 embeddings, 1..n the encoder's layers, n + 1 the head.

    The encoder is what lies under `base_model_prefix` of a Hugging Face model, and under `encoder` of a `CorefModel`.
    What its layers share (relative positions, norms, a convolution) counts with the top layer: it is what long
    sequences change, and new position buckets must be able to learn. A parameter with several names, as an output
    embedding that is the input's, stands where the lowest of them does.
    """
    prefix = f"{getattr(model, 'base_model_prefix', 'encoder')}."
    names = list(model.named_parameters(remove_duplicate=False))
    numbers = [
        int(found[1]) for name, _ in names if name.startswith(prefix) and (found := _LAYER.search(name))
    ]
    layers = 1 + max(numbers, default=0)
    lowest: dict[int, int] = {}
    for name, parameter in names:
        if not name.startswith(prefix):
            depth = layers + 1
        elif found := _LAYER.search(name):
            depth = int(found[1]) + 1
        else:
            depth = 0 if _EMBEDDINGS.search(name) else layers
        lowest[id(parameter)] = min(depth, lowest.get(id(parameter), depth))
    return {name: lowest[id(parameter)] for name, parameter in model.named_parameters()}


def parameter_groups(model: nn.Module, rates: Rates) -> list[dict[str, Any]]:
    """Return AdamW's groups of what learns: one for each depth, with and without weight decay.

    A step down takes the rate times `layer_decay` (Clark et al. 2020, ELECTRA, section A), from the head or, where it
    has a rate of its own, from the top layer. Biases and norms, all with fewer than two dimensions, are not decayed.
    """
    depths = depths_of(model)
    top = max(depths.values())
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth, decayed = depths[name], parameter.ndim >= 2
        rate = rates.at(top - depth)
        group = groups.setdefault(
            (depth, decayed),
            {
                "params": [],
                "lr": rate,
                "peak_lr": rate,
                "weight_decay": rates.weight_decay if decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def build_optimiser(model: nn.Module, rates: Rates, device: torch.device) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov & Hutter 2019) of what learns, fused where the device has such a kernel."""
    return torch.optim.AdamW(
        parameter_groups(model, rates),
        lr=rates.learning_rate,
        betas=(0.9, 0.999),
        eps=1e-6,
        fused=device.type in ("cuda", "cpu"),
    )


def rate_factor(step: int, steps: int, warmup_ratio: float) -> float:
    """Return the share of the peak rate at a step (0 is the first of `steps`): up to 1, then down to nearly 0.

    Linear warm-up over `warmup_ratio` of the steps, then linear decay. A function of the step alone, so
    the schedule has no state to save.
    """
    warmup = min(round(warmup_ratio * steps), steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (steps - step) / (steps - warmup)


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to its peak times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * factor
