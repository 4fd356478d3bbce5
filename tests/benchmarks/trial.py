"""What a trial spends beside training: waiting for data, and writing checkpoints.

    python -m tests.benchmarks.trial [--seq-len 1024] [--steps 40] [--large] [--output json]

Trains a small model (2 layers, 128 wide, the shipped tokeniser's vocabulary) on made-up sequences with a
checkpoint wished for every second, and takes the shares from the trial's own measurements. `--large` also
writes one checkpoint of the size of kf-deberta-base's (184 million weights, 2.2 GB) to say how often a
trial of it may write one. Targets: data wait below 3 % of the training time, checkpoints at most 2 %.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

import numpy as np
import torch
from transformers import AutoTokenizer

from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.model.small import create_small_model
from coref_k8s.trial.batches import MaskedSource, StepPlan
from coref_k8s.trial.checkpoint import COST_SHARE, CheckpointClock, CheckpointStore
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.invented import invented_sequences
from coref_k8s.trial.masking import Masker, Vocabulary
from coref_k8s.trial.training import Trainer, TrainingPlan

WAIT_TARGET = 0.03
#: Weights of kf-deberta-base (12 layers, 768 wide, vocabulary 130,000).
LARGE = 184_000_000


def measure(seq_len: int, steps: int, folder: Path) -> dict[str, float]:
    """Train and return the shares of the training time."""
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    create_small_model(folder / "model", tokenizer)
    model = load_masked_lm(str(folder / "model"), seq_len=seq_len)
    vocabulary = Vocabulary(
        len(tokenizer), tokenizer.mask_token_id, tokenizer.pad_token_id, tuple(tokenizer.all_special_ids)
    )
    hyper = Hyperparameters(learning_rate=1e-3)
    data = invented_sequences(64, seq_len, vocabulary)
    source = MaskedSource(
        data, StepPlan(np.full(64, seq_len), 4, 0), Masker(vocabulary, hyper, seq_len), seed=0
    )
    began = time.perf_counter()
    for step in range(20):
        list(source.step(step).batches(4, vocabulary.pad))
    making = (time.perf_counter() - began) / (20 * 4 * seq_len)
    trainer = Trainer(
        model,
        source,
        hyper,
        TrainingPlan(steps, 4, 4, (steps,), 1.0, checkpoint_seconds=1.0),
        loss=masked_lm_loss,
        device=torch.device("cpu"),
        checkpoints=CheckpointStore(folder / "checkpoints"),
    )
    trainer.run(lambda *_: (0.0, {}, ()), lambda _: True)
    progress = trainer.progress
    return {
        "seq_len": seq_len,
        "step_seconds": progress.train_seconds / steps,
        "data_wait": progress.wait_seconds / progress.train_seconds,
        "tokens_made_per_second": 1 / making,
        "checkpoint_share": progress.checkpoint_seconds / progress.train_seconds,
    }


def large_checkpoint(folder: Path) -> dict[str, float]:
    """Write weights and Adam's moments of kf-deberta-base's size once."""
    state = {"state": [torch.zeros(LARGE) for _ in range(3)]}
    began = time.perf_counter()
    size = CheckpointStore(folder / "large").save(1, state)
    seconds = time.perf_counter() - began
    clock = CheckpointClock(300.0, expected_bytes=0)
    clock.written(seconds)
    return {"large_bytes": size, "large_seconds": seconds, "large_interval": clock.interval}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        found = measure(arguments.seq_len, arguments.steps, Path(name))
        if arguments.large:
            found |= large_checkpoint(Path(name))
    passed = found["data_wait"] < WAIT_TARGET and found["checkpoint_share"] <= COST_SHARE
    if arguments.output == "json":
        print(json.dumps({**found, "pass": passed}))
    else:
        for key, value in found.items():
            print(f"{key:24} {value:.4g}")
        print("pass" if passed else "fail")
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
