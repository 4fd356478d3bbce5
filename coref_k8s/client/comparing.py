"""Several studies side by side: what each length reached, how sure that is, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coref_k8s.controller.view import LengthView, StudyView
from coref_k8s.search.tested import tested
from coref_k8s.wording.formats import parameter


def side_by_side(views: Sequence[StudyView], price: float | None = None) -> list[dict[str, Any]]:
    """Return one row a study and length; `price` is that of a GPU-hour.

    `score` is that of the best single run on dev; with finalists `dev` is the winner's mean over its `dev_runs`. `test` is what
    finalists, a final training or an ensemble reach on test, with its interval. `not_given`: these rest on too few items
    to be shown to a person. `setting_…` are the fields of the
    request in which the studies differ. Jobs of the whole study (preparation) are in no row.
    """
    differing = settings(views)
    return [
        _row(view, one, price) | {f"setting_{path}": values[n] for path, values in differing.items()}
        for n, view in enumerate(views)
        for one in view.lengths
    ]


def settings(views: Sequence[StudyView]) -> dict[str, list[Any]]:
    """Return the fields of the request in which studies differ, with the value of each study (None: none).

    Model and lengths, which every row names, are left out; `search` where not all of them search; and the memory of studies
    without a GPU, which is what their machine had free.
    """
    leave = {"model", "seqLengths", "purpose"}
    if not any(view.spec.pod.gpus for view in views):
        leave.add("pod.memory")
    if any(view.spec.purpose.kind != "search" for view in views):
        leave.add("search")
    found = [
        dict(_leaves(view.spec.model_dump(mode="json", by_alias=True, exclude_none=True))) for view in views
    ]
    paths = dict.fromkeys(path for one in found for path in one if not {path, path.split(".")[0]} & leave)
    values = {path: [one.get(path) for one in found] for path in paths}
    return {path: each for path, each in values.items() if any(value != each[0] for value in each)}


def of_different_kinds(views: Sequence[StudyView]) -> bool:
    """Tell whether the studies' scores weigh different metrics, so that none is higher than another's."""
    first, *others = (view.spec.objective.weights for view in views)
    return any(weights != first for weights in others)


def shown(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the scores on dev and on test that a person is shown: none where they rest on too few items."""
    if row["not_given"]:
        return None, None
    return row["score"] if row["dev"] is None else row["dev"], row["test"]


def told(value: Any) -> str:
    """Return a field's value as people read it."""
    if isinstance(value, list):
        return ", ".join(told(one.get("source", one) if isinstance(one, dict) else one) for one in value)
    if isinstance(value, dict):
        return (
            told(value["choices"]) if "choices" in value else f"{told(value['low'])} … {told(value['high'])}"
        )
    return parameter(value)


def _leaves(node: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        # a range of the search space is one value
        if isinstance(value, dict) and "log" not in value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _row(view: StudyView, one: LengthView, price: float | None) -> dict[str, Any]:
    attempts = [attempt for attempt in view.attempts if attempt.seq_len == one.seq_len]
    gpu_hours = sum(attempt.gpu_seconds for attempt in attempts) / 3600
    spent = sum(attempt.seconds for attempt in attempts)
    best, verdict = one.best, one.verdict
    on_test = tested(best, verdict)
    claims = {c.against: c.score.claim for c in on_test.comparisons if c.score} if on_test else {}
    row = {
        "study": view.name,
        "phase": view.phase.value,
        "seq_len": one.seq_len,
        "model": view.spec.model,
        "trial": best.number if best else None,
        "score": best.value if best else None,
        "dev": verdict.dev if verdict else None,
        "dev_runs": len(verdict.won.scores) if verdict else 1 if best else None,
        "test": on_test.score if on_test else None,
        "test_ci_low": on_test.low if on_test else None,
        "test_ci_high": on_test.high if on_test else None,
        "not_given": "score" in (on_test or verdict or best).not_given if best else False,
        "against_untuned": claims.get("untuned"),
        "against_defaults": claims.get("defaults"),
        "trials": one.done,
        "runs": one.runs_done,
        "hours": round(spent / 3600, 4),
        "gpu_hours": round(gpu_hours, 4),
    }
    return row if price is None else {**row, "cost": round(gpu_hours * price, 2)}
