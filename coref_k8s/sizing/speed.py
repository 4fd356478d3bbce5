"""How long a training step takes: its work, counted from a model's shape, times what a kind of device takes for each part.

    seconds of a step = passes x (fixed + linear work + attention's work + what is computed again) + update

The five numbers of a `Speed` are fitted to steps that were measured (`fitted`); without any, all work is taken to cost
the same (`of_rate`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from coref_k8s.sizing.shape import ModelShape

#: Share of the speed of a product of matrices that training reaches: 57 of 85 GFLOP/s for DeBERTa-v2 of width 768 at 2,043
#: tokens on one core (docs/sizing.md), less for shorter inputs and small models.
EFFICIENCY = 0.5
#: Part of a training pass that one without gradients takes, before it was measured: forward, of forward and twice that.
FORWARD = 1 / 3
#: What a process takes before its first step where that was not measured: libraries, model, data (seconds).
START_SECONDS = 15.0
#: Fixed cost of a pass that was not measured, in tokens' worth of work: kernel launches and idle units.
PASS_OVERHEAD_TOKENS = 512
#: How far a fit may leave "all work costs the same": little, so that it shows only in what the points leave open.
_PULL = 1e-3
#: Part of a step on a CPU that several threads share: two made one of 512 tokens 1.2 and one of 1,024 tokens 1.6 times as fast
#: (docs/engine.md).
SHARED = 0.6
#: Rows of the matrices that are multiplied to measure a CPU.
_ROWS = 768


def linear_operations(shape: ModelShape, task: str = "mentions") -> float:
    """Return the floating-point operations of training on one token, forward and backward, without attention's."""
    h, up = shape.hidden, 3 if shape.gated else 2
    layers = shape.layers * (4 * h * h + up * h * shape.intermediate)
    return 6 * layers + head_operations(shape, task)


def head_operations(shape: ModelShape, task: str = "mentions") -> float:
    """Return those of the head alone, on one token."""
    h = shape.hidden
    # the masked-LM head reads 15 % of the tokens; that of coreference asks each token and four spans of it
    return 6 * (0.15 * h * (h + shape.vocabulary) if task == "mentions" else 3 * 256 * h + 8 * 256)


def square_operations(shape: ModelShape, seq_len: int) -> float:
    """Return those of attention, on one token of a sequence: they grow with its length."""
    # scores, context, and both directions of relative positions
    products = 4 if shape.position_buckets else 2
    return 6.0 * shape.layers * products * seq_len * shape.hidden


def operations(shape: ModelShape, seq_len: int, task: str = "mentions") -> float:
    """Return all floating-point operations of training on one token of a sequence."""
    return linear_operations(shape, task) + square_operations(shape, seq_len)


@dataclass(frozen=True)
class Step:
    """One optimiser step: `passes` forward and backward passes over `batch` sequences each."""

    seq_len: int
    batch: int
    passes: int = 1
    checkpointing: bool = False

    def work(self, shape: ModelShape, task: str) -> tuple[float, ...]:
        """Return the parts of the step that a `Speed` has a number for, in its order."""
        tokens = self.passes * self.batch * self.seq_len
        linear, square = linear_operations(shape, task), square_operations(shape, self.seq_len)
        again = (linear + square) / 3 if self.checkpointing else 0.0
        return self.passes, tokens * linear, tokens * square, tokens * again, 1.0


@dataclass(frozen=True)
class Speed:
    """What a kind of device takes for the parts of a step of one shape of model."""

    fixed: float
    """Of a pass, whatever is in it (seconds)."""
    linear: float
    """Of one operation outside attention (seconds)."""
    square: float
    """Of one operation of attention (seconds)."""
    again: float
    """Of one operation that checkpointing makes a second time (seconds)."""
    update: float
    """Of clipping and the optimiser's update (seconds a step)."""
    forward: float = FORWARD
    """Part of a training pass that one without gradients takes."""
    start: float = START_SECONDS
    """From the start of a process to its first step (seconds)."""

    @classmethod
    def of_rate(cls, rate: float, shape: ModelShape, task: str = "mentions") -> Speed:
        """Return the speed of a device that trains at `rate` operations a second, whatever they are."""
        fixed = PASS_OVERHEAD_TOKENS * linear_operations(shape, task) / rate
        return cls(fixed, 1 / rate, 1 / rate, 1 / rate, 0.0)

    def times(self, factor: float) -> Speed:
        """Return the speed of a device on which all but the start takes so many times as long."""
        parts = {
            name: factor * getattr(self, name) for name in ("fixed", "linear", "square", "again", "update")
        }
        return replace(self, **parts)

    def seconds(self, step: Step, shape: ModelShape, task: str = "mentions") -> float:
        """Return the time of one step (seconds)."""
        parts = (self.fixed, self.linear, self.square, self.again, self.update)
        return sum(each * much for each, much in zip(parts, step.work(shape, task), strict=True))

    def forward_seconds(
        self, seq_len: int, tokens: float, shape: ModelShape, task: str = "mentions"
    ) -> float:
        """Return the time of going over so many tokens without gradients, in sequences of a length (seconds)."""
        per_token = self.linear * linear_operations(shape, task)
        per_token += self.square * square_operations(shape, seq_len)
        return self.forward * tokens * per_token

    def rest_seconds(self, seq_len: int, tokens: float, passes: float, shape: ModelShape) -> float:
        """Return the time in which a head of coreference goes over so many tokens alone (seconds).

        The encoder, at rest, gives its states once, in windows of a length.
        """
        if not passes:
            return 0.0
        head = self.linear * head_operations(shape, "coreference")
        return self.forward_seconds(seq_len, tokens, shape, "coreference") + passes * tokens * head


def fitted(measured: Sequence[tuple[Step, float]], shape: ModelShape, task: str = "mentions") -> Speed:
    """Return the speed that measured steps (with their seconds) show: least squares of the relative errors, none below 0.

    From one step on; what few steps leave open is taken to cost the same for all work.
    """
    import numpy as np  # not for those who only read a study

    seconds = np.array([took for _, took in measured])
    rows = np.array([step.work(shape, task) for step, _ in measured]) / seconds[:, None]
    scale = rows.max(axis=0)
    scale[scale == 0] = 1.0
    # the starting point: all operations cost the same, and nothing else costs anything
    rate = 1 / median(rows[:, 1:4].sum(axis=1))
    prior = np.array([0.0, rate, rate, rate, 0.0]) * scale
    active = np.ones(len(scale), dtype=bool)
    while True:
        pull = np.sqrt(_PULL) * np.eye(len(scale))[:, active]
        left = np.vstack([rows[:, active] / scale[active], pull])
        right = np.concatenate([np.ones(len(rows)), np.sqrt(_PULL) * prior])
        found, *_ = np.linalg.lstsq(left, right, rcond=None)
        if (found >= 0).all():
            break
        active[np.flatnonzero(active)[found.argmin()]] = False
    parts = np.zeros(len(scale))
    parts[active] = found / scale[active]
    return Speed(*map(float, parts))


def largest_error(
    speed: Speed, measured: Iterable[tuple[Step, float]], shape: ModelShape, task: str
) -> float:
    """Return by how much the speed is wrong about the step that it is most wrong about (share of its time)."""
    return max((abs(speed.seconds(step, shape, task) / took - 1) for step, took in measured), default=0.0)


def of_threads(number: int) -> float:
    """Return the time of a step with so many threads of a CPU, as a share of that with one."""
    return 1 - SHARED + SHARED / max(1, number)


def measured_rate() -> float:
    """Return how many floating-point operations a second this machine's cores multiply matrices with.

    It is told from the time that the cores have worked, since others may use them at this moment.
    """
    import numpy as np

    matrix = np.ones((_ROWS, _ROWS), np.float32)

    def multiply() -> float:
        began = time.thread_time()
        matrix @ matrix
        return time.thread_time() - began

    multiply()  # the first one starts threads
    return 2 * _ROWS**3 / max(1e-6, median(multiply() for _ in range(5)))
