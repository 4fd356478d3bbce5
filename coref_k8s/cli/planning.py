"""What `plan` shows: batch, memory, pods and search space of every length, as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.console import titled
from coref_k8s.cli.strings import Lang, say
from coref_k8s.client.planning import GIB, LengthPlan
from coref_k8s.search.expected import spared_share
from coref_k8s.search.finalists import planned_runs
from coref_k8s.search.space import describe
from coref_k8s.sizing.shape import shape_of
from coref_k8s.study.order import BatchPlan
from coref_k8s.study.spec import Range, StudySpec


def as_tables(spec: StudySpec, plans: dict[int, LengthPlan], lang: Lang = "en") -> RenderableType:
    """Return the plan as tables and sentences for a person."""
    sentences = [say(lang, key, **values) for key, values in _sentences(spec, plans, lang)]
    parts: list[RenderableType] = [_sizes(spec, plans, lang), "", _spaces(plans, lang), "", *sentences]
    return Group(*parts)


def _sizes(spec: StudySpec, plans: dict[int, LengthPlan], lang: Lang) -> Table:
    place = "p_on_gpus" if spec.pod.gpus else "p_on_cpus"
    table = titled(say(lang, place, model=spec.model, size=f"{spec.gpu_memory_gb:g}"))
    for key in ("h_tokens", "h_batch", "h_accumulation", "h_effective", "h_gpu_memory"):
        table.add_column(say(lang, key), justify="right", no_wrap=key == "h_gpu_memory")
    for key in ("h_checkpointing", "h_gpus", "h_pod", "h_trials"):
        table.add_column(say(lang, key), justify="right")
    for length, plan in plans.items():
        batch = plan.batch
        table.add_row(
            str(length),
            str(batch.batch_size),
            f"× {batch.accumulation}",
            f"= {batch.effective_batch}",
            _memory(batch, lang),
            say(lang, "yes" if batch.checkpointing else "no"),
            str(plan.pod.gpus),
            f"{plan.pod.memory_bytes / GIB:.0f} GB",
            str(spec.trials),
        )
    return table


def _memory(batch: BatchPlan, lang: Lang) -> Text:
    used, budget = f"{batch.predicted_bytes / GIB:.1f}", f"{batch.budget_bytes / GIB:.1f}"
    tight = batch.predicted_bytes > 0.9 * batch.budget_bytes
    return Text(say(lang, "p_memory", used=used, all=budget), style="yellow" if tight else "")


def _spaces(plans: dict[int, LengthPlan], lang: Lang) -> Table:
    names = list(dict.fromkeys(name for plan in plans.values() for name in plan.space))
    columns = _grouped(plans)
    table = titled(say(lang, "p_space"))
    table.add_column(say(lang, "h_parameter"), no_wrap=True)
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


def _sentences(
    spec: StudySpec, plans: dict[int, LengthPlan], lang: Lang
) -> list[tuple[str, dict[str, object]]]:
    """Return what the plan has to say: keys of texts, and their values."""
    search, lengths = spec.search, list(map(str, plans))
    at_once: dict[str, object] = {
        "n": spec.trials * len(plans), "each": spec.trials, "lengths": len(plans),
        "parallelism": spec.parallelism, "sampler": search.sampler, "pruner": search.pruner,
    }  # fmt: skip
    said: list[tuple[str, dict[str, object]]] = [("p_trials_each" if len(plans) > 1 else "p_trials", at_once)]
    if search.warm_start and len(plans) > 1:
        said.append(("p_ladder", {"first": lengths[0], "longer": say(lang, "and").join(lengths[1:])}))
    if (spared := spared_share(spec)) is not None:
        said.append(("p_spared", {"n": search.startup_trials, "share": f"{spared:.0%}"}))
    if search.pruner != "none":
        said.append(("p_pruning", {}))
    if search.warm_start_from:
        said.append(("p_from", {"study": search.warm_start_from}))
    if search.finalists:
        runs = planned_runs(spec)
        said.append(("p_finalists", {"n": search.finalists, "seeds": search.finalist_seeds, "runs": runs}))
    sources = spec.data.choices or [f"{one.source} {one.subset or ''}".strip() for one in spec.data.sources]
    said.append(("p_data", {"sources": ", ".join(sources)}))
    if shape_of(spec.model).assumed:
        said.append(("p_assumed", {"model": spec.model}))
    return said
