"""What sizing decides for one trial; travels inside the trial's order."""

from __future__ import annotations

from coref_k8s.study import Request


class BatchPlan(Request):
    """Batch and memory of one trial."""

    seq_len: int
    """Sequence length (tokens)."""
    batch_size: int
    """Sequences in one forward pass."""
    accumulation: int
    """Forward passes per optimiser step."""
    checkpointing: bool
    """Whether layers are recomputed in the backward pass."""
    predicted_bytes: int
    """Predicted peak GPU memory (bytes)."""
    budget_bytes: int
    """What may be used: 80 % of the GPU's memory (bytes)."""

    @property
    def effective_batch(self) -> int:
        """Sequences per optimiser step."""
        return self.batch_size * self.accumulation


class Resources(Request):
    """What a pod asks for."""

    gpus: int
    """Whole GPUs."""
    gpu_memory_mb: int
    """Least memory of a GPU (MB, as in the node label `nvidia.com/gpu.memory`); 0 for any."""
    cpu_millis: int
    """CPU (thousandths of a core)."""
    memory_bytes: int
    """Host memory (bytes)."""
    ephemeral_bytes: int
    """Scratch disk (bytes)."""
    shm_bytes: int
    """Size of /dev/shm (bytes)."""
