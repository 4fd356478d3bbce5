"""The checks: each is a function of a device and a folder, and returns figures. They also run small on a CPU, to prove themselves."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from coref_k8s.client.calibrating import measured_lines
from coref_k8s.errors import EXIT_TERMINATED
from coref_k8s.sizing.calibration import Parity, Point
from coref_k8s.study.reading import build_spec
from tests.benchmarks.forecast import create_model

Figures = dict[str, Any]


class Setting:
    """A device, a folder, and how large things are on it."""

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.gpu = torch.cuda.is_available()
        self.small = small or not self.gpu
        self.folder = folder
        self.model = folder / "models" / "random"
        self.lengths = (128, 256) if self.small else (512, 1024, 1536, 2048)
        self._lines: list[dict[str, Any]] | None = None

    def named(self) -> Figures:
        """Return what the figures were measured on."""
        import transformers

        found: Figures = {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "small": self.small,
        }
        if self.gpu:
            properties = torch.cuda.get_device_properties(0)
            found |= {
                "device": properties.name,
                "memory_gib": round(properties.total_memory / 2**30, 1),
                "cuda": torch.version.cuda,
            }
            query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            done = subprocess.run(query, capture_output=True, text=True, check=False)
            found["driver"] = done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""
        else:
            found["device"] = "CPU"
        return found

    def create(self) -> None:
        """Write the model: the shape of kf-deberta-base on a GPU, a small one else; random."""
        self.model.parent.mkdir(parents=True, exist_ok=True)
        if self.small:
            create_model(self.model)
            return
        from transformers import AutoTokenizer

        from coref_k8s.corpus.shipped import shipped_tokenizer
        from coref_k8s.model.small import create_small_model

        create_small_model(
            self.model, AutoTokenizer.from_pretrained(shipped_tokenizer()), layers=12, hidden=768, heads=12, intermediate=3072,
            position_buckets=256, max_position_embeddings=512,
        )  # fmt: skip

    def spec(self, **more: Any) -> Any:
        """Return a request for this device."""
        pod = {"gpus": 1} if self.gpu else {"gpus": 0, "memory": "16Gi"}
        size = torch.cuda.get_device_properties(0).total_memory / 2**30 if self.gpu else 40.0
        return build_spec(**{
            "model": str(self.model), "seq_lengths": list(self.lengths), "any_length": True, "parallelism": 1, "pod": pod,
            "gpu_memory_gb": size, "data": {"sources": [{"source": "gaps:30"}], "eval_items": 6}, **more,
        })  # fmt: skip

    def calibrated(self) -> list[dict[str, Any]]:
        """Return what calibrating measures, once for all checks."""
        if self._lines is None:
            kinds = [{"seconds": True, "memory": True}] if self.gpu else [{"seconds": True}, {"memory": True}]
            self._lines = [
                line
                for kind in kinds
                for line in measured_lines(self.spec(), self.folder, deadline=200.0, **kind)
            ]
        return self._lines

    def points(self) -> list[Point]:
        """Return the shapes of steps that were measured."""
        return [
            Point(**{k: v for k, v in line.items() if k != "kind"})
            for line in self.calibrated()
            if line["kind"] == "point"
        ]


def parity(setting: Setting) -> Figures:
    """The blocked path, and `flash` where it is installed, against Hugging Face's eager one."""
    found = [
        Parity(**{k: v for k, v in line.items() if k != "kind"})
        for line in setting.calibrated()
        if line["kind"] == "parity"
    ]
    return {
        "pass": bool(found) and all(one.agrees for one in found),
        "compared": [vars(one) for one in found],
    }


def memory(setting: Setting) -> Figures:
    """Peak memory of each shape against the estimate."""
    errors = [
        {
            "seq_len": p.seq_len,
            "batch": p.batch,
            "checkpointing": p.checkpointing,
            "path": p.path,
            "error": p.estimated / p.peak - 1,
        }
        for p in setting.points()
        if p.peak and p.estimated and p.passes > 1 and p.path != "eager"
    ]
    sizes = [abs(one["error"]) for one in errors]
    return {
        "pass": bool(sizes) and statistics.median(sizes) <= 0.25,
        "median": statistics.median(sizes or [1.0]),
        "worst": max(sizes, default=1.0),
        "shapes": errors,
    }


def speed(setting: Setting) -> Figures:
    """Step time against Hugging Face's eager attention, the same shape; of `flash` as well where it was measured."""
    usual = {
        (p.path, p.seq_len): p.seconds
        for p in setting.points()
        if p.seconds and (p.batch, p.passes, p.checkpointing) == (1, 1, False)
    }
    ratios = {
        f"{path} at {length}": usual["eager", length] / seconds
        for (path, length), seconds in usual.items()
        if path != "eager" and ("eager", length) in usual
    }
    return {"pass": bool(ratios), "times_faster": ratios}


def compiled(setting: Setting) -> Figures:
    """torch.compile: its loss equals that without, and how many times faster a step is."""
    from coref_k8s.model.load import load_masked_lm
    from coref_k8s.model.loss import masked_lm_loss
    from coref_k8s.trial.models import compile_layers

    device = torch.device("cuda" if setting.gpu else "cpu")
    length, losses, times = setting.lengths[-1], [], []
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 100, (1, length), generator=generator)
    batch = {
        "input_ids": ids.to(device),
        "labels": torch.where(torch.rand(1, length, generator=generator) < 0.15, ids, -100).to(device),
    }
    said: list[str] = []
    for compiling in (False, True):
        model = load_masked_lm(str(setting.model), seq_len=length).to(device).train()
        if compiling:
            compile_layers(model, device.type, lambda one: said.append(str(one)))
            if said:
                return {"pass": True, "skipped": said[0]}
        for number in range(4):
            began = time.perf_counter()
            loss = masked_lm_loss(model, batch)
            loss.backward()
            losses.append(float(loss)) if number == 0 else None
            seconds = time.perf_counter() - began
        times.append(seconds)
    return {
        "pass": abs(losses[1] / losses[0] - 1) < 1e-3,
        "difference": abs(losses[1] / losses[0] - 1),
        "times_faster": times[0] / times[1],
    }


def stepped_down(setting: Setting) -> Figures:
    """A step that does not fit is taken again with half the batch: a real CUDA out-of-memory; on a CPU one that is made up."""
    from coref_k8s.model.load import load_masked_lm
    from coref_k8s.model.loss import masked_lm_loss
    from coref_k8s.trial.batches import MaskedSource, StepPlan
    from coref_k8s.trial.feed import Feed
    from coref_k8s.trial.hyperparameters import Hyperparameters
    from coref_k8s.trial.invented import invented_sequences
    from coref_k8s.trial.masking import Masker, Vocabulary
    from coref_k8s.trial.optimiser import Rates, build_optimiser
    from coref_k8s.trial.stepper import Stepper

    device = torch.device("cuda" if setting.gpu else "cpu")
    length, sequences = setting.lengths[-1], 8
    model = load_masked_lm(str(setting.model), seq_len=length).to(device).train()
    vocabulary = Vocabulary(model.config.vocab_size, mask=4, pad=0, special=())
    source = MaskedSource(
        invented_sequences(sequences, length, vocabulary), StepPlan(torch.full((sequences,), length).numpy(), sequences, 0),
        Masker(vocabulary, Hyperparameters(), length), 0,
    )  # fmt: skip
    held: list[torch.Tensor] = []

    def loss(net: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if not setting.gpu and len(batch["input_ids"]) > 2:
            raise torch.OutOfMemoryError("made up")
        return masked_lm_loss(net, {name: one.to(device) for name, one in batch.items()})

    stepper = Stepper(model, build_optimiser(model, Rates(1e-6), device), loss, None, 1.0)
    feed = Feed(source, device, first=0, last=3, batch_size=sequences)
    try:
        if setting.gpu:
            data, batches = feed.take(0, 1)
            stepper.step(feed, data, feed.cut(data, 1), 1)  # one sequence fits; then little more is left
            torch.cuda.empty_cache()
            one = torch.cuda.max_memory_reserved() - torch.cuda.memory_reserved()
            free = torch.cuda.mem_get_info()[0] - int(2.5 * one)
            held.append(torch.empty(max(0, free), dtype=torch.uint8, device=device))
        data, batches = feed.take(1 if setting.gpu else 0, sequences)
        value, fitted = stepper.step(feed, data, batches, sequences)
    finally:
        held.clear()
        feed.close()
    return {"pass": fitted < sequences and bool(torch.isfinite(value)), "asked": sequences, "fitted": fitted}


def preempted(setting: Setting) -> Figures:
    """A trial that is told to stop and goes on has the losses of one that was not."""
    from coref_k8s.store import Store
    from coref_k8s.study.names import Kind
    from coref_k8s.study.order import BatchPlan, Order, Resources
    from coref_k8s.study.parameters import PARAMETERS, needed

    root, length = setting.folder / "data", setting.lengths[0]
    storage = f"sqlite:///{root}/coref.db"
    spec = setting.spec(seq_lengths=[length], training={"max_steps": 40, "evaluations": 1})
    root.mkdir(exist_ok=True)
    store = Store(storage)
    store.create_study("", "s", spec)
    store.close()
    resources = Resources(
        gpus=int(setting.gpu),
        gpu_memory_mb=0,
        cpu_millis=1000,
        memory_bytes=2**32,
        ephemeral_bytes=0,
        shm_bytes=0,
    )
    environment = {
        **os.environ,
        "COREF_DATA_DIR": str(root),
        "COREF_STORAGE_URL": storage,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    def start(order: Order) -> subprocess.Popen[str]:
        told = environment | {"COREF_ORDER": order.model_dump_json()}
        return subprocess.Popen(
            [sys.executable, "-m", "coref_k8s.trial"],
            env=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def through(order: Order) -> None:
        process = start(order)
        said, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(said[-2000:])

    preparation = Order(
        kind=Kind.PREPARE,
        study="s",
        spec=spec,
        resources=resources.model_copy(update={"gpus": 0}),
        workdir="studies/s/prepare",
    )
    through(preparation)
    prepared = json.loads((root / "studies/s/prepare/result.json").read_text())["prepared"]
    batch = BatchPlan(
        seq_len=length, batch_size=2, accumulation=2, checkpointing=False, predicted_bytes=1, budget_bytes=1
    )

    params = {name: PARAMETERS[name].default for name in needed(spec, length)}

    def finalist(name: str) -> Order:
        return Order(kind=Kind.FINALIST, study="s", spec=spec, seq_len=length, trial=0, seed=7, batch=batch, resources=resources,
                     workdir=f"studies/s/{length}/{name}", prepared=prepared, params=params)  # fmt: skip

    def losses(order: Order) -> list[float]:
        return json.loads((root / order.workdir / "losses.json").read_text())

    whole, parted = finalist("whole"), finalist("parted")
    through(whole)
    process = start(parted)
    assert process.stdout is not None
    for line in process.stdout:
        if '"train_step"' in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate()
    stopped = process.returncode
    through(parted)
    apart = max(abs(a / b - 1) for a, b in zip(losses(parted), losses(whole), strict=True))
    # on a GPU sums are made in any order
    return {
        "pass": stopped == EXIT_TERMINATED and apart <= (1e-3 if setting.gpu else 0.0),
        "largest_difference": apart,
        "exit_code": stopped,
    }


CHECKS: dict[str, Callable[[Setting], Figures]] = {
    "parity": parity, "memory": memory, "speed": speed, "compile": compiled, "out-of-memory": stepped_down, "preemption": preempted,
}  # fmt: skip


def run(setting: Setting, names: list[str]) -> Figures:
    """Run checks; one that fails with an error says so and does not keep the others from running."""
    setting.create()
    found: Figures = {"on": setting.named()}
    for name in names:
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                figures = CHECKS[name](setting)
        except Exception as error:
            figures = {"pass": False, "error": f"{type(error).__name__}: {error}"[-1000:]}
        found[name] = figures | {"seconds": round(time.perf_counter() - began, 1)}
    found["pass"] = all(found[name]["pass"] for name in names)
    return found
