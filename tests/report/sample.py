"""A study as three lengths of trials leave it: complete, pruned and failed ones, with all that trials report."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from coref_k8s.controller.view import StudyView
from coref_k8s.search.finalists import wanted_runs
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.space import space_for
from coref_k8s.search.verdict import NO_DIFFERENCE, Candidate, Comparison, Difference, Verdict
from coref_k8s.store import AttemptRecord, Outcome, Phase
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import build_spec
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LENGTHS = (1024, 1536, 2048)
COMMIT = "363b171b9b2a1bdb7bba5e9c5e6a40a1ce1d8e0e"

CRASHED = Message.of(
    "controller.with-words",
    what=Message.of("controller.reason-crashed"),
    said=Message.of("controller.exit-code", exit=1),
)


def study(
    trials: int = 24,
    lengths: tuple[int, ...] = LENGTHS,
    *,
    gpus: int = 1,
    phase: Phase = Phase.SUCCEEDED,
    task: str = "mentions",
) -> StudyView:
    """A made-up study, the same every time; the learning rate decides, the rest is noise."""
    data = {"data": {"sources": [{"source": "people:60"}]}} if task == "coreference" else {}
    spec = build_spec(seq_lengths=lengths, trials=trials, parallelism=4, seed=3, task=task, **data)
    draw = random.Random(5)
    records = [_trial(spec, draw, length, number) for length in lengths for number in range(trials)]
    statistics = {
        "hash": "0123456789abcdef",
        "revisions": {"klue/klue:mrc": COMMIT, "wikimedia/wikipedia:20231101.ko": COMMIT},
        "skipped_sources": [
            {"source": "squad_kor_v1", "reason": "DataError: the hub does not answer <404>", "read": 0}
        ],
    }
    return StudyView(
        name="korean-long", namespace="team", phase=phase, message=NOTHING, spec=spec, created_at=NOW, started_at=NOW - timedelta(hours=31),
        finished_at=NOW if phase is Phase.SUCCEEDED else None, prepared="prepared/0123456789abcdef",
        statistics=statistics, trials=records, attempts=[_attempt(t, gpus) for t in records],
    )  # fmt: skip


def _trial(spec: StudySpec, draw: random.Random, length: int, number: int) -> TrialRecord:
    params = {name: _value(one, draw) for name, one in space_for(spec, length).items()}
    middle = math.log(4e-5)
    score = 0.52 - length / 20_000 - 0.05 * (math.log(params["learning_rate"]) - middle) ** 2
    score = max(0.05, score + draw.gauss(0, 0.008))
    state = TrialState.COMPLETE if score > 0.33 else TrialState.PRUNED
    if number % 11 == 7:
        state = TrialState.FAILED
    told = {1: score * 0.55, 2: score * 0.8, 3: score * 0.93, 4: score}
    if state is not TrialState.COMPLETE:
        told = {1: told[1], 2: told[2]}
    start = NOW - timedelta(hours=30) + timedelta(minutes=50 * number)
    attrs: dict[str, Any] = {"reason": CRASHED.to_text()} if state is TrialState.FAILED else {}
    metrics: dict[str, float] = {}
    if state is TrialState.COMPLETE:
        metrics, attrs = _metrics(score, length), _attrs(length)
        if spec.task == "coreference":
            metrics = _chain_metrics(score)
            evidence = {
                "counts": CHAINS,
                "warnings": [],
                "items_sha256": "cd" * 32,
                "buckets": [],
                "sample": SAMPLE,
            }
            attrs |= {"evidence": evidence}
    attrs |= {"losses": [[40 * step, 8.0 - score * step] for step in range(1, 6)]}
    value = None if state is TrialState.FAILED else told[max(told)]
    return TrialRecord(
        length,
        number,
        number,
        state,
        params,
        value,
        told,
        metrics,
        attrs,
        start,
        start + timedelta(minutes=45),
    )


def _value(one: Any, draw: random.Random) -> Any:
    if one.choices is not None:
        return draw.choice(one.choices)
    if one.log:
        return math.exp(draw.uniform(math.log(one.low), math.log(one.high)))
    return draw.uniform(one.low, one.high)


def _metrics(score: float, length: int) -> dict[str, float]:
    found = {"score_ci_low": score - 0.03, "score_ci_high": score + 0.03}
    for name, share in (("coref_f1", 1.1), ("coref_top1", 0.6), ("coref_top5", 0.95), ("lbd_top1", 0.85)):
        value = score * share
        found |= {name: value, f"{name}_ci_low": value - 0.04, f"{name}_ci_high": value + 0.04, f"{name}_gain": value * 0.7}  # fmt: skip
    for guess, value in (("frequent", 0.12), ("nearest", 0.09), ("constant", 0.01)):
        found |= {f"baseline_{guess}_top1": value / 2, f"baseline_{guess}_top5": value}
    for name in ("coref_f1", "coref_top5", "lbd_top1"):
        found |= {f"seed_{name}": score * 1.2, f"baseline_seed_{name}": 0.21}
    for up_to in (512, 1024):
        if up_to <= length:
            top5 = score * (1.1 - up_to / 5000)
            found |= {f"coref_top1_to{up_to}": top5 / 2, f"coref_top5_to{up_to}": top5, f"coref_top5_gain_to{up_to}": top5 * 0.6}  # fmt: skip
    return {"score": score, **found}


SAMPLE = {
    "doc_id": "people-3",
    "text": "옌템의 스승은 <핀혼>을 보았다. 그는 웃었다.",
    "found": [[[9, 11]], [[0, 2], [19, 20]]],
    "gold": [[[0, 2]], [[0, 6], [19, 20]], [[9, 11]]],
}
CHAINS = {"documents": 12, "mentions": 900, "recall_seen": 400, "recall_new": 120, "recall_pronoun": 300,
          "recall_0_512": 700, "recall_512_1024": 100, "recall_1024_2048": 20, "recall_2048": 0}  # fmt: skip


def _chain_metrics(score: float) -> dict[str, float]:
    found = {"score": score, "score_ci_low": score - 0.03, "score_ci_high": score + 0.03}
    names = {"conll_f1": score, "lea_f1": score - 0.05, "mention_f1": score + 0.2, "gold_conll_f1": score + 0.1,
             "equal_conll_f1": 0.111, "alone_conll_f1": 0.05, "equal_mention_f1": 0.222, "gold_equal_conll_f1": 0.333,
             "exact_no_singletons_conll_f1": score - 0.01}  # fmt: skip
    for name, value in names.items():
        found |= {name: value, f"{name}_ci_low": value - 0.04, f"{name}_ci_high": value + 0.04}
    return found | {name: 0.4 for name, n in CHAINS.items() if name.startswith("recall_") and n}


def _attrs(length: int) -> dict[str, Any]:
    buckets = [
        {"above": up_to - 512, "up_to": up_to, "n": n}
        for up_to, n in ((512, 120), (1024, 51), (1536, 19), (2048, 4))
        if up_to - 512 < length
    ]
    return {
        "versions": {"coref-k8s": "0.2.0", "python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0", "datasets": "5.2.0", "optuna": "5.0.0"},
        "model_revision": COMMIT,
        "evidence": {"counts": {"coref": 194}, "warnings": [], "items_sha256": "ab" * 32, "buckets": buckets},
    }  # fmt: skip


def _attempt(trial: TrialRecord, gpus: int) -> AttemptRecord:
    outcome = {TrialState.COMPLETE: Outcome.SUCCEEDED, TrialState.PRUNED: Outcome.PRUNED}.get(
        trial.state, Outcome.FAILED
    )
    assert trial.started_at is not None
    return AttemptRecord(
        job_name=f"korean-long-{trial.seq_len}-{trial.number}-1", kind=Kind.TRIAL, seq_len=trial.seq_len,
        trial=trial.number, attempt=1, tier=0, outcome=outcome, gpus=gpus, gpu_seconds=gpus * 2700.0,
        started_at=trial.started_at, finished_at=trial.finished_at,
    )  # fmt: skip


def with_finalists(view: StudyView) -> StudyView:
    """The study with two finalists a length: better than the untuned model, and not shown to be better than the defaults."""
    search = view.spec.search.model_copy(update={"finalists": 2, "finalist_seeds": 2})
    spec = view.spec.model_copy(update={"search": search})
    runs, verdicts = [], []
    for one in replace(view, spec=spec).lengths:
        for number, run in enumerate(wanted_runs(spec, one.seq_len, one.trials)):
            attrs = {"role": run.role.value, "of_trial": run.of_trial, "seed": run.seed}
            runs.append(
                TrialRecord(one.seq_len, number, number, TrialState.COMPLETE, run.params, 0.4, attrs=attrs)
            )
        first, second = one.ranked[:2]
        compared = [
            Comparison("untuned", (Difference("score", 0.05, 0.37, 0.3, 0.44, "better"),), 1, 200, 40),
            Comparison(
                "defaults", (Difference("score", 0.41, 0.01, -0.02, 0.04, NO_DIFFERENCE),), 2, 200, 40
            ),
        ]
        verdicts.append(Verdict(
            seq_len=one.seq_len, runs=tuple(range(7)), winner=second.number, run=2, dev=0.44, test=0.42, low=0.38, high=0.46,
            metrics={"score": 0.42}, comparisons=tuple(compared), made_at=NOW,
            candidates=(Candidate(second.number, (0.43, 0.45), 2), Candidate(first.number, (0.40, 0.42), 2)),
        ))  # fmt: skip
    return replace(view, spec=spec, runs=runs, verdicts=verdicts)
