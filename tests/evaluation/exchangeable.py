"""Simulated results of models between which there is no true difference, as `compare` and the verdict read them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from coref_k8s.evaluation.compare import compare
from coref_k8s.evaluation.composite import Composite
from coref_k8s.evaluation.result import EvaluationResult, ItemScores
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.trial.verdict_job import judge

WEIGHTS = {"coref_top5": 0.5, "coref_f1": 0.5}
#: How easy documents are (parameters of a beta distribution): half and half, or most of them nearly hopeless.
MIDDLING, HARD = (2.0, 2.0), (1.0, 6.0)
#: How much a model's luck differs from document to document (standard deviation of the share of hits).
LUCK = 0.1
#: Share of linked items that are linked wrongly.
WRONG = 0.25
#: How much the runs of one setting differ (standard deviation of the share of hits).
RUNS_DIFFER = 0.024
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A draw of documents: how many items each has, how hard it is, and what models answer."""

    def __init__(
        self, rng: np.random.Generator, documents: int, *, equal: bool, easy: tuple[float, float] = MIDDLING
    ) -> None:
        """Sizes are 10 items, or geometric with that mean."""
        self._rng = rng
        sizes = np.full(documents, 10) if equal else rng.geometric(0.1, documents)
        self._owner = np.repeat(np.arange(documents), sizes)
        self._hard = rng.beta(*easy, documents)
        self._names = [f"d{n}" for n in self._owner]
        self._ids = list(map(str, range(len(self._owner))))

    def result(self, shift: float = 0.0) -> EvaluationResult:
        """Answer the items: in each document a model is better or worse by chance; `shift` is its run's luck."""
        rng, owner = self._rng, self._owner
        here = self._hard + rng.normal(0.0, LUCK, len(self._hard)) + shift
        chance = np.clip(here, 0.0, 1.0)[owner]
        anaphoric = np.arange(len(owner)) % 2 == 0
        linked, wrong = rng.random(len(owner)) < chance, rng.random(len(owner)) < WRONG
        columns = {"tp": anaphoric & linked, "fp": wrong, "fn": anaphoric & ~linked}
        items = {
            "coref": self._scores(coref_top5=rng.random(len(owner)) < chance),
            "f1": self._scores(**columns),
        }
        return EvaluationResult(
            metrics={}, counts={}, buckets=[], thresholds={"tau": 0.0}, warnings=[], item_scores=items,
            items_sha256="", tokenizer="", seq_len=512, weights=WEIGHTS, full=True,
        )  # fmt: skip

    def run(self) -> EvaluationResult:
        """One run of a setting, with what it scores as a whole."""
        result = self.result(self._rng.normal(0.0, RUNS_DIFFER))
        whole = Composite(WEIGHTS, [result.item_scores])
        return replace(result, metrics={"score": float(whole.value(whole.sums.sum(axis=0), 0))})

    def _scores(self, **columns: Any) -> ItemScores:
        values = {name: column.astype(float).tolist() for name, column in columns.items()}
        return ItemScores(self._ids, self._names, values)


def false_claims(documents: int, *, equal: bool, repetitions: int, seed: int = 0) -> float:
    """Share of pairs of exchangeable models of which `compare` claims a difference."""
    rng = np.random.default_rng([seed, documents, equal])
    claims = 0
    for _ in range(repetitions):
        world = World(rng, documents, equal=equal)
        claims += compare(world.result(), world.result())[0].claim != "no difference shown"
    return claims / repetitions


def false_verdicts(documents: int, seeds: int, *, equal: bool, repetitions: int, seed: int = 0) -> float:
    """Share of verdicts that claim a difference of exchangeable settings, with so many seeds a side."""
    rng = np.random.default_rng([seed, documents, seeds, equal])
    runs = [
        TrialRecord(512, number, number, TrialState.COMPLETE, {}, 0.5, attrs={"role": role, "of_trial": of, "seed": number})
        for number, (role, of) in enumerate([("trial", 0)] * seeds + [("defaults", None)] * seeds)
    ]  # fmt: skip
    claims = 0
    for _ in range(repetitions):
        world = World(rng, documents, equal=equal)
        results = {run.number: world.run() for run in runs}
        score = judge(512, runs, results, asked=seeds, now=NOW).comparisons[1].score
        claims += score is not None and score.claim != "no difference shown"
    return claims / repetitions


def coverage(
    documents: int, *, equal: bool, repetitions: int, easy: tuple[float, float] = MIDDLING, seed: int = 0
) -> float:
    """Share of score intervals that hold the true score."""
    rng = np.random.default_rng([seed, documents, equal, int(easy[1])])
    wanted, held = truth(easy), 0
    for _ in range(repetitions):
        result = World(rng, documents, equal=equal, easy=easy).result()
        found = Composite(WEIGHTS, [result.item_scores]).estimate()
        assert found.low is not None
        assert found.high is not None
        held += found.low <= wanted <= found.high
    return held / repetitions


def truth(easy: tuple[float, float]) -> float:
    """What `WEIGHTS` make of a model that answers all documents there could be."""
    rng = np.random.default_rng(1)
    hit = np.clip(rng.beta(*easy, 1_000_000) + rng.normal(0.0, LUCK, 1_000_000), 0.0, 1.0).mean()
    # of two items one is to be linked, and `WRONG` of both are linked wrongly: F1 = 2 tp / (2 tp + fp + fn)
    return float(0.5 * hit + 0.5 * 2 * hit / (2 * hit + 2 * WRONG + 1 - hit))
