"""Batch x accumulation for one GPU, or for a trial on the CPU: the effective batch is kept, the time is least."""

from __future__ import annotations

from coref_k8s.errors import RequestError, SizingError
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.sizing.estimate import estimate
from coref_k8s.sizing.head import HeadShape
from coref_k8s.sizing.resources import size_pod
from coref_k8s.sizing.shape import ModelShape, shape_of
from coref_k8s.sizing.speed import PASS_OVERHEAD_TOKENS, Step
from coref_k8s.sizing.table import row_for
from coref_k8s.study.order import BatchPlan
from coref_k8s.study.spec import StudySpec

#: Share of a GPU's memory, or of the host's, that may be planned for.
USABLE = 0.8
#: Python, torch, the tokeniser and the evaluation items of a trial on the CPU, beside its step (bytes of host memory).
HOST_BASE = 2**30
#: Precisions whose products have two bytes.
NARROW = ("bf16", "fp16")
#: Extra compute of checkpointing: the forward pass a second time, of three parts in all.
RECOMPUTE = 1 / 3


def effective_batch(spec: StudySpec, seq_len: int, accumulation: int | None = None) -> int:
    """Return the sequences per optimiser step: the table's batch (or the request's) x accumulation."""
    row = row_for(seq_len)
    if spec.training.batch_size is not None:
        return spec.training.batch_size * (accumulation or 1)
    return row.batch * (accumulation or row.accumulation)


def plan_batch(
    spec: StudySpec,
    seq_len: int,
    *,
    accumulation: int | None = None,
    tier: int = 0,
    correction: float = 1.0,
    calibration: Calibration | None = None,
) -> BatchPlan:
    """Return the fastest plan that stays within 80 % of the GPU's memory; without GPUs, of the trial's host memory.

    `accumulation` is the sampled parameter (the table's by default). `tier` counts the times that the trial ran out of
    memory at batch 1: from then on it starts at batch 1, with checkpointing unless the request forbids it.
    `correction` scales the estimate by what trials measured on this hardware. Before there are any, `calibration` does;
    it also says what takes least time, and which attention path must not be used.
    Raises RequestError for a path that is asked for and is off, and SizingError when one sequence does not fit. A model
    of unknown shape is not refused on a CPU: its trial will show.
    """
    shape = shape_of(spec.model)
    attention, speed = "", None
    if calibration is not None:
        attention, speed = _path(spec, calibration), calibration.speed
        correction = calibration.factor if correction == 1.0 else correction
        if attention:
            training = spec.training.model_copy(update={"attention": attention})
            spec = spec.model_copy(update={"training": training})

    def cost(batch: int, checkpointing: bool) -> float:
        passes = total // batch
        if speed is not None:
            return speed.seconds(Step(seq_len, batch, passes, checkpointing), shape, spec.task)
        return _cost(seq_len, batch, passes, checkpointing)

    memory = spec.gpu_memory_gb * 2**30 if spec.pod.gpus else size_pod(spec, seq_len, tier=tier).memory_bytes
    budget = int(USABLE * memory)
    total = effective_batch(spec, seq_len, accumulation)
    largest = min(spec.training.batch_size or row_for(seq_len).batch, total)
    switches = {"on": (True,), "off": (False,), "auto": (False, True)}[spec.training.checkpointing]
    if not shape.recomputes:
        switches = (False,)
    if tier > 0:
        largest, switches = 1, switches[-1:]
    fitting = [
        (cost(batch, switch), switch, -batch, predicted)
        for batch in range(1, largest + 1)
        if total % batch == 0
        for switch in switches
        if (predicted := predict(shape, spec, seq_len, batch, switch, correction)) <= budget
    ]
    if not fitting:
        least = predict(shape, spec, seq_len, 1, switches[-1], correction)
        if shape.assumed and not spec.pod.gpus:
            # a model that cannot be seen from here may be small, and on a CPU many are: the trial will show
            fitting = [(0.0, switches[-1], -1, least)]
    if not fitting:
        need = least / USABLE / 2**30
        code = "sizing.no-fit" if spec.pod.gpus else "sizing.no-fit-host"
        raise SizingError(code, size=memory / 2**30, seq_len=seq_len, model=spec.model, need=need)
    _, switch, negative, predicted = min(fitting)
    return BatchPlan(
        seq_len=seq_len,
        batch_size=-negative,
        accumulation=total // -negative,
        checkpointing=switch,
        predicted_bytes=predicted,
        budget_bytes=budget,
        attention=attention,
    )


def _path(spec: StudySpec, calibration: Calibration) -> str:
    """Return the attention path to take instead of the one asked for; empty where that agrees. Raises RequestError."""
    asked = spec.training.attention
    if asked in calibration.paths and (off := calibration.off(asked)):
        raise RequestError(off)
    measured_off = any(calibration.off(path) for path in calibration.paths)
    return calibration.path if asked == "auto" and measured_off else ""


def _cost(seq_len: int, batch: int, passes: int, checkpointing: bool) -> float:
    compute = batch * seq_len * (1 + RECOMPUTE * checkpointing)
    return passes * (compute + PASS_OVERHEAD_TOKENS)


def predict(
    shape: ModelShape,
    spec: StudySpec,
    seq_len: int,
    batch: int,
    checkpointing: bool,
    correction: float = 1.0,
    head: HeadShape | None = None,
) -> int:
    """Return the predicted peak memory of a study's training step: of the GPU, or of a whole trial on the CPU (bytes).

    `head`: what is known of the documents that a trial of coreference trains with.
    """
    on_cpu = spec.pod.gpus == 0
    found = estimate(
        shape,
        seq_len,
        batch,
        checkpointing=checkpointing,
        # `auto` is float32 on a CPU
        bf16=spec.training.precision in (NARROW if on_cpu else (*NARROW, "auto")),
        attention="eager" if spec.training.attention == "eager" else "blocked",
        device="cpu" if on_cpu else "cuda",
        head=(head or HeadShape()) if spec.task == "coreference" else None,
    )
    return int(found.total * correction) + (HOST_BASE if on_cpu else 0)
