"""What `plan` shows: batch, memory, pods and search space of every length, as data and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.console import titled
from coref_k8s.search.expected import spared_share
from coref_k8s.search.finalists import planned_runs
from coref_k8s.search.space import describe, space_for
from coref_k8s.sizing.batch import plan_batch
from coref_k8s.sizing.plan import BatchPlan, Resources
from coref_k8s.sizing.resources import size_pod
from coref_k8s.sizing.shape import shape_of
from coref_k8s.study import Range, StudySpec

GIB = 2**30


@dataclass(frozen=True)
class LengthPlan:
    """Everything decided for one sequence length."""

    batch: BatchPlan
    pod: Resources
    space: dict[str, Range]


def plan_study(spec: StudySpec) -> dict[int, LengthPlan]:
    """Return the plan of each length, in the order in which they run. Raises SizingError."""
    plans = {}
    for length in spec.seq_lengths:
        space = space_for(spec, length)
        choices = space["accumulation"].choices or () if "accumulation" in space else ()
        fixed = int(choices[0]) if len(choices) == 1 else None  # else the memory table's
        batch = plan_batch(spec, length, accumulation=fixed)
        plans[length] = LengthPlan(batch, size_pod(spec, length), space)
    return plans


def as_data(spec: StudySpec, plans: dict[int, LengthPlan]) -> dict[str, Any]:
    """Return the plan as plain data, keys in camelCase as in the request."""
    return {
        "model": spec.model,
        "trialsPerLength": spec.trials,
        "trialsInAll": spec.trials * len(plans),
        "parallelism": spec.parallelism,
        "gpuMemoryGb": spec.gpu_memory_gb,
        "warmStart": spec.search.warm_start,
        "warmStartSparesShare": spared_share(spec),
        "lengths": [
            {
                "seqLen": length,
                "batchSize": plan.batch.batch_size,
                "accumulation": plan.batch.accumulation,
                "effectiveBatch": plan.batch.effective_batch,
                "checkpointing": plan.batch.checkpointing,
                "predictedMemoryGb": round(plan.batch.predicted_bytes / GIB, 2),
                "budgetMemoryGb": round(plan.batch.budget_bytes / GIB, 2),
                "pod": plan.pod.model_dump(by_alias=True),
                "space": {
                    name: one.model_dump(by_alias=True, exclude_defaults=True, mode="json")
                    for name, one in plan.space.items()
                },
            }
            for length, plan in plans.items()
        ],
    }


def as_tables(spec: StudySpec, plans: dict[int, LengthPlan]) -> RenderableType:
    """Return the plan as tables and sentences for a person."""
    parts: list[RenderableType] = [_sizes(spec, plans), "", _spaces(plans), "", *_sentences(spec, plans)]
    return Group(*parts)


def _sizes(spec: StudySpec, plans: dict[int, LengthPlan]) -> Table:
    place = f"GPUs of {spec.gpu_memory_gb:g} GB" if spec.pod.gpus else "CPUs"
    table = titled(f"{spec.model} on {place}")
    for heading in ("tokens", "batch", "accum.", "effective"):
        table.add_column(heading, justify="right")
    table.add_column("GPU memory", justify="right", no_wrap=True)
    for heading in ("ckpt", "GPUs", "pod", "trials"):
        table.add_column(heading, justify="right")
    for length, plan in plans.items():
        batch = plan.batch
        table.add_row(
            str(length),
            str(batch.batch_size),
            f"× {batch.accumulation}",
            f"= {batch.effective_batch}",
            _memory(batch),
            "yes" if batch.checkpointing else "no",
            str(plan.pod.gpus),
            f"{plan.pod.memory_bytes / GIB:.0f} GB",
            str(spec.trials),
        )
    return table


def _memory(batch: BatchPlan) -> Text:
    tight = batch.predicted_bytes > 0.9 * batch.budget_bytes
    return Text(
        f"{batch.predicted_bytes / GIB:.1f} of {batch.budget_bytes / GIB:.1f} GB",
        style="yellow" if tight else "",
    )


def _spaces(plans: dict[int, LengthPlan]) -> Table:
    names = list(dict.fromkeys(name for plan in plans.values() for name in plan.space))
    columns = _grouped(plans)
    table = titled("Search space")
    table.add_column("parameter", no_wrap=True)
    for lengths, _ in columns:
        table.add_column(", ".join(map(str, lengths)))
    for name in names:
        table.add_row(name, *(describe(space[name]) if name in space else "–" for _, space in columns))
    return table


def _grouped(plans: dict[int, LengthPlan]) -> list[tuple[list[int], dict[str, Range]]]:
    """Lengths with the same space share a column."""
    columns: list[tuple[list[int], dict[str, Range]]] = []
    for length, plan in plans.items():
        for lengths, space in columns:
            if space == plan.space:
                lengths.append(length)
                break
        else:
            columns.append(([length], plan.space))
    return columns


def _sentences(spec: StudySpec, plans: dict[int, LengthPlan]) -> list[str]:
    trials = spec.trials * len(plans)
    per_length = f" ({spec.trials} × {len(plans)} lengths)" if len(plans) > 1 else ""
    lines = [
        f"{trials} trials{per_length}, at most {spec.parallelism} at once; "
        f"sampler {spec.search.sampler}, pruner {spec.search.pruner}."
    ]
    if spec.search.warm_start and len(plans) > 1:
        first, *longer = map(str, plans)
        lines.append(
            f"{first} tokens go first; once half of their trials have ended, {' and '.join(longer)} start from the best."
        )
    if (spared := spared_share(spec)) is not None:
        lines.append(
            f"Expected, not measured: warm start spares the {spec.search.startup_trials} random trials that every longer "
            f"length would begin with, about {spared:.0%} of the trials' time if lengths resemble each other."
        )
    if spec.search.pruner != "none":
        lines.append(
            "What pruning spares is known when trials run; no trial is stopped before its own warm-up has ended."
        )
    if spec.search.warm_start_from:
        lines.append(f"Starts from the results of study {spec.search.warm_start_from}.")
    if spec.search.finalists:
        lines.append(
            f"Then the best {spec.search.finalists} of each length and the defaults are run with "
            f"{spec.search.finalist_seeds} fresh seeds, and the untuned model is scored: {planned_runs(spec)} more runs a length."
        )
    sources = ", ".join(f"{one.source} {one.subset or ''}".strip() for one in spec.data.sources)
    lines.append(f"Data: {', '.join(spec.data.choices) if spec.data.choices else sources}.")
    if shape_of(spec.model).assumed:
        lines.append(
            f"Memory is predicted for the shape of kf-deberta-base, since {spec.model} is not on this machine."
        )
    return lines
