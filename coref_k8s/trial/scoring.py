"""Scores a model that exists, on prepared data: for `evaluate` and `compare`, outside any trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from coref_k8s.corpus.prepared import open_prepared
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.model.load import load_masked_lm
from coref_k8s.trial.device import autocast_dtype, pick_device
from coref_k8s.trial.evaluating import Evaluator
from coref_k8s.trial.models import load_tokenizer
from coref_k8s.trial.signals import StopSignal

#: Tokens in a forward pass (GPU, CPU).
_BATCH_TOKENS = (16_384, 4096)


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
    device = pick_device(torch.cuda.device_count())
    tokenizer = load_tokenizer(model, revision)
    data.check_tokenizer(tokenizer)
    network = load_masked_lm(model, seq_len=seq_len, revision=revision).to(device)
    evaluator = Evaluator(
        tokenizer,
        weights=weights,
        eval_items=1,  # sizes quick evaluations only
        batch_tokens=max(seq_len, _BATCH_TOKENS[device.type == "cpu"]),
        device=device,
        dtype=autocast_dtype("auto", device),
        stop=StopSignal(),
    )
    result = evaluator(network, dev, full=True)
    if split == "test":
        result = evaluator(network, ItemSet.load(data.eval_items("test")), full=True, tau=result.tau)
    return result
