"""What `coref-k8s calibrate` has measured of one shape of model on one kind of device, and what it says of plans."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Any

from pydantic import TypeAdapter

from coref_k8s.sizing.correction import BOUNDS
from coref_k8s.sizing.shape import ModelShape
from coref_k8s.sizing.speed import Speed, Step, fitted, largest_error
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message

#: Cards whose memory differs by less than this share are of one size: 40 GB cards report 40,536 MB.
_SAME_SIZE = 0.06


@dataclass(frozen=True)
class Point:
    """One shape of step that was measured; what could not be is None."""

    seq_len: int
    batch: int
    passes: int
    checkpointing: bool
    path: str
    """Attention: `blocked`, `flash`, `eager` (Hugging Face's), or `own` of other architectures."""
    seconds: float | None = None
    """Of one optimiser step, data included."""
    wait: float | None = None
    """Share of the time in which training waited for data."""
    forward: float | None = None
    """Part of a training pass that one without gradients takes."""
    peak: int | None = None
    """Peak memory (bytes): what torch reserved of the GPU, or of the host what a step takes with model and optimiser."""
    estimated: int | None = None
    """What was estimated for it (bytes)."""
    fits: bool = True
    """False where memory ran out."""

    @property
    def step(self) -> Step:
        """The step as a `Speed` knows it."""
        return Step(self.seq_len, self.batch, self.passes, self.checkpointing)

    @property
    def measures(self) -> tuple[object, ...]:
        """What is measured of which step: time and memory on a CPU are two points."""
        return self.step, self.path, self.peak is not None and self.seconds is None


@dataclass(frozen=True)
class Parity:
    """How far an attention path is from Hugging Face's: the largest relative error of loss and gradients, in one precision."""

    path: str
    seq_len: int
    precision: str
    difference: float
    allowed: float
    why: str = ""
    """What the path said instead of numbers, where it failed."""

    @property
    def agrees(self) -> bool:
        """Whether the path may be used."""
        return not self.why and self.difference <= self.allowed


@dataclass(frozen=True)
class Calibration:
    """What was measured, newest first in a database. Times are UTC."""

    device: str
    """Kind of GPU as its driver calls it, or of processor."""
    gpu: bool
    memory: int
    """Memory of the card or, of a processor, of the host (bytes)."""
    threads: int
    """Threads of a trial on a processor; 0 on a GPU."""
    driver: str
    versions: Mapping[str, str]
    model: str
    task: str
    precision: str
    """As trials of it compute: `bf16`, `fp16` or `fp32`."""
    asked: str
    """As the request says it: `auto`, too."""
    shape: Mapping[str, Any]
    measured_at: datetime
    complete: bool = False
    """Whether everything was measured, and not only what the deadline left time for."""
    points: tuple[Point, ...] = ()
    parities: tuple[Parity, ...] = ()
    start: float | None = None
    """From the start of a process to the end of its first step (seconds)."""
    seconds: float = 0.0
    """What calibrating took."""
    notes: tuple[Message, ...] = field(default=())
    """What was left out, and why."""

    def to_json(self) -> str:
        """Return it as JSON."""
        return _adapter().dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Return what `to_json` wrote."""
        return _adapter().validate_json(text)

    @property
    def key(self) -> str:
        """What it is known by: kind of device, driver, versions, shape, task and precision."""
        same = [
            self.device,
            self.threads,
            self.driver,
            dict(self.versions),
            dict(self.shape),
            self.task,
            self.precision,
        ]
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    @property
    def found(self) -> bool:
        """Whether anything was measured."""
        return bool(self.points or self.parities)

    def measured_again(self, point: Point) -> Calibration:
        """Return it with a point, which takes the place of what was measured of the same shape of step."""
        others = (one for one in self.points if one.measures != point.measures)
        return replace(self, points=(*others, point))

    def beside(self, earlier: Calibration) -> Calibration:
        """Return it with what an earlier one measured and it has not, or not yet."""
        have = {one.measures for one in self.points}
        compared = {(one.path, one.seq_len, one.precision) for one in self.parities}
        return replace(
            self,
            points=(*self.points, *(one for one in earlier.points if one.measures not in have)),
            parities=(
                *self.parities,
                *(one for one in earlier.parities if (one.path, one.seq_len, one.precision) not in compared),
            ),
            start=self.start or earlier.start,
        )

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, with what it says of plans, messages as English text."""
        data = _adapter().dump_python(self, mode="json", context={"words": True})
        speed = self.speed
        return data | {
            "path": self.path,
            "speed": None if speed is None else asdict(speed),
            "largest_error": self.error,
            "memory_factor": self.factor,
            "off": {path: str(why) for path in self.paths if (why := self.off(path))},
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """Attention paths that were compared with Hugging Face's."""
        return tuple(dict.fromkeys(one.path for one in self.parities))

    @property
    def of_shape(self) -> ModelShape:
        """The shape of the model."""
        return ModelShape(**self.shape)

    @property
    def path(self) -> str:
        """The attention path that trials take here: the first of those measured that agrees, Hugging Face's last."""
        measured = dict.fromkeys(p.path for p in self.points if p.path != "eager")
        return next((path for path in measured if not self.off(path)), "eager")

    @property
    def timed(self) -> list[tuple[Step, float]]:
        """Steps on that path with their seconds."""
        return [(p.step, p.seconds) for p in self.points if p.seconds is not None and p.path == self.path]

    @property
    def speed(self) -> Speed | None:
        """What the timed steps show; None without any."""
        if not self.timed:
            return None
        found = fitted(self.timed, self.of_shape, self.task)
        shares = [p.forward for p in self.points if p.forward is not None and p.path == self.path]
        known: dict[str, Any] = {"forward": median(shares)} if shares else {}
        return replace(found, **known, **({} if self.start is None else {"start": self.start}))

    @property
    def error(self) -> float:
        """By how much the speed is wrong about the measured step that it is most wrong about (share)."""
        speed = self.speed
        return largest_error(speed, self.timed, self.of_shape, self.task) if speed else 0.0

    @property
    def factor(self) -> float:
        """Measured peak / estimate: the median over the path's points, within what a step can explain; 1 without any."""
        ratios = [p.peak / p.estimated for p in self.points if p.peak and p.estimated and p.path == self.path]
        least, most = BOUNDS
        return min(most, max(least, median(ratios))) if ratios else 1.0

    def off(self, path: str) -> Message:
        """Return why an attention path must not be used on this kind of device; empty when it may."""
        wrong = next((p for p in self.parities if p.path == path and not p.agrees), None)
        if wrong is None:
            return NOTHING
        about = {"path": path, "device": self.device, "seq_len": wrong.seq_len, "precision": wrong.precision}
        if wrong.why:
            return Message("sizing.path-fails", {**about, "why": wrong.why})
        return Message(
            "sizing.path-differs", {**about, "difference": wrong.difference, "allowed": wrong.allowed}
        )


def shape_key(shape: ModelShape) -> dict[str, Any]:
    """Return a shape as plain data, whether it was read or assumed."""
    return asdict(replace(shape, assumed=False))


def precision_asked(spec: StudySpec) -> str:
    """Return the precision of a request; `auto` is float32 on a CPU."""
    asked = spec.training.precision
    return "fp32" if asked == "auto" and not spec.pod.gpus else asked


def fitting(
    known: Iterable[Calibration],
    spec: StudySpec,
    shape: ModelShape,
    device: str | None = None,
    threads: int = 0,
) -> Calibration | None:
    """Return the calibration that a request's trials can be planned with, of `known` (newest first); None without one.

    It is of the model's shape, the task and the precision, and of the named kind of device. Where no kind is named
    (a cluster decides) it is of cards of the size that batches are planned for, of several kinds the slowest: nobody knows
    where the next pod lands. On a CPU one that was measured with so many `threads` comes before newer ones.
    """
    asked, key = precision_asked(spec), shape_key(shape)
    newest: dict[str, Calibration] = {}
    for one in sorted(known, key=lambda one: bool(threads and one.threads and one.threads != threads)):
        # of a model that cannot be seen from here, as one on a cluster's volume, the name alone is known
        model = one.model == spec.model if shape.assumed else one.shape == key
        same = model and one.task == spec.task and one.gpu == (spec.pod.gpus > 0)
        if same and asked in (one.asked, one.precision):
            newest.setdefault(one.device, one)
    if device is not None:
        return newest.get(device)
    size = spec.gpu_memory_gb * 2**30
    usual = [
        one for one in newest.values() if not one.gpu or abs(one.memory - size) <= _SAME_SIZE * max(size, 1)
    ]

    def slowness(one: Calibration) -> float:
        speed = one.speed
        return 0.0 if speed is None else speed.seconds(Step(max(spec.seq_lengths), 1), shape, spec.task)

    return max(usual, key=slowness, default=None)


def _adapter() -> TypeAdapter[Calibration]:
    return TypeAdapter(Calibration)
