"""How far an attention path is from Hugging Face's eager one, forward and backward, in a number format."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from coref_k8s.errors import ModelError
from coref_k8s.model.convert import convert
from coref_k8s.model.flash import PARITY, use_flash
from coref_k8s.model.load import load_masked_lm, quiet
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.model.positions import encoder_of
from coref_k8s.sizing.calibration import Parity
from coref_k8s.trial.device import allow_tf32, autocast, precision_name

#: In a narrow format a path may be this many times as far from Hugging Face's float32 as Hugging Face's own is there.
NARROW = 2.0
#: And so much further in any case: what rounding alone differs by when both are very near.
FLOOR = 2e-3
#: Layers that are compared: differences of two show in one more, and eager attention needs much memory.
_LAYERS = 2
#: A loss in float16 is multiplied by this before its gradients are computed, and they are divided by it.
_SCALE = 1024.0


class ParityCheck:
    """Compares paths with Hugging Face's on the first layers of one model, dropout off, one of two rows padded."""

    def __init__(self, model: str, seq_len: int, revision: str | None, device: torch.device) -> None:
        """`model` is a folder or a hub id of a DeBERTa-v2; `seq_len` its longest length (tokens)."""
        with quiet():
            self._eager: Any = load_masked_lm(model, seq_len=seq_len, attention="eager", revision=revision)
        encoder = encoder_of(self._eager)
        encoder.layer = encoder.layer[:_LAYERS]
        self._device = device
        self._eager.to(device).eval()

    def compare(self, path: str, seq_len: int, dtype: torch.dtype | None) -> Parity:
        """Return how far `path` (`blocked`, `flash`) is from eager attention at a length, in `dtype` (None: float32).

        An error of the path (a kernel that does not compile, memory that runs out) is its answer.
        """
        allow_tf32("fp32")  # where it is asked for, steps after this set it again
        about: dict[str, Any] = {"path": path, "seq_len": seq_len, "precision": precision_name(dtype)}
        batch = self._batch(seq_len)
        try:
            reference = self._results(self._eager, batch, None)
            found = self._results(self._with(path), batch, dtype)
            difference, allowed = _difference(found, reference), PARITY
            if dtype is not None:
                own = _difference(self._results(self._eager, batch, dtype), reference)
                allowed = NARROW * own + FLOOR
        except (RuntimeError, ModelError) as error:  # torch.OutOfMemoryError is a RuntimeError
            why = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            return Parity(**about, difference=0.0, allowed=PARITY, why=why)
        return Parity(**about, difference=difference, allowed=allowed)

    def _with(self, path: str) -> nn.Module:
        ours = copy.deepcopy(self._eager)
        convert(ours)
        if path == "flash":
            use_flash(ours, self._device, demanded=True)
        return ours

    def _batch(self, seq_len: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seq_len)
        ids = torch.randint(5, self._eager.config.vocab_size, (2, seq_len), generator=generator)
        mask = torch.ones_like(ids)
        mask[1, seq_len - seq_len // 4 :] = 0
        chosen = (torch.rand(2, seq_len, generator=generator) < 0.15) & (mask > 0)
        labels = torch.where(chosen, ids, -100)
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: tensor.to(self._device) for name, tensor in batch.items()}

    def _results(self, model: nn.Module, batch: dict[str, Tensor], dtype: torch.dtype | None) -> list[Tensor]:
        """Return loss and gradients, in float32 on the host."""
        scale = _SCALE if dtype is torch.float16 else 1.0
        model.zero_grad(set_to_none=True)
        with autocast(dtype, self._device):
            loss = masked_lm_loss(model, batch)
        (loss * scale).backward()
        gradients = [p.grad.float().cpu() / scale for p in model.parameters() if p.grad is not None]
        model.zero_grad(set_to_none=True)
        return [loss.detach().float().cpu(), *gradients]


def _difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest relative difference; not a number counts as infinite."""
    # the bias of keys has no gradient but rounding: each is measured against at least a part of the largest
    largest = max(float(one.norm()) for one in expected[1:])
    apart = [
        float((ours - theirs).norm())
        / max(float(theirs.norm()), 1e-3 * largest if ours.dim() else 0.0, 1e-30)
        for ours, theirs in zip(found, expected, strict=True)
    ]
    return max(one if one == one else float("inf") for one in apart)
