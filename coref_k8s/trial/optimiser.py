"""AdamW with a learning rate for each layer, and its schedule."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from coref_k8s.trial.hyperparameters import Hyperparameters

_LAYER = re.compile(r"\bencoder\.layer\.(\d+)\.")


def depth_of(name: str, layers: int) -> int:
    """Return how high a parameter stands: 0 embeddings, 1..layers the encoder, layers + 1 the head.

    What the encoder's layers share (relative positions, its norm and convolution) counts with the top
    layer: it is what long sequences change, and new position buckets must be able to learn.
    """
    if match := _LAYER.search(name):
        return int(match.group(1)) + 1
    if ".encoder." in name:
        return layers
    if ".embeddings." in name:
        return 0
    return layers + 1


def parameter_groups(model: nn.Module, hyper: Hyperparameters) -> list[dict[str, Any]]:
    """Return AdamW's groups: one for each depth, with and without weight decay.

    The rate at depth d is learning_rate · layer_decay^(layers + 1 - d) (Clark et al. 2020, ELECTRA,
    section A). Biases and norms, all with fewer than two dimensions, are not decayed. The output
    embedding, tied to the input's, goes with the embeddings.
    """
    layers = 1 + max(
        (int(match.group(1)) for name, _ in model.named_parameters() if (match := _LAYER.search(name))),
        default=-1,
    )
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth, decayed = depth_of(name, layers), parameter.ndim >= 2
        rate = hyper.learning_rate * hyper.layer_decay ** (layers + 1 - depth)
        group = groups.setdefault(
            (depth, decayed),
            {
                "params": [],
                "lr": rate,
                "peak_lr": rate,
                "weight_decay": hyper.weight_decay if decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def build_optimiser(model: nn.Module, hyper: Hyperparameters, device: torch.device) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov & Hutter 2019), fused where the device has such a kernel."""
    return torch.optim.AdamW(
        parameter_groups(model, hyper),
        lr=hyper.learning_rate,
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
