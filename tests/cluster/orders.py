"""Orders for the cluster's tests, as the controller would give them."""

from __future__ import annotations

from typing import Any

from coref_k8s.study.names import Kind
from coref_k8s.study.order import BatchPlan, Order, Resources
from coref_k8s.study.spec import StudySpec

GIB = 2**30


def make_order(
    *,
    study: str = "korean",
    kind: Kind = Kind.TRIAL,
    seq_len: int | None = 64,
    trial: int | None = 0,
    attempt: int = 1,
    spec: dict[str, Any] | None = None,
    resources: Resources | None = None,
) -> Order:
    """Return an order; `spec` in camelCase, by default one small length on CPU."""
    default = {"seqLengths": [64], "anyLength": True, "pod": {"gpus": 0}}
    if kind is Kind.PREPARE:
        seq_len = trial = None
    parts = [str(part) for part in (seq_len, trial) if part is not None] or [kind.value]
    return Order(
        kind=kind,
        study=study,
        namespace="lab",
        spec=StudySpec.model_validate(spec or default),
        attempt=attempt,
        seq_len=seq_len,
        trial=trial,
        trial_id=17 if trial is not None else None,
        params={"learning_rate": 5e-5, "position_range": "clamp"} if trial is not None else {},
        seed=7,
        batch=None if seq_len is None else small_batch(seq_len),
        resources=resources or small_resources(),
        workdir="/".join(["studies", study, *parts]),
        prepared="prepared/0123456789abcdef" if trial is not None else "",
    )


def small_batch(seq_len: int) -> BatchPlan:
    return BatchPlan(
        seq_len=seq_len,
        batch_size=4,
        accumulation=8,
        checkpointing=True,
        predicted_bytes=20 * GIB,
        budget_bytes=32 * GIB,
    )


def small_resources() -> Resources:
    return Resources(
        gpus=0, gpu_memory_mb=0, cpu_millis=500, memory_bytes=2 * GIB, ephemeral_bytes=GIB, shm_bytes=GIB // 4
    )


def gpu_resources() -> Resources:
    return Resources(
        gpus=1,
        gpu_memory_mb=38912,
        cpu_millis=4000,
        memory_bytes=24 * GIB,
        ephemeral_bytes=10 * GIB,
        shm_bytes=2 * GIB,
    )
