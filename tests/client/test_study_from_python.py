"""A whole study from Python with real trials: a tiny model, generated text, two optimiser steps."""

from __future__ import annotations

from pathlib import Path

from coref_k8s import StudySpec, connect
from tests.cli.test_whole import place

__all__ = ["place"]


def test_a_study_from_python(place: Path) -> None:
    spec = StudySpec(
        model="model", any_length=True, seq_lengths=(128,), trials=2, parallelism=2, pod={"gpus": 0},
        training={"max_steps": 2, "batch_size": 2, "evaluations": 1}, search={"pruner": "none"},
        data={"sources": ({"source": "gaps:24"},), "eval_items": 4},
    )  # fmt: skip
    study = connect().submit("python", spec)
    sections = {event["section"] for event in study.events()}
    assert study.phase == "Succeeded", study.message
    assert sections >= {
        "study_begin",
        "dataset_progress",
        "trial_begin",
        "eval_stream",
        "trial_end",
        "study_end",
    }
    best = study.best()
    assert (Path(best["folder"]) / "model" / "config.json").is_file()
    assert study.trials().iloc[0]["score"] == best["dev"]["score"]
    assert any("trial_begin" in line for line in study.logs(trial=0))
    assert study.report().read_text(encoding="utf-8").count("<section") > 5
