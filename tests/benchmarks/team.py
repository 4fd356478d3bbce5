"""What two processes that train one model on a CPU spend on telling each other their gradients.

    python -m tests.benchmarks.team [--layers 4] [--hidden 512] [--steps 4] [--output json]

A random DeBERTa-v2 encoder at 2,048 tokens, one sequence a process and step (of more sequences the share is less), one thread each, gloo.
The sums begin when both have their gradients, so that waiting for the slower one is not counted as communication. Target: at
most 10 % of a step, in the median; losses and weights of both processes are equal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.model.small import create_small_model
from coref_k8s.trial.optimiser import Rates, build_optimiser
from coref_k8s.trial.team import Team

LENGTH, LIMIT = 2048, 0.10


def train(rank: int, folder: str, steps: int) -> None:
    """Be one of the two; the first writes what was measured."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    team = Team(rank, 2, torch.device("cpu"))
    model = load_masked_lm(f"{folder}/model", seq_len=LENGTH).train()
    team.share(model)
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimiser = build_optimiser(model, Rates(1e-4), torch.device("cpu"))
    torch.manual_seed(rank)
    ids = torch.randint(5, model.config.vocab_size, (1, LENGTH))
    labels = torch.where(torch.rand(1, LENGTH) < 0.15, ids, -100)
    measured: list[dict[str, float]] = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        loss = masked_lm_loss(model, {"input_ids": ids, "labels": labels}) / 2
        loss.backward()
        total = loss.detach()
        team.agree(True)
        telling = time.perf_counter()
        team.sum(parameters, total)
        told = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        measured.append(
            {"seconds": time.perf_counter() - began, "telling": told - telling, "loss": float(total)}
        )
    weights = float(sum(one.detach().double().sum() for one in parameters))
    found = team.gather({"steps": measured[1:], "weights": weights})  # the first one compiles and meets
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found), encoding="utf-8")
    dist.destroy_process_group()


def measure(layers: int, hidden: int, steps: int) -> dict[str, Any]:
    """Return the share of a step that telling takes, in the median, and what it comes from."""
    from transformers import AutoTokenizer

    from coref_k8s.corpus.shipped import shipped_tokenizer

    with tempfile.TemporaryDirectory() as folder:
        create_small_model(
            Path(folder, "model"), AutoTokenizer.from_pretrained(shipped_tokenizer()), layers=layers, hidden=hidden,
            heads=hidden // 64, intermediate=4 * hidden, position_buckets=256, max_position_embeddings=512,
        )  # fmt: skip
        spawn(train, args=(folder, steps), nprocs=2)
        first, second = json.loads(Path(folder, "found.json").read_text(encoding="utf-8"))
    shares = [one["telling"] / one["seconds"] for one in first["steps"]]
    return {
        "share": statistics.median(shares),
        "shares": shares,
        "step_seconds": statistics.median(one["seconds"] for one in first["steps"]),
        "equal": first["weights"] == second["weights"]
        and [one["loss"] for one in first["steps"]] == [one["loss"] for one in second["steps"]],
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    found = measure(arguments.layers, arguments.hidden, arguments.steps)
    found["pass"] = found["share"] <= LIMIT and found["equal"]
    if arguments.output == "json":
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:13} {value}")
    raise SystemExit(0 if found["pass"] else 1)


if __name__ == "__main__":
    main()
