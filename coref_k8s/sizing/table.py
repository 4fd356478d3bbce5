"""The memory table: batch and accumulation for each sequence length at 40 GB."""

from __future__ import annotations

from dataclasses import dataclass

from coref_k8s.study.order import BatchPlan


@dataclass(frozen=True)
class Row:
    """One row of the table: `batch * accumulation` sequences per optimiser step."""

    batch: int
    accumulation: int


#: Effective batch 32 throughout. 768, 1280 and 1792 take the row of the next longer length of the
#: project's first report (1024, 1536, 2048), so that no length is sized by a shorter one's memory.
MEMORY_TABLE: dict[int, Row] = {
    512: Row(32, 1),
    768: Row(16, 2),
    1024: Row(16, 2),
    1280: Row(8, 4),
    1536: Row(8, 4),
    1792: Row(4, 8),
    2048: Row(4, 8),
}


def row_for(seq_len: int) -> Row:
    """Return the table's row for a length; lengths between rows take the next longer row's."""
    for length, row in MEMORY_TABLE.items():
        if seq_len <= length:
            return row
    return MEMORY_TABLE[2048]


def compute_optimal_batch_config(
    seq_len: int, model_name: str, available_memory_gb: float = 40
) -> dict[str, int | float | bool]:
    """Return batch, accumulation, effective batch and predicted memory for one GPU.

    Kept under its first name and signature. `available_memory_gb` is the GPU's whole memory (GiB);
    80 % of it is used. Raises SizingError when not even one sequence fits, RequestError for a length
    that no study may have.
    """
    from coref_k8s.sizing.batch import plan_batch
    from coref_k8s.study.reading import build_spec

    plan: BatchPlan = plan_batch(
        build_spec(
            seq_lengths=[seq_len], model=model_name, gpu_memory_gb=available_memory_gb, any_length=True
        ),
        seq_len,
    )
    return {
        "batch_size": plan.batch_size,
        "accumulation": plan.accumulation,
        "effective_batch_size": plan.effective_batch,
        "checkpointing": plan.checkpointing,
        "predicted_memory_gb": round(plan.predicted_bytes / 2**30, 2),
    }
