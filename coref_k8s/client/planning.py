"""What a request comes to before it runs: batch, memory, pod and search space of every length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coref_k8s.client.power import Power, power_of
from coref_k8s.search.allotment import cost_of, laddered, least_and_most
from coref_k8s.search.space import space_for
from coref_k8s.sizing.batch import plan_batch
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.sizing.resources import size_pod
from coref_k8s.sizing.suitable import check_suitable, left_out
from coref_k8s.study.order import BatchPlan, Resources
from coref_k8s.study.spec import Range, StudySpec

GIB = 2**30


@dataclass(frozen=True)
class LengthPlan:
    """Everything decided for one sequence length."""

    batch: BatchPlan
    pod: Resources
    space: dict[str, Range]


def plan_study(spec: StudySpec, calibration: Calibration | None = None) -> dict[int, LengthPlan]:
    """Return the plan of each length, in the order in which they run, by what was measured of such trials where it was.

    Raises SizingError when no batch fits, ModelError when the model cannot do what is asked.
    """
    check_suitable(spec)
    plans = {}
    for length in spec.seq_lengths:
        space = space_for(spec, length)
        choices = space["accumulation"].choices or () if "accumulation" in space else ()
        fixed = int(choices[0]) if len(choices) == 1 else None  # else the memory table's
        batch = plan_batch(spec, length, accumulation=fixed, calibration=calibration)
        plans[length] = LengthPlan(batch, size_pod(spec, length), space)
    return plans


def as_data(spec: StudySpec, plans: dict[int, LengthPlan], power: Power | None = None) -> dict[str, Any]:
    """Return the plan as plain data, keys in camelCase as in the request; with finalists what they can show."""
    shows = power or power_of(spec)
    return {
        "task": spec.task,
        "model": spec.model,
        "trialsPerLength": spec.trials,
        **_amounts(spec),
        "parallelism": spec.parallelism,
        "gpuMemoryGb": spec.gpu_memory_gb,
        "warmStart": spec.search.warm_start,
        "warmStartSparesShare": spared_share(spec),
        **({"finalists": shows.as_data()} if shows else {}),
        "leftOut": [str(one) for one in left_out(spec)],
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
                "trials": least_and_most(spec)[length][0],
                "trialsAtMost": least_and_most(spec)[length][1],
                "space": {
                    name: one.model_dump(by_alias=True, exclude_defaults=True, mode="json")
                    for name, one in plan.space.items()
                },
            }
            for length, plan in plans.items()
        ],
    }


def _amounts(spec: StudySpec) -> dict[str, Any]:
    """Return the trials of all lengths, and what they cost in trials of the longest one; `AtMost` if no length follows."""
    least, most = ({n: pair[at] for n, pair in least_and_most(spec).items()} for at in (0, 1))
    return {
        "trialsInAll": sum(least.values()),
        "trialsAtMost": sum(most.values()),
        "cost": round(cost_of(least), 2),
        "costAtMost": spec.search.budget or round(cost_of(most), 2),
    }


def spared_share(spec: StudySpec) -> float | None:
    """Return the share of a study's trial time that goes to random first trials which warm start makes needless.

    Without it every length begins with `startupTrials` random ones; with it only the shortest does. A trial's
    time is taken to grow with its tokens. None where nothing is carried over.
    """
    search = spec.search
    if laddered(spec) or not search.warm_start or search.sampler == "random" or len(spec.seq_lengths) < 2:
        return None
    random = min(search.startup_trials, spec.trials)
    return random * sum(spec.seq_lengths[1:]) / (spec.trials * sum(spec.seq_lengths))
