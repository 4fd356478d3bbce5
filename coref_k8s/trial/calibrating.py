"""`python -m coref_k8s.trial.calibrating`: measure training steps of a model on this device, in a process of its own.

It reads one line of JSON (`Asked`) from its input and writes a line of JSON for each thing that it finds. When its input
ends, because whoever asked is gone, it ends as well: a card is never left full.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from coref_k8s.coref.encoder import SPECIALS
from coref_k8s.coref.training import Batch
from coref_k8s.coref.training import loss as coreference_loss
from coref_k8s.errors import EXIT_INVALID, CorefError, OutOfMemoryError
from coref_k8s.model.load import load_masked_lm, quiet
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.sizing.batch import HOST_BASE, plan_batch, predict
from coref_k8s.sizing.shape import LEAN, shape_of
from coref_k8s.sizing.speed import Step, fitted
from coref_k8s.study.spec import StudySpec
from coref_k8s.trial.batches import MaskedSource, StepData, StepPlan, StepSource
from coref_k8s.trial.coreference import WindowStep
from coref_k8s.trial.device import allow_tf32, autocast, autocast_dtype, pick_device, precision_name
from coref_k8s.trial.feed import Feed
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.invented import invented_document, invented_head, invented_sequences, windows_of
from coref_k8s.trial.masking import Masker, Vocabulary
from coref_k8s.trial.models import model_path
from coref_k8s.trial.optimiser import Rates, build_optimiser
from coref_k8s.trial.parity import ParityCheck
from coref_k8s.trial.stepper import Stepper

#: A shape of step is measured for so long, and so often at most (seconds, steps); at least once.
_LONG_ENOUGH, _OFTEN_ENOUGH = 1.0, 5
#: On a CPU neighbours make steps slower, and nothing makes them faster: a least time counts when the second least is no further
#: from it than this share. Until then a shape is measured again, at the end, in so many rounds at most.
_AGREE, _ROUNDS = 0.05, 2
#: On a CPU batches of more tokens are not measured: what they take is known from smaller ones.
_CPU_TOKENS = 4096
#: What is done beside a step that is measured, as a share of it, before it is known.
_BESIDE = 1.5


@dataclass(frozen=True)
class Asked:
    """What is to be measured."""

    spec: StudySpec
    """A request as this machine runs it: model, lengths, precision, batches."""
    data_dir: Path
    deadline: float
    """Time to measure in, from the start of the process on (seconds)."""
    threads: int
    """Threads on a CPU."""
    seconds: bool = True
    """Whether times are measured."""
    memory: bool = True
    """Whether peaks of memory are. On a CPU not beside times: to see them, memory is handed out so that steps slow down."""
    steps: tuple[Step, ...] = ()
    """Further shapes to measure; then nothing but those on the path of trials is, and paths are not compared."""


@dataclass(frozen=True)
class _Job:
    """One shape of step on one path."""

    step: Step
    path: str


class Bench:
    """Measures steps of one model on one device, the telling ones first, until the deadline."""

    def __init__(self, asked: Asked, say: Callable[..., None]) -> None:
        self._asked, self._say, self._spec = asked, say, asked.spec
        self._until = time.monotonic() + asked.deadline - _age()
        self._device = pick_device(self._spec.pod.gpus)
        self._gpu = self._device.type == "cuda"
        if not self._gpu:
            torch.set_num_threads(asked.threads)
        self._dtype = autocast_dtype(self._spec.training.precision, self._device)
        self._precision = "tf32" if self._spec.training.precision == "tf32" else precision_name(self._dtype)
        self._shape = shape_of(self._spec.model)
        self._start = model_path(self._spec.model, asked.data_dir)
        self._lean = self._shape.kind == LEAN
        self._loaded: tuple[tuple[str, bool], nn.Module, torch.optim.Optimizer] | None = None
        self._times: dict[_Job, list[float]] = {}
        self.left_out = 0
        """What there was no time for."""

    def run(self) -> None:
        """Measure, and say what is found."""
        jobs = list(self._jobs())
        path = jobs[0].path
        self._say("path", path=path, precision=self._precision, **self._card())
        allow_tf32(self._precision)
        self._load(path, False)
        self._say("start", seconds=_age() if self._gpu else time.process_time())
        first, rest = [j for j in jobs if j.path == path and not j.step.checkpointing], jobs
        for job in first:
            self._measure(job)
        if self._asked.seconds and self._lean and not self._asked.steps:
            self._compare([p for p in ("flash", "blocked") if p == path or p == "blocked"])
        for job in rest:
            if job not in first:
                self._measure(job)
        left_out = self.left_out
        for _ in range(_ROUNDS):
            for job in sorted(filter(self._doubtful, self._times), key=lambda one: one.step.checkpointing):
                self._measure(job)
        self.left_out = left_out  # of those something is known
        self._unload()

    # -- what is to be measured ------------------------------------------------------------------------

    def _jobs(self) -> Iterator[_Job]:
        """Yield the shapes of steps: of each length first, then with checkpointing, then on Hugging Face's path."""
        spec, path = self._spec, self._path()
        planned = {length: self._planned(length) for length in spec.seq_lengths}
        passes = 1 if self._asked.seconds else 2  # memory is estimated with the gradients of an earlier pass
        lengths = spec.seq_lengths
        for length in lengths:
            yield _Job(Step(length, 1, passes), path)
        for length in lengths:
            if planned[length] > 1:
                yield _Job(Step(length, planned[length], passes), path)
        # in between, a token costs least: a line from one sequence to many says too much there
        between = [Step(length, round(planned[length] ** 0.5), passes) for length in lengths if passes == 1]
        between = [step for step in between if 1 < step.batch < planned[step.seq_len]]
        if passes == 1:
            yield _Job(Step(lengths[0], 1, 3), path)
        yield from (_Job(step, path) for step in between)
        if self._gpu and self._asked.memory:
            for length in lengths:
                yield _Job(Step(length, planned[length], 2), path)
        if self._shape.recomputes and spec.training.checkpointing != "off":
            yield from (_Job(replace(step, checkpointing=True), path) for step in between[:1])
            for length in lengths:
                yield _Job(Step(length, planned[length], passes, True), path)
        if self._asked.steps:
            yield from (_Job(step, path) for step in self._asked.steps)
            return
        if path == "flash":
            for length in lengths:
                yield _Job(Step(length, 1, passes), "blocked")
        if self._lean:
            for length in lengths:
                yield _Job(Step(length, 1, passes), "eager")

    def _doubtful(self, job: _Job) -> bool:
        """Whether the time of a shape was not confirmed, and plans rest on it."""
        times = sorted(self._times[job])
        confirmed = len(times) > 1 and times[1] <= (1 + _AGREE) * times[0]
        return not self._gpu and job.path == self._path() and not confirmed

    def _path(self) -> str:
        if not self._lean:
            return "own"
        asked = self._spec.training.attention
        if asked in ("blocked", "eager"):
            return asked
        if asked == "flash" or self._gpu:
            from importlib.util import find_spec

            if find_spec("disentangled_flash") is not None:
                return "flash"
        return "blocked"

    def _planned(self, length: int) -> int:
        batch = plan_batch(self._spec, length).batch_size
        return batch if self._gpu else max(1, min(batch, _CPU_TOKENS // length))

    # -- measuring -------------------------------------------------------------------------------------

    def _measure(self, job: _Job) -> None:
        if time.monotonic() + self._guess(job) > self._until:
            self.left_out += 1
            return None
        step, key = job.step, (job.path, job.step.checkpointing)
        about: dict[str, Any] = {**asdict(step), "path": job.path, "estimated": self._estimate(job)}
        if self._gpu and about["estimated"] > self._free():
            return self._say("no-room", seq_len=step.seq_len, batch=step.batch, path=job.path)
        try:
            if self._loaded is None or self._loaded[0] != key:
                self._load(*key)
            more = {"more": True} if step in self._asked.steps else {}
            self._say("point", **about, **more, **self._steps(job))
        except (OutOfMemoryError, torch.OutOfMemoryError):
            self._unload()
            self._say("point", **about, fits=False)
        return None

    def _steps(self, job: _Job) -> dict[str, Any]:
        """Return what steps of a shape take."""
        assert self._loaded is not None
        _, model, optimiser = self._loaded
        step = job.step
        stepper = Stepper(model, optimiser, self._loss, self._dtype, 1.0)
        feed = Feed(self._source(step), self._device, first=0, last=_OFTEN_ENOUGH + 1, batch_size=step.batch)
        measured: dict[str, Any] = {}
        try:
            before = self._reset_peak()
            took, number, began, waited = [], 0, time.perf_counter(), 0.0
            while True:
                at, wall, waiting = self._clock(), time.perf_counter(), feed.waited
                data, batches = feed.take(number, step.batch)
                _, fitting = stepper.step(feed, data, batches, step.batch)
                if fitting != step.batch:
                    raise OutOfMemoryError("trial.step-out-of-memory", why="")
                self._wait()
                seconds = self._clock() - at
                waited += feed.waited - waiting
                number += 1
                if number == 1 and self._gpu:
                    began = time.perf_counter()  # the first one makes room, and its kernels
                    waited = 0.0
                    continue
                took.append((seconds, time.perf_counter() - wall))
                if not self._asked.seconds or len(took) == _OFTEN_ENOUGH:
                    break
                if time.perf_counter() - began > _LONG_ENOUGH or time.monotonic() > self._until:
                    break
            if self._asked.memory:
                measured["peak"] = self._peak(before)
        finally:
            feed.close()
        if self._asked.seconds:
            times = self._times.setdefault(job, [])
            times += [one for one, _ in took]
            seconds = median(times) if self._gpu else min(times)
            measured |= {"seconds": seconds, "wait": waited / max(1e-9, sum(wall for _, wall in took))}
            if step.passes == 1 and not step.checkpointing:
                measured["forward"] = self._forward(data, model, step) / seconds
        return measured

    def _forward(self, data: StepData, model: nn.Module, step: Step) -> float:
        """Return the time of a pass over a step's data without gradients (seconds)."""
        model.eval()
        try:
            with torch.no_grad(), autocast(self._dtype, self._device):
                at = self._clock()
                for batch, _ in data.batches(step.batch):
                    self._loss(model, batch)
                self._wait()
                return self._clock() - at
        finally:
            model.train()

    def _compare(self, paths: list[str]) -> None:
        """Say how far paths are from Hugging Face's, in float32 and in the precision of training."""
        lengths = self._spec.seq_lengths
        self._unload()
        check = ParityCheck(self._start, max(lengths), self._spec.model_revision, self._device)
        took = 0.0
        for length in lengths:
            for dtype in dict.fromkeys((None, self._dtype)):
                for path in paths:
                    if time.monotonic() + took * _BESIDE > self._until:
                        self.left_out += 1
                        continue
                    began = time.monotonic()
                    self._say("parity", **asdict(check.compare(path, length, dtype)))
                    took = max(took, time.monotonic() - began)
        allow_tf32(self._precision)

    def _guess(self, job: _Job) -> float:
        """Return what measuring a shape will take (seconds); 0 before anything is known."""
        path = self._path()
        known = [(one.step, min(times)) for one, times in self._times.items() if one.path == path]
        if not known:
            return 0.0
        speed = fitted(known, self._shape, self._spec.task)
        return _BESIDE * speed.seconds(job.step, self._shape, self._spec.task) * (2 if self._gpu else 1)

    def _estimate(self, job: _Job) -> int:
        spec = self._spec
        if job.path == "eager":
            spec = spec.model_copy(
                update={"training": spec.training.model_copy(update={"attention": "eager"})}
            )
        step = job.step
        head = invented_head(step.batch * step.seq_len)
        found = predict(self._shape, spec, step.seq_len, step.batch, step.checkpointing, head=head)
        return found - (0 if self._gpu else HOST_BASE)

    # -- the model -------------------------------------------------------------------------------------

    def _load(self, path: str, checkpointing: bool) -> None:
        self._unload()
        spec, longest = self._spec, max(self._spec.seq_lengths)
        arguments: dict[str, Any] = {
            "attention": "auto" if path == "own" else path, "checkpointing": checkpointing,
            "revision": spec.model_revision, "device": self._device,
        }  # fmt: skip
        model: nn.Module
        with quiet():
            if spec.task == "coreference":
                from coref_k8s.coref.model import new_model

                model = new_model(self._start, longest, **arguments)
            else:
                model = load_masked_lm(self._start, seq_len=longest, **arguments)
        model.to(self._device).train()
        optimiser = build_optimiser(model, Rates(1e-6), self._device)
        self._loaded = ((path, checkpointing), model, optimiser)
        # loops are compiled, and the optimiser makes its state
        tiny = Step(min(64, longest), 1)
        stepper = Stepper(model, optimiser, self._loss, self._dtype, 1.0)
        feed = Feed(self._source(tiny), self._device, first=0, last=1, batch_size=1)
        data, batches = feed.take(0, 1)
        stepper.step(feed, data, batches, 1)
        feed.close()
        self._wait()

    def _unload(self) -> None:
        self._loaded = None
        gc.collect()
        if self._gpu:
            torch.cuda.empty_cache()

    def _loss(self, model: nn.Module, batch: Any) -> Tensor:
        if isinstance(batch, Batch):
            return coreference_loss(model, batch).total  # type: ignore[arg-type]
        return masked_lm_loss(
            model, {name: one.to(self._device, non_blocking=True) for name, one in batch.items()}
        )

    def _source(self, step: Step) -> StepSource:
        size, sequences = self._shape.vocabulary, step.batch * step.passes
        if self._spec.task == "coreference":
            window = step.seq_len - SPECIALS
            document = invented_document(sequences * window, vocabulary=size)
            return _Same(WindowStep(Batch(windows_of(document, window))))
        vocabulary = Vocabulary(size, mask=4, pad=0, special=())
        rows = invented_sequences(sequences, step.seq_len, vocabulary)
        plan = StepPlan(np.full(sequences, step.seq_len), sequences, 0)
        return MaskedSource(rows, plan, Masker(vocabulary, Hyperparameters(), step.seq_len), 0)

    # -- the device ------------------------------------------------------------------------------------

    def _clock(self) -> float:
        """Return the time of the device; of a CPU the time that its threads have worked, for others may use them too."""
        return time.perf_counter() if self._gpu else time.process_time() / torch.get_num_threads()

    def _wait(self) -> None:
        if self._gpu:
            torch.cuda.synchronize(self._device)

    def _card(self) -> dict[str, Any]:
        if not self._gpu:
            return {}
        return {
            "device": torch.cuda.get_device_name(self._device),
            "memory": torch.cuda.get_device_properties(self._device).total_memory,
            "cuda": str(torch.version.cuda),
        }

    def _free(self) -> int:
        """Return the memory of the card that others leave (bytes), with what this process holds of it."""
        return torch.cuda.mem_get_info(self._device)[0] + torch.cuda.memory_reserved(self._device)

    def _reset_peak(self) -> int:
        """Forget earlier peaks; return what is in use now (bytes)."""
        if not self._asked.memory:
            return 0
        gc.collect()
        if self._gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            return 0
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _resident("VmRSS")

    def _peak(self, before: int) -> int:
        if self._gpu:
            return torch.cuda.max_memory_reserved(self._device)
        assert self._loaded is not None
        # what is there before a step: weights, and the optimiser's two moments of each
        kept = 12 * sum(parameter.numel() for parameter in self._loaded[1].parameters())
        return _resident("VmHWM") - before + kept


@dataclass(frozen=True)
class _Same:
    """A source whose steps are all the same."""

    data: StepData

    def step(self, number: int) -> StepData:
        return self.data


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _age() -> float:
    """Return how long this process has lived (seconds; Linux)."""
    ticks = float(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return up - ticks / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure what the first line of the input asks for; return the exit code."""
    asked = json.loads(sys.stdin.readline())
    asked |= {"spec": StudySpec.model_validate_json(asked["spec"]), "data_dir": Path(asked["data_dir"])}
    asked["steps"] = tuple(Step(**one) for one in asked["steps"])
    threading.Thread(target=_end_with_input, daemon=True).start()

    def say(kind: str, **found: Any) -> None:
        print(json.dumps({"kind": kind, **found}), flush=True)

    try:
        bench = Bench(Asked(**asked), say)
        bench.run()
    except CorefError as error:
        say("error", message=error.message.dump())
        return EXIT_INVALID
    say("end", left_out=bench.left_out)
    return 0


def _end_with_input() -> None:
    while sys.stdin.read(1):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
