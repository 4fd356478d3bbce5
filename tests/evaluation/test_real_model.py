"""A real (random, tiny) DeBERTa through the same door as in a trial."""

from __future__ import annotations

import numpy as np
import pytest

from coref_k8s.evaluation.closed import candidates, closed_passes
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.passes import run
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_logits
from coref_k8s.model.small import create_small_model
from tests.evaluation.scripted import SEQ_LEN


@pytest.fixture(scope="module")
def logits_fn(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    create_small_model(folder, tokenizer, layers=2, hidden=32, heads=2, intermediate=64)
    model = load_masked_lm(folder, seq_len=SEQ_LEN).eval()
    return lambda ids, mask, positions: masked_logits(model, ids, mask, positions)


def test_answers_do_not_depend_on_the_batch(logits_fn, tokenizer, items):
    vocabulary = Vocabulary(tokenizer)
    passes = []
    for item in items.coref[:6]:
        table = items.tables[item.document]
        chosen = candidates(item, table, vocabulary)
        for arm in ("full", "truncated"):
            passes += closed_passes(item, table, chosen, vocabulary, SEQ_LEN, arm)
    together = run(logits_fn, passes, vocabulary, 100_000)
    alone = [run(logits_fn, [one], vocabulary, 1)[0] for one in passes]
    for a, b in zip(together, alone, strict=True):
        assert np.allclose(a.candidate_scores, b.candidate_scores, atol=1e-4)
        assert np.allclose(a.top_scores, b.top_scores, atol=1e-4)


def test_an_untrained_model_shows_no_gain(logits_fn, tokenizer, items):
    result = evaluate(logits_fn, tokenizer, items)
    assert result.metrics["coref_top1"] == 0
    assert result.metrics["coref_closed1"] < 0.2
    for name in ("coref_top1", "coref_top5", "coref_closed1", "lbd_top1"):
        assert result.metrics[f"{name}_gain_ci_low"] <= 0 <= result.metrics[f"{name}_gain_ci_high"]
