"""How long the shortest training of a length is: what evaluations must stay small beside."""

from __future__ import annotations

import pytest

from coref_k8s.study.order import BatchPlan
from coref_k8s.study.reading import build_spec
from coref_k8s.trial.evaluating import shortest_training

BATCH = BatchPlan(
    seq_len=1024, batch_size=4, accumulation=4, checkpointing=False, predicted_bytes=1, budget_bytes=2
)


@pytest.mark.parametrize(
    ("training", "search", "sequences"),
    [
        ({}, {}, 1000),  # one of 1, 2 and 3 epochs
        ({"epoch_choices": (0.5, 3.0)}, {}, 500),
        ({"max_steps": 30}, {}, 30 * 4),  # accumulation 1 of 1, 2 and 4, whatever this trial has
        ({"max_steps": 30}, {"space": {"accumulation": {"choices": [2, 8]}}}, 30 * 4 * 2),
        ({"max_steps": 30}, {"space_by_length": {1024: {"accumulation": {"choices": [8]}}}}, 30 * 4 * 8),
        ({}, {"space": {"epochs": {"low": 2.0, "high": 4.0}}}, 2000),
    ],
)
def test_the_shortest_training_that_the_request_allows(training, search, sequences):
    spec = build_spec(seq_lengths=[1024], training=training, search=search)
    assert shortest_training(spec, BATCH, tokens=1000 * 900, rows=1000) == sequences * 900


@pytest.mark.parametrize(("training", "sequences"), [({}, 1000), ({"max_steps": 30}, 30 * 4 * 4)])
def test_a_final_training_that_names_neither_epochs_nor_accumulation_is_as_long_as_the_defaults(
    training, sequences
):
    spec = build_spec(
        seq_lengths=[1024], training=training, trials=1, purpose={"kind": "train", "study": "parent"},
        search={"space": {"learning_rate": {"choices": [1e-4]}}},
    )  # fmt: skip
    assert shortest_training(spec, BATCH, tokens=1000 * 900, rows=1000) == sequences * 900
