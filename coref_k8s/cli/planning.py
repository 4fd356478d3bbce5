"""What `plan` shows: batch, memory, pods and search space of every length, as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from coref_k8s.cli.sheet import Sheet, headed
from coref_k8s.cli.speech import lang, say
from coref_k8s.client.expecting import Outlook
from coref_k8s.client.planning import GIB, LengthPlan, spared_share
from coref_k8s.client.power import Power
from coref_k8s.search.allotment import CONTRASTS, cost_of, laddered, least_and_most
from coref_k8s.search.finalists import planned_runs
from coref_k8s.search.records import CARRIED
from coref_k8s.search.space import describe
from coref_k8s.sizing.shape import shape_of
from coref_k8s.sizing.suitable import left_out
from coref_k8s.study.order import BatchPlan
from coref_k8s.study.parameters import PARAMETERS
from coref_k8s.study.spec import Range, StudySpec
from coref_k8s.wording import Message
from coref_k8s.wording.formats import UNKNOWN, between, duration, parameter


def as_tables(seen: Outlook, power: Power | None = None, price: float | None = None) -> RenderableType:
    """Return the plan as tables and sentences for a person: sizes, ranges, times; `power` is what its finalists can show.

    `price` is that of a GPU-hour.
    """
    spec, plans = seen.spec, dict(seen.plans)
    sentences = [one.say(lang()) for one in _sentences(spec, plans, power, seen.at_once)]
    found = ["", seen.found.say(lang())] if seen.found else []
    times = [one.say(lang()) for one in seen.sentences(price)]
    return Group(
        _sizes(spec, plans), "", _spaces(plans), "", *sentences, *found, "", _times(seen), "", *times
    )


def _times(seen: Outlook) -> Sheet:
    """Return how long trials are expected to take."""
    codes = ("words.tokens", "plan.steps", "plan.a-step", "plan.training", "plan.evaluation", "plan.start", "plan.a-trial",
             "plan.all-trials")  # fmt: skip
    table = headed(
        *codes, spare=("plan.start", "plan.evaluation", "plan.training", "plan.steps", "plan.a-step")
    )
    for length, one in seen.times.items():
        step = f"{one.step_seconds:.2g} s" if one.step_seconds < 10 else _about(one.step_seconds)
        parts = (one.training_seconds, one.evaluation_seconds, one.start_seconds, one.trial_seconds)
        low, high = one.seconds
        table.row(
            str(length), f"{one.steps:,}", step, *map(_about, parts), between(_about(low), _about(high))
        )
    return table


def _about(seconds: float) -> str:
    return duration(seconds, lang(), estimate=True)


def _sizes(spec: StudySpec, plans: dict[int, LengthPlan]) -> Sheet:
    place = "plan.on-gpus" if spec.pod.gpus else "plan.on-cpus"
    memory = "plan.gpu-memory" if spec.pod.gpus else "plan.memory-column"
    codes = ("words.tokens", "plan.batch", "plan.accumulation", "plan.effective", memory,
             "plan.checkpointing", "plan.gpus", "plan.pod", "words.trials")  # fmt: skip
    title = say(place, model=spec.model, size=spec.gpu_memory_gb)
    table = headed(
        *codes,
        spare=("plan.checkpointing", "plan.gpus", "plan.effective", "words.trials", "plan.pod"),
        title=title,
    )
    counts = least_and_most(spec)
    for length, plan in plans.items():
        batch = plan.batch
        table.row(
            str(length),
            str(batch.batch_size),
            f"× {batch.accumulation}",
            f"= {batch.effective_batch}",
            _memory(batch),
            say("words.yes" if batch.checkpointing else "words.no"),
            str(plan.pod.gpus),
            f"{plan.pod.memory_bytes / GIB:.0f} GB",
            between(str(counts[length][0]), str(counts[length][1]), "–"),
        )
    return table


def _memory(batch: BatchPlan) -> Text:
    used, budget = f"{batch.predicted_bytes / GIB:.1f}", f"{batch.budget_bytes / GIB:.1f}"
    tight = batch.predicted_bytes > 0.9 * batch.budget_bytes
    return Text(say("plan.memory", used=used, budget=budget), style="yellow" if tight else "")


def _spaces(plans: dict[int, LengthPlan]) -> Sheet:
    names = list(dict.fromkeys(name for plan in plans.values() for name in plan.space))
    columns = _grouped(plans)
    table = Sheet(say("plan.space"))
    table.column(say("words.parameter"), left=True)
    for lengths, _ in columns:
        table.column(", ".join(map(str, lengths)), wrapped=True)
    for name in names:
        table.row(name, *(describe(space[name]) if name in space else UNKNOWN for _, space in columns))
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


def _sentences(
    spec: StudySpec, plans: dict[int, LengthPlan], power: Power | None, parallelism: int
) -> list[Message]:
    """Return what the plan has to say."""
    search, lengths = spec.search, list(map(str, plans))
    least, most = ({n: pair[at] for n, pair in least_and_most(spec).items()} for at in (0, 1))
    at_once: dict[str, object] = {
        "n": sum(least.values()), "each": [f"{count} × {length}" for length, count in least.items()],
        "parallelism": parallelism, "sampler": search.sampler, "pruner": search.pruner,
    }  # fmt: skip
    said = [Message("plan.trials-each" if len(plans) > 1 else "plan.trials", at_once)]
    if len(plans) > 1:
        costs = {"cost": cost_of(least), "most": search.budget or cost_of(most), "longest": lengths[-1]}
        said.append(Message("plan.cost-if-followed" if least != most else "plan.cost", costs))
    if laddered(spec):
        about = {"first": lengths[0], "longer": lengths[1:], "carried": CARRIED, "random": CONTRASTS}
        said.append(Message("plan.climb", about))
    elif search.warm_start and len(plans) > 1:
        said.append(Message.of("plan.ladder", first=lengths[0], longer=lengths[1:]))
    if (spared := spared_share(spec)) is not None:
        said.append(Message.of("plan.spared", n=search.startup_trials, share=spared))
    if search.pruner != "none":
        said.append(Message.of("plan.pruning"))
    if search.warm_start_from:
        said.append(Message.of("plan.from", study=search.warm_start_from))
    if search.finalists:
        about = {"n": search.finalists, "seeds": search.finalist_seeds, "runs": planned_runs(spec)}
        said.append(Message("plan.finalists", about))
    if power:
        said += power.sentences()
    if spec.task == "coreference":
        one = next(
            (plan.space["head_epochs"] for plan in plans.values() if "head_epochs" in plan.space), None
        )
        passes = parameter(PARAMETERS["head_epochs"].default) if one is None else describe(one)
        said.append(Message.of("plan.head-epochs", passes=passes))
    sources = spec.data.choices or [f"{one.source} {one.subset or ''}".strip() for one in spec.data.sources]
    said.append(Message.of("plan.data", sources=", ".join(sources)))
    if shape_of(spec.model).assumed:
        said.append(Message.of("plan.assumed", model=spec.model))
    return [*said, *left_out(spec)]
