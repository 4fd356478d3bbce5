"""Scores a model that exists, on prepared data or on text: for `evaluate` and `compare`, outside any trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError

from coref_k8s.coref.model import CorefModel, is_coref_model, load_model, read_config
from coref_k8s.corpus.filtering import text_key
from coref_k8s.corpus.prepared import documents_path, open_prepared, read_documents
from coref_k8s.corpus.sources import Loaded, load_documents
from coref_k8s.corpus.works import grouped
from coref_k8s.evaluation.chains import ChainSet, evaluate_chains
from coref_k8s.evaluation.evaluate import check_askable
from coref_k8s.evaluation.items import DOCUMENTS_PER_ITEM, ItemSet, build_items
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.model.load import load_masked_lm
from coref_k8s.study.refusals import refused
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.study.tasks import WEIGHTS, Task
from coref_k8s.text.document import Document
from coref_k8s.trial.device import autocast, autocast_dtype, pick_device
from coref_k8s.trial.evaluating import Evaluator
from coref_k8s.trial.models import load_tokenizer
from coref_k8s.trial.signals import StopSignal
from coref_k8s.wording import Message

#: Tokens in a forward pass (GPU, CPU).
_BATCH_TOKENS = (16_384, 4096)
#: Characters read of a text for a token of a window: a choice of documents, not all of a hub's.
_CHARS_PER_TOKEN = 8


def task_of(model: str) -> Task:
    """Return the task of a saved model (folder or hub id)."""
    return "coreference" if is_coref_model(Path(model)) else "mentions"


def own_length(model: str) -> int | None:
    """Return the length (tokens) of the windows that a coreference model reads; None for another model."""
    return read_config(Path(model)).seq_len if task_of(model) == "coreference" else None


def score_model(
    model: str,
    prepared: Path,
    seq_len: int,
    *,
    split: Literal["dev", "test"] = "dev",
) -> EvaluationResult:
    """Return the full evaluation of a model (folder or hub id) on prepared data, by its task's own objective.

    A coreference model reads whole documents in windows of the length that it was trained at. On test items the
    threshold of Coref F1 is that of dev. Raises ModelError, DataError, OutOfMemoryError.
    """
    if task_of(model) == "coreference":
        return _score_chains(load_model(model), read_documents(documents_path(prepared, split)))
    data = open_prepared(prepared, seq_len)
    dev = ItemSet.load(data.eval_items("dev"))
    check_askable(dev, WEIGHTS["mentions"])
    tokenizer = load_tokenizer(model, None)
    data.check_tokenizer(tokenizer)
    score = _scorer(model, tokenizer, seq_len)
    result = score(dev)
    if split == "test":
        result = score(ItemSet.load(data.eval_items("test")), thresholds=result.thresholds)
    return result


def score_text(
    model: str,
    source: str,
    seq_len: int,
    *,
    max_items: int = 200,
    cache_dir: Path | None = None,
) -> EvaluationResult:
    """Return the full evaluation of a model on all documents of a source.

    Nothing is held back for a threshold: that of Coref F1 is the best one on this text, and the result warns so. Those of
    a coreference model are its own. Raises ModelError, DataError (among others when the source cannot be read),
    OutOfMemoryError.
    """
    # what is wrong with the model is said before text is read
    chains = load_model(model) if task_of(model) == "coreference" else None
    tokenizer = None if chains else load_tokenizer(model, None)
    loaded = Loaded()
    try:
        spec = DataSpec(sources=(DatasetConfig(source=source, min_length=0),))
    except ValidationError as error:
        raise refused(error, DataSpec) from error
    budget = DOCUMENTS_PER_ITEM * max_items * seq_len * _CHARS_PER_TOKEN
    rows = load_documents(spec, lengths=(seq_len,), char_budget=budget, cache_dir=cache_dir, loaded=loaded)
    read = [document for document, _ in rows]
    documents, notes = grouped(_once(read))
    if twice := len(read) - len(documents):
        notes.append(Message.of("evaluation.given-twice", n=twice))
    if chains:
        result = _score_chains(chains, documents)
    else:
        items = build_items(documents, tokenizer, seq_len, max_items=max_items)
        check_askable(items, WEIGHTS["mentions"])
        result = _scorer(model, tokenizer, seq_len)(items)
        result.warnings.append(Message.of("evaluation.tau-on-this-text"))
    result.warnings.extend(
        Message.of("evaluation.partly-read", source=lost.source, why=lost.message) for lost in loaded.skipped
    )
    result.warnings += [*loaded.left_out, *notes]
    return result


def _once(documents: Iterable[Document]) -> list[Document]:
    """Return the documents of different texts, in their order; of equal texts the first that has chains."""
    kept: dict[bytes, Document] = {}
    for document in documents:
        before = kept.get(key := text_key(document.text))
        if before is None or (document.clusters and not before.clusters):
            kept[key] = document
    return list(kept.values())


def _score_chains(model: CorefModel, documents: list[Document]) -> EvaluationResult:
    """Score a coreference model by the thresholds that it keeps."""
    device = pick_device(torch.cuda.device_count())
    chains = ChainSet.of(documents, model)
    thresholds = vars(model.config.thresholds)
    with autocast(autocast_dtype("auto", device), device):
        return evaluate_chains(
            model.to(device), chains, weights=WEIGHTS["coreference"], full=True, thresholds=thresholds
        )


def _scorer(model: str, tokenizer: Any, seq_len: int) -> Callable[..., EvaluationResult]:
    """Load a model; return a function that evaluates it on items."""
    device = pick_device(torch.cuda.device_count())
    network = load_masked_lm(model, seq_len=seq_len).to(device)
    evaluator = Evaluator(
        tokenizer,
        weights=WEIGHTS["mentions"],
        batch_tokens=max(seq_len, _BATCH_TOKENS[device.type == "cpu"]),
        device=device,
        dtype=autocast_dtype("auto", device),
        stop=StopSignal(),
    )

    def score(items: ItemSet, *, thresholds: Mapping[str, float] | None = None) -> EvaluationResult:
        return evaluator(network, items, full=True, thresholds=thresholds)

    return score
