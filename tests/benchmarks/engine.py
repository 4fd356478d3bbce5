"""Our training step beside Hugging Face's, in one run: time and peak memory, with the targets.

    python tests/benchmarks/engine.py [--threads 2] --output json

One step is zero gradients, forward, backward and AdamW, dropout on, batch 1, 15 % of the tokens masked,
float32, on the shape of kf-deberta-base with random weights. Time is CPU time of one thread, or what a clock says
of several, with nothing beside it; the variants take turns in one process over the same weights. Memory is the growth of the peak
resident set over one step, each figure in a process of its own (two at a time), optimiser state already
there. Nothing counts unless the numbers agree with Hugging Face's first.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import DebertaV2Config, DebertaV2ForMaskedLM

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from coref_k8s.model.convert import convert
from coref_k8s.model.load import enable_checkpointing
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.trial.models import compile_layers

#: length -> (times faster than plain, times faster than checkpointed, share of the plain peak growth)
TARGETS = {512: (1.3, None, 1 / 2), 1024: (2.0, None, 1 / 4), 2048: (3.0, 2.0, 1 / 5)}
#: Rounds of the alternation. The least time of each variant counts: neighbours make a step slower, nothing makes it faster.
ROUNDS = {512: 3, 1024: 2, 2048: 2}
EQUALITY = 1e-5


def make_model(layers: int, vocabulary: int = 130_000, dropout: float = 0.1) -> DebertaV2ForMaskedLM:
    """Hugging Face's model in the shape of kf-deberta-base (its config.json), random."""
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=vocabulary,
        hidden_size=768,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=3072,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=512,
        max_relative_positions=-1,
        position_buckets=256,
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["c2p", "p2c"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        type_vocab_size=0,
    )
    return DebertaV2ForMaskedLM(config).train()


def make_variants(model: DebertaV2ForMaskedLM, names: tuple[str, ...]) -> dict[str, torch.nn.Module]:
    """Each variant over the very same parameters."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    variants = {}
    for name in names:
        variant = copy.deepcopy(model, dict(shared))
        if name.startswith("lean"):
            convert(variant)
        if name.endswith("checkpointed"):
            enable_checkpointing(variant)
        if name.endswith("compiled"):
            compile_layers(variant, "cpu", warnings.warn)
        variants[name] = variant
    return variants


def make_batch(model: DebertaV2ForMaskedLM, length: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(5, model.config.vocab_size, (1, length), generator=generator)
    chosen = torch.rand(1, length, generator=generator) < 0.15
    labels = torch.where(chosen, ids, -100)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def loss_of(name: str, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return masked_lm_loss(model, batch) if name.startswith("lean") else model(**batch).loss


def make_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW with its state in place, so that a step's growth is the step's own."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return optimizer


def step(name: str, model: torch.nn.Module, batch: dict, optimizer: torch.optim.Optimizer) -> None:
    loss_of(name, model, batch).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def equality(length: int = 700) -> dict[str, float]:
    """Largest relative error of loss, logits and gradients, two layers, dropout off."""
    model = make_model(2, vocabulary=4000, dropout=0.0)
    ours = copy.deepcopy(model)
    convert(ours)
    batch = make_batch(model, length)
    reference = model(**batch)
    reference.loss.backward()
    loss = masked_lm_loss(ours, batch)
    loss.backward()
    with torch.no_grad():
        logits = ours(batch["input_ids"], attention_mask=batch["attention_mask"]).logits

    def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
        return float((found - expected).detach().norm() / expected.detach().norm())

    weights = [(p, q) for (n, p), q in zip(ours.named_parameters(), model.parameters(), strict=True)]
    return {
        "loss": relative(loss, reference.loss),
        "logits": relative(logits, reference.logits),
        "gradients": max(relative(p.grad, q.grad) for p, q in weights if q.grad.dim() > 1),
    }


def timed(length: int, quick: bool, compiled: bool) -> tuple[str, ...]:
    """The variants that are timed at a length: checkpointing only where there is a target against it."""
    against = ("plain", "checkpointed") if TARGETS[length][1] and not quick else ("plain",)
    return (*against, "lean", *(["lean_compiled"] if compiled else []))


def seconds(lengths: list[int], layers: int, *, quick: bool, compiled: bool) -> dict[int, dict[str, float]]:
    """Least seconds of a step, variants taking turns; one round of checkpointing, whose target is far."""
    model = make_model(layers)
    variants = make_variants(
        model, tuple(dict.fromkeys(name for length in lengths for name in timed(length, quick, compiled)))
    )
    optimizer = make_optimizer(model)
    for name, variant in variants.items():
        step(name, variant, make_batch(model, 64), optimizer)
    found: dict[int, dict[str, float]] = {}
    for length in lengths:
        batch = make_batch(model, length)
        names = timed(length, quick, compiled)
        if compiled:
            step("lean_compiled", variants["lean_compiled"], batch, optimizer)  # compiles for the length
        times: dict[str, list[float]] = {name: [] for name in names}
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        for number in range(1 if quick else ROUNDS[length]):
            for name in names if number == 0 else (one for one in names if one != "checkpointed"):
                start = clock()
                step(name, variants[name], batch, optimizer)
                times[name].append(clock() - start)
                print(f"{length} {name}: {times[name][-1]:.2f} s", file=sys.stderr, flush=True)
        found[length] = {name: min(values) for name, values in times.items()}
        print(f"{length}: {found[length]}", file=sys.stderr)
    return found


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}.")


def peak_growth(name: str, length: int, layers: int) -> int:
    """Bytes by which the peak resident set of one step exceeds the set before it."""
    model = make_model(layers)
    variant = make_variants(model, (name,))[name]
    optimizer = make_optimizer(model)
    step(name, variant, make_batch(model, 64), optimizer)
    batch = make_batch(model, length)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    step(name, variant, batch, optimizer)
    return _resident("VmHWM") - before


def measure_memory(lengths: list[int], layers: int) -> dict[int, dict[str, int]]:
    """Peak growth (bytes) of plain and lean; memory does not mind a neighbour, so two at a time."""
    # A fixed threshold gives every freed tensor back to the system, so the peak is the tensors' own.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}

    def one(name: str, length: int) -> int:
        command = [sys.executable, __file__, "--one", name, str(length), "--layers", str(layers)]
        return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)

    found: dict[int, dict[str, int]] = {}
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        started = {
            length: {name: pool.submit(one, name, length) for name in ("plain", "lean")}
            for length in sorted(lengths, reverse=True)
        }
        for length in lengths:
            found[length] = {name: figure.result() for name, figure in started[length].items()}
            print(f"{length}: {found[length]}", file=sys.stderr)
    return found


def judge(length: int, times: dict[str, float], growth: dict[str, int], *, quick: bool) -> dict:
    """Ratios of one length, and whether each target is met.

    With two layers memory is not judged: the gradient of the word table outweighs them. What was not measured is left out.
    """
    over_plain, over_checkpointed, share = TARGETS[length]
    ratios = {"times_faster_than_plain": times["plain"] / times["lean"]}
    if "checkpointed" in times:
        ratios["times_faster_than_checkpointed"] = times["checkpointed"] / times["lean"]
    if "lean_compiled" in times:
        ratios["compiled_times_faster_than_lean"] = times["lean"] / times["lean_compiled"]
    if growth:
        ratios["share_of_plain_growth"] = growth["lean"] / growth["plain"]
    return {
        "seconds": {name: round(value, 3) for name, value in times.items()},
        "peak_growth_bytes": growth,
        **{name: round(value, 3) for name, value in ratios.items()},
        "pass": ratios["times_faster_than_plain"] >= over_plain
        and ratios.get("times_faster_than_checkpointed", 9.9) >= (over_checkpointed or 0)
        and (quick or ratios.get("share_of_plain_growth", 0.0) <= share),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 layers, length 1024, one round")
    parser.add_argument("--layers", type=int, default=None, help="encoder layers (12; 2 with --quick)")
    parser.add_argument("--compiled", action="store_true", help="also time torch.compile (a C++ compiler)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a step")
    parser.add_argument("--without-memory", action="store_true", help="times alone")
    parser.add_argument("--lengths", type=int, nargs="+", default=None, choices=sorted(TARGETS))
    parser.add_argument("--output", choices=["json", "text"], default="text")
    parser.add_argument("--one", nargs=2, metavar=("VARIANT", "LENGTH"), help="one memory figure, in bytes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    layers = arguments.layers or (2 if arguments.quick else 12)
    if arguments.one:
        print(peak_growth(arguments.one[0], int(arguments.one[1]), layers))
        return 0
    lengths = arguments.lengths or ([1024] if arguments.quick else sorted(TARGETS))
    started = time.monotonic()
    errors = equality()
    exact = max(errors.values()) <= EQUALITY
    growth = {} if arguments.without_memory else measure_memory(lengths, layers)
    times = seconds(lengths, layers, quick=arguments.quick, compiled=arguments.compiled)
    results = {
        str(length): judge(length, times[length], growth.get(length, {}), quick=arguments.quick)
        for length in lengths
    }
    report = {
        "layers": layers,
        "threads": arguments.threads,
        "relative_errors": errors,
        "lengths": results,
        "targets": {str(length): TARGETS[length] for length in lengths},
        "wall_seconds": round(time.monotonic() - started, 1),
        "pass": exact and all(result["pass"] for result in results.values()),
    }
    print(json.dumps(report, indent=None if arguments.output == "json" else 2))
    return 0 if report["pass"] else 1


if __name__ == "__main__":
    sys.exit(main())
