"""Custom metrics: by decorator, by entry point, in the objective, and when they fail."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from coref_k8s.errors import RequestError
from coref_k8s.evaluation import registry
from coref_k8s.evaluation.evaluate import evaluate
from tests.evaluation.scripted import NAMES, constant


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def run(tokenizer, items, **more):
    return evaluate(constant(tokenizer, NAMES), tokenizer, items, **more)


def test_a_registered_metric_is_reported_and_can_be_the_objective(tokenizer, items):
    @registry.register_metric("share_of_pairs")
    def share(model, tokenizer, items):
        assert model == "the model"
        return len(items.pairs) / len(items.coref) / 2

    full = run(tokenizer, items, model="the model")
    assert full.metrics["share_of_pairs"] == 0.5
    assert full.score != 0.5
    quick = run(tokenizer, items, model="the model", full=False, weights={"share_of_pairs": 2.0})
    assert quick.score == 1.0
    assert "share_of_pairs" not in run(tokenizer, items, model="the model", full=False).metrics


def test_entry_points_are_found(tokenizer, items, monkeypatch, tmp_path):
    (tmp_path / "their_metrics.py").write_text("def third(model, tokenizer, items):\n    return 1 / 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    good = EntryPoint("third", "their_metrics:third", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [good] if group == registry.GROUP else [])
    assert run(tokenizer, items, model=object(), weights={"third": 3.0}).score == pytest.approx(1.0)
    bad = EntryPoint("gone", "their_metrics:gone", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [bad])
    with pytest.raises(RequestError, match=r"'gone' \(their_metrics:gone\) cannot be loaded"):
        run(tokenizer, items)
    sys.modules.pop("their_metrics")


def test_failures_are_named_and_nan_counts_as_nothing(tokenizer, items):
    registry.register_metric("odd")(lambda model, tokenizer, items: float("nan"))
    result = run(tokenizer, items, model=1, weights={"odd": 1.0, "coref_top5": 1.0})
    assert result.metrics["odd"] == 0.0
    assert result.score == result.metrics["coref_top5"]
    assert "custom metric odd gave nan, counted as 0" in map(str, result.warnings)
    registry.register_metric("broken")(lambda model, tokenizer, items: 1 / 0)
    with pytest.raises(RequestError, match=r"'broken' failed \(ZeroDivisionError"):
        run(tokenizer, items, model=1)


def test_without_a_model_a_weighted_custom_metric_warns(tokenizer, items):
    registry.register_metric("mine")(lambda model, tokenizer, items: 1.0)
    result = run(tokenizer, items, weights={"mine": 1.0})
    assert result.score == 0.0
    assert any("no model was given" in str(warning) for warning in result.warnings)
