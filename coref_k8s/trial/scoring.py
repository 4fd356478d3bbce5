"""Scores a model that exists, on prepared data or on text: for `evaluate` and `compare`, outside any trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from coref_k8s.corpus.prepared import open_prepared
from coref_k8s.corpus.sources import Loaded, load_documents
from coref_k8s.evaluation.evaluate import check_askable
from coref_k8s.evaluation.items import DOCUMENTS_PER_ITEM, ItemSet, build_items
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.model.load import load_masked_lm
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.trial.device import autocast_dtype, pick_device
from coref_k8s.trial.evaluating import Evaluator
from coref_k8s.trial.models import load_tokenizer
from coref_k8s.trial.signals import StopSignal
from coref_k8s.wording import Message

#: Tokens in a forward pass (GPU, CPU).
_BATCH_TOKENS = (16_384, 4096)
#: Gold mentions that are linked for the CoNLL scores, where the text has gold chains.
CONLL_MENTIONS = 100
#: Characters read of a text for a token of a window: a choice of documents, not all of a hub's.
_CHARS_PER_TOKEN = 8


def score_model(
    model: str,
    prepared: Path,
    seq_len: int,
    *,
    split: Literal["dev", "test"] = "dev",
    weights: Mapping[str, float],
    revision: str | None = None,
) -> EvaluationResult:
    """Return the full evaluation of a model (folder or hub id) on the items of prepared data.

    On test items the threshold of Coref F1 is that of dev. Raises ModelError, DataError, OutOfMemoryError.
    """
    data = open_prepared(prepared, seq_len)
    dev = ItemSet.load(data.eval_items("dev"))
    check_askable(dev, weights)
    tokenizer = load_tokenizer(model, revision)
    data.check_tokenizer(tokenizer)
    score = _scorer(model, tokenizer, seq_len, weights, revision)
    result = score(dev)
    if split == "test":
        result = score(ItemSet.load(data.eval_items("test")), thresholds=result.thresholds)
    return result


def score_text(
    model: str,
    source: str,
    seq_len: int,
    *,
    weights: Mapping[str, float],
    max_items: int = 200,
    cache_dir: Path | None = None,
    revision: str | None = None,
) -> EvaluationResult:
    """Return the full evaluation of a model on all documents of a source, with CoNLL scores on gold chains.

    Nothing is held back for a threshold: that of Coref F1 is the best one on this text, and the result warns so.
    Raises ModelError, DataError (among others when the source cannot be read), OutOfMemoryError.
    """
    tokenizer = load_tokenizer(model, revision)  # what is wrong with the model is said before text is read
    loaded = Loaded()
    spec = DataSpec(sources=(DatasetConfig(source=source, min_length=0),))
    budget = DOCUMENTS_PER_ITEM * max_items * seq_len * _CHARS_PER_TOKEN
    rows = load_documents(spec, lengths=(seq_len,), char_budget=budget, cache_dir=cache_dir, loaded=loaded)
    documents = [document for document, _ in rows]
    items = build_items(documents, tokenizer, seq_len, max_items=max_items)
    if not items.conll:
        check_askable(items, weights)
    score = _scorer(model, tokenizer, seq_len, weights, revision)
    result = score(items, conll_mentions=CONLL_MENTIONS if items.conll else 0)
    result.warnings.append(Message.of("evaluation.tau-on-this-text"))
    result.warnings.extend(
        Message.of("evaluation.partly-read", source=lost.source, why=lost.message) for lost in loaded.skipped
    )
    result.warnings.extend(loaded.left_out)
    return result


def _scorer(
    model: str, tokenizer: Any, seq_len: int, weights: Mapping[str, float], revision: str | None
) -> Callable[..., EvaluationResult]:
    """Load a model; return a function that evaluates it on items."""
    device = pick_device(torch.cuda.device_count())
    network = load_masked_lm(model, seq_len=seq_len, revision=revision).to(device)
    evaluator = Evaluator(
        tokenizer,
        weights=weights,
        batch_tokens=max(seq_len, _BATCH_TOKENS[device.type == "cpu"]),
        device=device,
        dtype=autocast_dtype("auto", device),
        stop=StopSignal(),
    )

    def score(
        items: ItemSet, *, thresholds: Mapping[str, float] | None = None, conll_mentions: int = 0
    ) -> EvaluationResult:
        return evaluator(network, items, full=True, thresholds=thresholds, conll_mentions=conll_mentions)

    return score
