"""The order of one job: everything that a trial, a preparation or a verdict must know."""

from __future__ import annotations

from typing import Any

from coref_k8s.study.base import Request, added
from coref_k8s.study.names import Kind, job_name
from coref_k8s.study.spec import StudySpec


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
    attention: str = added("")
    """Attention path to take in the place of the one that the request names; empty for that one."""

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


class Order(Request):
    """Everything that one job must know, except secrets; passed as JSON in `COREF_ORDER` or a file."""

    kind: Kind
    """What to do."""
    study: str
    """Study name."""
    study_uid: str = added("")
    """What tells the study from others that had its name; its events carry it."""
    namespace: str = ""
    """Namespace of the study; empty on one machine."""
    spec: StudySpec
    """The request."""
    attempt: int = 1
    """1 for the first Job of this trial; every further Job (more memory, disruption) adds 1."""
    seq_len: int | None = None
    """Sequence length (tokens); none for preparation."""
    trial: int | None = None
    """Trial number in the study of its length."""
    trial_id: int | None = None
    """The trial's id in the storage."""
    params: dict[str, Any] = {}
    """Sampled parameters by name (see `coref_k8s.study.parameters`)."""
    seed: int = 0
    """Seed of this trial."""
    untuned: bool = False
    """Score the model as it is, without training it."""
    batch: BatchPlan | None = None
    """Batch, accumulation and checkpointing; none for preparation."""
    resources: Resources
    """What the job may use."""
    workdir: str
    """Folder of this job below the data root: checkpoints, model, result, log."""
    prepared: str = ""
    """Folder of the prepared data below the data root."""

    @property
    def name(self) -> str:
        """Deterministic job name: creating it twice is creating it once."""
        return job_name(self.study, self.kind, self.seq_len, self.trial, self.attempt)
