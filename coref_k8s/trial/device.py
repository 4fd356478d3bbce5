"""The device of this process: what it computes on, in which number format, and what it has used."""

from __future__ import annotations

import os
import resource
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from coref_k8s.errors import TrialError


def pick_device(gpus: int) -> torch.device:
    """Return the GPU when the order has one, else the CPU; raise TrialError when it is not there."""
    if gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrialError("trial.no-gpu", gpus=gpus, torch=torch.__version__)
    return torch.device("cuda", 0)


def autocast_dtype(precision: Literal["auto", "bf16", "fp32"], device: torch.device) -> torch.dtype | None:
    """Return bfloat16 or None (float32). `auto` is bfloat16 on GPUs that compute in it, never on CPUs.

    Raises TrialError when bf16 is demanded of a GPU without it.
    """
    if precision == "fp32" or (precision == "auto" and device.type == "cpu"):
        return None
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        if precision == "auto":
            return None
        raise TrialError("trial.no-bf16", gpu=torch.cuda.get_device_name(device))
    return torch.bfloat16


def precision_name(dtype: torch.dtype | None) -> str:
    """Return what requests call the number format of a forward pass."""
    return {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]


def autocast(dtype: torch.dtype | None, device: torch.device) -> AbstractContextManager[object]:
    """Return the context for a forward pass."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def use_threads(cpu_millis: int) -> None:
    """Use as many threads as the order has cores, unless the environment says otherwise."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(cpu_millis // 1000, os.cpu_count() or 1)))


def host_peak_bytes() -> int:
    """Return the largest resident size of this process so far (bytes; Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory so far: what torch reserved of the GPU, or of this process (bytes)."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else host_peak_bytes()
