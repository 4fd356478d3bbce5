"""The CUDA kernel of `disentangled-flash` behind our attention module, after a parity check.

The library computes the same attention as `attention.py`, in fused kernels on a GPU and in plain PyTorch
on the CPU (there with an L×L matrix: for checking the wiring, not for training). What it does not
compute (packed documents, some queries only) goes the blocked way.
"""

import copy
import importlib
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging

from coref_k8s.errors import ModelError
from coref_k8s.wording import Message

from .buckets import BucketTable, bucket_table
from .convert import BlockedSelfAttention
from .layout import Layout, layout_of
from .positions import encoder_of

logger = logging.get_logger(__name__)

#: The version that the parity check was written for, as in pyproject.toml.
LIBRARY, VERSION = "disentangled_flash", "1.1.1"
INSTALL = f"pip install 'coref-k8s[flash]' (disentangled-flash=={VERSION})"
#: Largest relative difference from the blocked path, float32, output and gradient: kernels add up in
#: another order, and no more.
PARITY = 1e-4


class FlashSelfAttention(BlockedSelfAttention):
    """`BlockedSelfAttention` that hands whole rows to the library."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Layout,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: BucketTable | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """As `BlockedSelfAttention.forward`."""
        mask = attention_mask.rows_mask(hidden_states)
        if mask is None or query_states is not None or output_attentions:
            return super().forward(
                hidden_states, attention_mask, output_attentions, query_states, relative_pos, rel_embeddings
            )
        kernel = self._kernel(hidden_states.device.type)
        context, _ = kernel(hidden_states, mask, rel_embeddings=rel_embeddings)
        return context, None

    def _kernel(self, device: str) -> Any:
        """The library's module over our projections; not a submodule, or every weight had two names."""
        kernels = self.__dict__.setdefault("_kernels", {})
        if device not in kernels:
            kernels[device] = _library_module(self, device)
        kernel = kernels[device]
        kernel.training = self.training
        return kernel

    def __deepcopy__(self, memo: dict[int, Any]) -> "FlashSelfAttention":
        """A copy whose kernels are made again, over its own projections."""
        new: FlashSelfAttention = self.__class__.__new__(self.__class__)
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy({k: v for k, v in self.__dict__.items() if k != "_kernels"}, memo))
        return new


def _library_module(ours: BlockedSelfAttention, device: str) -> Any:
    if device == "cuda":
        made = importlib.import_module(f"{LIBRARY}.training").TritonTrainingDisentangledSelfAttention
    else:
        made = importlib.import_module(f"{LIBRARY}._torch").TorchTrainingDisentangledSelfAttention
    config = ours.__dict__["_config"]
    with torch.device("meta"):
        module = made(config)
    for name, child in ours.named_children():
        setattr(module, name, child)
    return module


def use_flash(model: Any, device: torch.device, *, demanded: bool) -> bool:
    """Lets a lean model (see `convert.py`) use the library on `device`; returns whether it will.

    Compares the library with the blocked path there first, on a copy of one layer's attention. Where it is
    not installed or does not agree: ModelError when `demanded`, else one warning and the blocked path.
    """
    try:
        reason = _refusal(model, device)
    except Exception as error:  # a kernel that does not compile fails in its own ways
        reason = f"it fails on {device} ({str(error).strip().splitlines()[0] if str(error) else error!r})"
    if reason:
        if demanded:
            raise ModelError("model.no-flash", why=reason)
        logger.warning(Message.of("model.blocked-instead", why=reason))
        return False
    for layer in encoder_of(model).layer:
        _adopt(layer.attention.self, model.config)
    return True


def _adopt(attention: Any, config: Any) -> None:
    attention.__dict__["_config"] = config
    attention.__class__ = FlashSelfAttention


def _refusal(model: Any, device: torch.device) -> str:
    """Why the library must not be used on `device`; empty when it agrees with the blocked path."""
    try:
        found = importlib.import_module(LIBRARY).__version__
    except ImportError:
        return f"it is not installed; {INSTALL}"
    if found != VERSION:
        return f"version {found} is not the one this was written for; {INSTALL}"
    difference = parity(model, device)
    if difference <= PARITY:
        return ""
    return f"its numbers differ by {difference:.1e} of the blocked path's on {device}"


def parity(model: Any, device: torch.device) -> float:
    """Largest relative difference, library to blocked path: output and gradients of one attention module."""
    encoder, length = encoder_of(model), 144
    blocked = copy.deepcopy(encoder.layer[0].attention.self).to(device, torch.float32).eval()
    flash = copy.deepcopy(blocked)
    _adopt(flash, model.config)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2, length, model.config.hidden_size, generator=generator).to(device)
    mask = (torch.arange(length) < torch.tensor([length, length - 37])[:, None]).to(device)
    layout = layout_of(mask, 2, length)
    table = embeddings = None
    if encoder.relative_attention:
        table = bucket_table(length, encoder.position_buckets, encoder.max_relative_positions, device)
        embeddings = encoder.get_rel_embedding().detach().to(device, torch.float32)
    results = []
    for module in (blocked, flash):
        inputs = states.clone().requires_grad_()
        output, _ = module(inputs, layout, relative_pos=table, rel_embeddings=embeddings)
        weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(output[mask].square().sum(), [inputs, *weights])
        results.append([output[mask].detach(), *gradients])
    # The bias of keys has no gradient but rounding: each is measured against at least a part of the largest.
    largest = max(float(expected.norm()) for expected in results[0][1:])
    return max(
        float((found - expected).norm()) / max(float(expected.norm()), 1e-3 * largest)
        for expected, found in zip(*results, strict=True)
    )
