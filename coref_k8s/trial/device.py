"""The device of this process: what it computes on, in which number format, and what it has used."""

from __future__ import annotations

import os
import resource
from contextlib import AbstractContextManager, nullcontext

import torch

from coref_k8s.errors import TrialError


def pick_device(gpus: int) -> torch.device:
    """Return the GPU when the order has one, else the CPU; raise TrialError when it is not there."""
    if gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrialError("trial.no-gpu", gpus=gpus, torch=torch.__version__)
    return torch.device("cuda", int(os.environ.get("COREF_RANK", "0")))


#: First compute capability with tensor cores for a format.
_FROM = {"bf16": (8, 0), "fp16": (7, 0), "tf32": (8, 0)}


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the number format of a forward pass, None for float32, as `training.precision` asks for it.

    `auto` is bfloat16 on GPUs that compute in it, never on CPUs. Raises TrialError when the device lacks what is asked for.
    """
    if precision in _FROM and not _computes(precision, device):
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        raise TrialError("trial.no-precision", precision=precision, device=name)
    if precision == "auto":
        narrow = device.type == "cuda" and _computes("bf16", device)
        return torch.bfloat16 if narrow else None
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)


def _computes(precision: str, device: torch.device) -> bool:
    """Whether a device computes in a format: a CPU in every autocast's, if slowly."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _FROM[precision]
    return precision != "tf32"


def allow_tf32(precision: str) -> None:
    """Let products in float32 be made in tf32 where that is asked for, and nowhere else."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")


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


def sum_in_order() -> None:
    """Let threads of a CPU add up in one order, so that a training that is repeated or resumed has the same numbers to the bit.

    PyTorch's backward pass of `states[rows]` adds from all threads as they come otherwise.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def host_peak_bytes() -> int:
    """Return the largest resident size of this process so far (bytes; Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory so far: what torch reserved of the GPU, or of this process (bytes)."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else host_peak_bytes()
