"""What a pod asks of its node: GPUs, CPU, host memory, scratch disk, /dev/shm."""

from __future__ import annotations

import re

from coref_k8s.errors import RequestError
from coref_k8s.sizing.shape import shape_of
from coref_k8s.study.order import Resources
from coref_k8s.study.spec import StudySpec

GIB = 2**30
#: Python, torch with CUDA, Kiwi's model and the tokeniser (bytes of host memory).
BASE_MEMORY = 6 * GIB
#: A node whose memory label says a little less than the card's name still counts: 40 GB cards report 40,536 MB.
LABEL_SLACK = 0.95

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_SCALE = {
    None: 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def parse_quantity(text: str) -> float:
    """Return a Kubernetes quantity as a number (bytes or cores); raise RequestError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise RequestError("sizing.not-a-quantity", text=text)
    number = float(match[1])
    return number / 1000 if match[2] == "m" else number * _SCALE[match[2]]


def size_pod(spec: StudySpec, seq_len: int | None, *, tier: int = 0) -> Resources:
    """Return the resources of one pod; `seq_len` None sizes the preparation, which needs no GPU.

    Host memory holds the process, a copy of weights and optimiser while a checkpoint is written, and the
    longest length's batches; each `tier` (earlier out-of-memory end) adds a half. From the second tier on,
    when checkpointing did not help either, the GPU must have twice the memory.
    """
    gpus = 0 if seq_len is None else spec.pod.gpus
    memory = BASE_MEMORY + 12 * shape_of(spec.model).parameters
    if seq_len is not None:
        memory += seq_len * 2**20  # staged batches and evaluation windows
    cpu = 4.0 if gpus or seq_len is None else 2.0
    if spec.pod.memory is not None:
        memory = int(parse_quantity(spec.pod.memory))
    if spec.pod.cpu is not None:
        cpu = parse_quantity(spec.pod.cpu)
    memory = int(memory * 1.5**tier)
    return Resources(
        gpus=gpus,
        gpu_memory_mb=int(spec.gpu_memory_gb * 1024 * LABEL_SLACK * 2 ** max(0, tier - 1)) if gpus else 0,
        cpu_millis=int(cpu * 1000),
        memory_bytes=memory,
        ephemeral_bytes=10 * GIB,
        shm_bytes=min(2 * GIB, memory // 4),
    )
