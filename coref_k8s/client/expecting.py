"""How long a study will take on this machine, and what that rests on.

The speed is that of trials of the same model that have run here; before there are any, a product of matrices is measured
and a step is counted in operations.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from coref_k8s.client.planning import LengthPlan, plan_study
from coref_k8s.controller.view import StudyView
from coref_k8s.corpus.local import SUFFIXES
from coref_k8s.local.hardware import cpu_cores
from coref_k8s.sizing.shape import ModelShape, shape_of
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message

if TYPE_CHECKING:
    from coref_k8s.client.local import LocalBackend

#: Share of the speed of a product of matrices that training reaches: 57 of 85 GFLOP/s for DeBERTa-v2 of width 768 at 2,043
#: tokens on one core (docs/sizing.md), less for shorter inputs and small models.
EFFICIENCY = 0.5
#: Fewest bytes of text in a token; more, and there are fewer tokens.
_BYTES_PER_TOKEN = 4
#: A trial that takes longer on a CPU is said to before it starts (seconds).
_LONG = 86_400
#: Rows of the matrices that are multiplied to measure a CPU, and a GPU.
_ROWS = {False: 768, True: 8192}


@dataclass(frozen=True)
class Expected:
    """The training time of a length's trials; evaluations come on top, pruning takes away."""

    steps: int
    """Optimiser steps of a trial, at most."""
    step_seconds: float
    seconds: float
    """Of all trials of the length."""

    @property
    def trial_seconds(self) -> float:
        """Training time of one trial, at most."""
        return self.steps * self.step_seconds


@dataclass(frozen=True)
class Here:
    """A request as it would run on this machine."""

    spec: StudySpec
    found: Message
    """What was found and chosen."""
    times: Mapping[int, Expected]
    """By length."""
    rests_on: Sequence[Message]

    @property
    def at_once(self) -> int:
        """Most trials that run at the same time here: what was asked for, or what the machine has room for."""
        return int(self.found.values["n"])

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, keys in camelCase, times in seconds."""
        return {
            "found": str(self.found),
            "restsOn": [str(one) for one in self.rests_on],
            "expected": {
                str(length): {
                    "steps": one.steps,
                    "stepSeconds": round(one.step_seconds, 4),
                    "trialSeconds": round(one.trial_seconds, 1),
                    "seconds": round(one.seconds, 1),
                }
                for length, one in self.times.items()
            },
        }


def plan_here(backend: LocalBackend, spec: StudySpec, views: Sequence[StudyView]) -> Here:
    """Return what a request comes to on this machine, of which `views` are the studies.

    Raises RequestError and SizingError as `fitted` does.
    """
    spec, found = backend.fit(spec)
    times, rests_on = expected_times(spec, plan_study(spec), int(found.values["n"]), views)
    return Here(spec, found, times, rests_on)


def views_of(backend: LocalBackend) -> list[StudyView]:
    """Return the studies of this machine that can be read, oldest first."""
    return [backend.get(study.name) for study in backend.studies() if not study.problem]


def too_long(spec: StudySpec) -> Message:
    """Return a warning when a trial of a fitted request takes more than a day on this CPU; empty when it does not."""
    if spec.pod.gpus:
        return NOTHING
    at_once = min(spec.parallelism, cpu_cores())
    times, _ = expected_times(spec, plan_study(spec), at_once, ())
    longest = max(times.values(), key=lambda one: one.trial_seconds)
    if longest.trial_seconds < _LONG:
        return NOTHING
    return Message.of("client.long-on-cpu", span=longest.trial_seconds, steps=longest.steps)


def expected_times(
    spec: StudySpec, plans: Mapping[int, LengthPlan], at_once: int, views: Sequence[StudyView]
) -> tuple[dict[int, Expected], list[Message]]:
    """Return the times by length, and what they rest on; `views` are the studies of this machine.

    The request is one that fits the machine (`fitted`), of which `at_once` trials run at the same time.
    """
    shape = shape_of(spec.model)
    known = _speeds(spec, views)
    steps, why = _steps(spec, plans)
    if known:
        n = sum(map(len, known.values()))
        rests_on = Message.of("client.rests-on-trials", n=n, model=spec.model)
    else:
        rate = measured_rate(gpu=spec.pod.gpus > 0)
        rests_on = Message.of("client.rests-on-product", rate=rate / 1e9, share=EFFICIENCY)
    times = {}
    for length, plan in plans.items():
        work = operations(shape, length)
        if known:
            # tokens a second at the nearest length, as far as it differs by its operations
            near = min(known, key=lambda other: abs(other - length))
            speed = median(known[near]) * operations(shape, near) / work
        else:
            # the cores are shared by the trials that run at once, GPUs are not
            speed = EFFICIENCY * rate / work / (1 if spec.pod.gpus else at_once)
        seconds = plan.batch.effective_batch * length / speed
        rounds = math.ceil(spec.trials / at_once)
        times[length] = Expected(steps[length], seconds, rounds * steps[length] * seconds)
    return times, [rests_on, why]


def operations(shape: ModelShape, seq_len: int) -> float:
    """Return the floating-point operations of training on one token: forward, and twice that backward."""
    h, up = shape.hidden, 3 if shape.gated else 2
    products = (
        2 if not shape.position_buckets else 4
    )  # scores, context, and both directions of relative positions
    layer = 4 * h * h + up * h * shape.intermediate + products * seq_len * h
    head = 0.15 * h * (h + shape.vocabulary)
    return 3 * 2 * (shape.layers * layer + head)


def measured_rate(*, gpu: bool) -> float:
    """Return how many floating-point operations a second this machine's cores, or its first GPU, multiply matrices with.

    On the CPU it is told from the time that the cores have worked, since others may use them at this moment.
    """
    rows = _ROWS[gpu]
    if gpu:
        import torch

        one = torch.rand(rows, rows, device="cuda", dtype=torch.bfloat16)

        def multiply() -> float:
            torch.cuda.synchronize()
            began = time.perf_counter()
            one @ one
            torch.cuda.synchronize()
            return time.perf_counter() - began

    else:
        import numpy as np

        matrix = np.ones((rows, rows), np.float32)

        def multiply() -> float:
            began = time.thread_time()
            matrix @ matrix
            return time.thread_time() - began

    multiply()  # the first one starts threads
    return 2 * rows**3 / max(1e-6, median(multiply() for _ in range(5)))


def _speeds(spec: StudySpec, views: Sequence[StudyView]) -> dict[int, list[float]]:
    """Return the tokens a second of trials of the same model on the same kind of device, by length."""
    found: dict[int, list[float]] = {}
    for view in views:
        if (view.spec.model, view.spec.task) != (spec.model, spec.task):
            continue
        for trial in view.trials:
            speed = trial.attrs.get("tokens_per_second")
            if speed and ("gpu_name" in trial.attrs) == (spec.pod.gpus > 0):
                found.setdefault(trial.seq_len, []).append(float(speed))
    return found


def _steps(spec: StudySpec, plans: Mapping[int, LengthPlan]) -> tuple[dict[int, int], Message]:
    """Return the most optimiser steps of a trial by length, and what says so."""
    if spec.training.max_steps is not None:
        steps = spec.training.max_steps
        return dict.fromkeys(plans, steps), Message.of("client.steps-asked", n=steps)
    limit, size = spec.data.train_limit, _text_bytes(spec)
    epochs = max(spec.training.epoch_choices)
    tokens = math.inf if size is None else size / _BYTES_PER_TOKEN
    tokens *= 1 - spec.data.dev_share - spec.data.test_share
    found = {}
    for length, plan in plans.items():
        chunks = min(math.inf if limit is None else limit, max(1, tokens / length))
        chunks = 50_000 if math.isinf(chunks) else chunks
        found[length] = math.ceil(math.ceil(chunks) / plan.batch.effective_batch * epochs)
    if size is None:
        return found, Message.of("client.steps-of-limit", n=limit or 50_000, epochs=epochs)
    return found, Message.of("client.steps-of-text", size=size / 1e6, epochs=epochs)


def _text_bytes(spec: StudySpec) -> int | None:
    """Return the size of the text (bytes); None unless all of it is in files here."""
    total = 0
    for one in spec.data.sources:
        path = Path(os.path.expanduser(one.source))
        if spec.data.choices or not path.exists():
            return None
        files = [path] if path.is_file() else (file for file in path.rglob("*") if file.suffix in SUFFIXES)
        total += sum(file.stat().st_size for file in files)
    return total
