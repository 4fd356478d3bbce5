"""What the full evaluation of a checkpoint costs beside its trial's training.

    python -m tests.benchmarks.evaluation_cost [--output json] [--seq-len 1024 1536 2048]

Two things are measured with a small model (2 layers, 128 wide, the shipped tokeniser): seconds per evaluated token,
on items of the shipped documents, and seconds per trained token, in the trial's own loop. The rest is counted: the
tokens of the full evaluation at default settings, those of the shortest training that default settings allow
(one pass over 50,000 chunks), and the same for the demo's budget, whose evaluation is cut to fit. Target: 15 %.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

import numpy as np
import torch
from transformers import AutoTokenizer

from coref_k8s.corpus.shipped import shipped_documents, shipped_tokenizer
from coref_k8s.evaluation.budget import cost, fitting
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.extent import WHOLE, Extent, quick_extent
from coref_k8s.evaluation.items import ItemSet, build_items
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_lm_loss, masked_logits
from coref_k8s.model.small import create_small_model
from coref_k8s.study.reading import load_study_file, spec_from_mapping
from coref_k8s.study.spec import StudySpec
from coref_k8s.trial.batches import MaskedSource, StepPlan
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.invented import invented_sequences
from coref_k8s.trial.masking import Masker, Vocabulary
from coref_k8s.trial.training import Trainer, TrainingPlan

TARGET = 0.15
DEMO = Path(__file__).parents[2] / "examples" / "demo.yaml"
#: Tokens of a forward pass, as in trials on a CPU.
BATCH_TOKENS = 4096


def seconds_per_trained_token(folder: Path, tokenizer: Any, seq_len: int, steps: int = 12) -> float:
    """Train a few steps of 4 sequences; the first ones, which only warm up, do not count."""
    vocabulary = Vocabulary(
        len(tokenizer), tokenizer.mask_token_id, tokenizer.pad_token_id, tuple(tokenizer.all_special_ids)
    )
    hyper = Hyperparameters(learning_rate=1e-3)
    plan = StepPlan(np.full(64, seq_len), 4, 0)
    source = MaskedSource(
        invented_sequences(64, seq_len, vocabulary), plan, Masker(vocabulary, hyper, seq_len), seed=0
    )
    spent = []
    for count in (3, steps + 3):
        trainer = Trainer(
            load_masked_lm(str(folder), seq_len=seq_len),
            source,
            hyper,
            TrainingPlan(count, 4, 4, (count,), 1.0),
            loss=masked_lm_loss,
            device=torch.device("cpu"),
        )
        began = time.process_time()
        trainer.run(lambda *_: (0.0, {}, ()), lambda _: True)
        spent.append(time.process_time() - began)
    return (spent[1] - spent[0]) / (steps * 4 * seq_len)


def seconds_per_evaluated_token(folder: Path, tokenizer: Any, items: ItemSet, asked: int = 8) -> float:
    """Evaluate a few items in all arms; making the passes and the bootstrap count."""
    model = load_masked_lm(str(folder), seq_len=items.seq_len).eval()
    extent = Extent(asked, asked, asked, asked)

    def logits(ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return masked_logits(model, ids, mask, positions)

    options: dict[str, Any] = {"batch_tokens": max(items.seq_len, BATCH_TOKENS)}
    evaluate(logits, tokenizer, items, extent=Extent(1, 1, 1, 1), **options)
    began = time.process_time()
    evaluate(logits, tokenizer, items, extent=extent, **options)
    return (time.process_time() - began) / cost(items, tokenizer, extent=extent)


def shares(name: str, spec: StudySpec, items: ItemSet, tokenizer: Any, trained: int, ratio: float) -> dict:
    """Count one setting. `ratio` is the seconds of an evaluated token over those of a trained one."""
    extent = fitting(items, tokenizer, trained)
    asked = len(items.coref[: extent.items])
    full = cost(items, tokenizer, extent=extent)
    quick = cost(items, tokenizer, extent=quick_extent(max(16, asked // 4)), full=False)
    every = full + (spec.training.evaluations - 1) * quick
    return {
        "settings": name,
        "seq_len": items.seq_len,
        "items": asked,
        "scored_closed": len(items.coref[: extent.closed]),
        "all_asked": extent == WHOLE,
        "evaluated_tokens": full,
        "trained_tokens": trained,
        "full_share": round(full * ratio / trained, 4),
        "all_evaluations_share": round(every * ratio / trained, 4),
    }


def main() -> int:
    """Measure, count and print; 1 when the default settings miss the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seq-len", type=int, nargs="+", default=list(StudySpec().seq_lengths))
    parser.add_argument("--output", choices=["table", "json"], default="table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    default = StudySpec()
    _, request = load_study_file(DEMO)
    demo = spec_from_mapping(request, where=str(DEMO))
    assert default.data.train_limit is not None
    assert demo.training.max_steps is not None
    assert demo.training.batch_size is not None
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        create_small_model(folder, tokenizer)
        for seq_len in options.seq_len:
            items = build_items(shipped_documents(), tokenizer, seq_len, max_items=default.data.eval_items)
            trained = seconds_per_trained_token(folder, tokenizer, seq_len)
            evaluated = seconds_per_evaluated_token(folder, tokenizer, items)
            ratio = evaluated / trained
            least = min(default.training.epoch_choices)
            tokens = int(default.data.train_limit * seq_len * least)
            more = {
                "evaluated_token_microseconds": round(1e6 * evaluated, 1),
                "trained_token_microseconds": round(1e6 * trained, 1),
            }
            rows.append(shares("default", default, items, tokenizer, tokens, ratio) | more)
            if seq_len in demo.seq_lengths:
                items = build_items(shipped_documents(), tokenizer, seq_len, max_items=demo.data.eval_items)
                tokens = demo.training.max_steps * demo.training.batch_size * seq_len
                rows.append(shares("demo", demo, items, tokenizer, tokens, ratio) | more)
    missed = any(row["full_share"] > TARGET for row in rows if row["settings"] == "default")
    if options.output == "json":
        print(json.dumps(rows))
    else:
        for row in rows:
            print(
                f"{row['settings']} at {row['seq_len']} tokens: {row['items']} items, "
                f"{row['evaluated_tokens']:,} tokens evaluated, {row['trained_tokens']:,} trained; "
                f"{row['evaluated_token_microseconds']} against {row['trained_token_microseconds']} CPU us a token: "
                f"full evaluation / training = {row['full_share']:.4f}, "
                f"all evaluations / training = {row['all_evaluations_share']:.4f}"
            )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
