"""How long a study will take and what it costs, before it starts, and what that rests on.

Times are those of `controller.expecting`; here is what only this machine knows: its text, its cards, its earlier trials.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from coref_k8s.client.planning import LengthPlan, plan_study
from coref_k8s.client.where import Where, cluster_configured, open_cluster
from coref_k8s.controller.expecting import (
    USUAL_ROWS,
    Basis,
    Expected,
    Source,
    basis_of,
    expected,
    most_passes,
    threads_of,
    wall_seconds,
)
from coref_k8s.controller.view import StudyView
from coref_k8s.corpus.generated import bytes_of, is_generated
from coref_k8s.corpus.local import SUFFIXES
from coref_k8s.errors import CorefError
from coref_k8s.local.hardware import Machine, cpu_cores, this_machine
from coref_k8s.sizing.calibration import Calibration, fitting
from coref_k8s.sizing.shape import ModelShape, shape_of
from coref_k8s.sizing.speed import Speed, operations
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message
from coref_k8s.wording.formats import duration

if TYPE_CHECKING:
    from coref_k8s.client.local import LocalBackend

#: Fewest bytes of text in a token; more, and there are fewer tokens.
_BYTES_PER_TOKEN = 4
#: A trial that takes longer on a CPU is said to before it starts (seconds).
_LONG = 86_400


@dataclass(frozen=True)
class Outlook:
    """What a request takes: times by length, and in all."""

    spec: StudySpec
    plans: Mapping[int, LengthPlan]
    times: Mapping[int, Expected]
    """By length."""
    basis: Basis
    steps_said: Message
    """What says how many steps there are."""
    at_once: int
    """Most trials that run at the same time."""
    found: Message = NOTHING
    """What was found on this machine and chosen; empty for a cluster."""

    @property
    def hours(self) -> tuple[float, float]:
        """GPU-hours of the whole study, the least and the most; on a CPU hours of trials."""
        low, high = (sum(one.seconds[which] for one in self.times.values()) for which in (0, 1))
        gpus = max(1, self.spec.pod.gpus)
        return low * gpus / 3600, high * gpus / 3600

    @property
    def wall(self) -> tuple[float, float]:
        """From start to end (seconds), the least and the most."""
        return wall_seconds(self.times, self.at_once)

    def sentences(self, price: float | None = None) -> list[Message]:
        """Return what the study takes in all, what the times rest on, and whether a limit ends it before; `price` of a GPU-hour."""
        low, high = hours = self.hours
        code = "client.takes-gpu-hours" if self.spec.pod.gpus else "client.takes-hours"
        said = [Message.of(code, hours=hours, wall=self.wall, n=self.at_once)]
        if len({duration(one, estimate=True) for one in self.wall}) > 1:
            said.append(Message.of("client.takes-least-and-most"))
        if price is not None and self.spec.pod.gpus:
            said.append(Message.of("client.costs", cost=(low * price, high * price), price=price))
        said += [self.basis.said, self.steps_said]
        if (longest := max(one.longest for one in self.times.values())) > 1:
            said.append(Message.of("client.steps-longer", times=longest))
        return [*said, *([limit] if (limit := self.limit) else [])]

    @property
    def limit(self) -> Message:
        """Return that `limits.maxGpuHours` will end the study before its trials are done; empty when it will not."""
        most, hours = self.spec.limits.max_gpu_hours, self.hours
        if most is None or not self.spec.pod.gpus or hours[0] <= most:
            return NOTHING
        return Message.of("client.limit-ends-it", most=most, hours=hours)

    def as_data(self, price: float | None = None) -> dict[str, Any]:
        """Return it as plain data, keys in camelCase, times in seconds."""
        low, high = self.hours
        return {
            "found": str(self.found),
            "source": self.basis.source.value,
            "restsOn": [str(self.basis.said), str(self.steps_said)],
            "gpuHours" if self.spec.pod.gpus else "hours": [round(low, 3), round(high, 3)],
            **(
                {}
                if price is None or not self.spec.pod.gpus
                else {"cost": [round(low * price, 2), round(high * price, 2)]}
            ),
            "wallSeconds": [round(one, 1) for one in self.wall],
            "warnings": [str(self.limit)] if self.limit else [],
            "expected": {
                str(length): {
                    "steps": one.steps,
                    "stepSeconds": round(one.step_seconds, 4),
                    "startSeconds": round(one.start_seconds, 1),
                    "trainingSeconds": round(one.training_seconds, 1),
                    "evaluationSeconds": round(one.evaluation_seconds, 1),
                    "trialSeconds": round(one.trial_seconds, 1),
                    "seconds": [round(each, 1) for each in one.seconds],
                }
                for length, one in self.times.items()
            },
        }


def plan_here(backend: LocalBackend, spec: StudySpec, views: Sequence[StudyView]) -> Outlook:
    """Return what a request comes to on this machine, of which `views` are the studies.

    Raises RequestError and SizingError as `fitted` does.
    """
    spec, found = backend.fit(spec)
    return outlook(
        spec,
        backend.calibrations(),
        views,
        machine=this_machine(),
        at_once=int(found.values["n"]),
        found=found,
    )


def views_of(backend: LocalBackend) -> list[StudyView]:
    """Return the studies of this machine that can be read, oldest first."""
    return [backend.get(study.name) for study in backend.studies() if not study.problem]


def measured_there(where: Where) -> list[Calibration]:
    """Return what was measured in a cluster; nothing where there is none to ask, or it does not answer: then times are estimated."""
    if not (where.there or cluster_configured()):
        return []
    try:
        return open_cluster(where).calibrations()
    except CorefError:
        return []


def outlook(
    spec: StudySpec,
    calibrations: Sequence[Calibration] = (),
    views: Sequence[StudyView] = (),
    *,
    machine: Machine | None = None,
    at_once: int | None = None,
    found: Message = NOTHING,
) -> Outlook:
    """Return what a request takes: on a `machine`, for which it has been fitted, or on a cluster's cards (None).

    `views` are studies whose trials may have shown how fast steps are. Raises SizingError when no batch fits.
    """
    shape, at_once = shape_of(spec.model), at_once or spec.parallelism
    card = machine.usable_gpus[0].model if machine and spec.pod.gpus and machine.usable_gpus else None
    threads = threads_of(spec, None if machine is None else machine.cores, at_once)
    calibration = fitting(calibrations, spec, shape, card, threads)
    plans = plan_study(spec, calibration)
    basis = None if calibration is not None and calibration.speed else _of_trials(spec, shape, views)
    basis = basis or basis_of(spec, shape, calibration, threads=threads, card=card)
    rows, said = _rows(spec, plans)
    batches = {length: plan.batch for length, plan in plans.items()}
    return Outlook(spec, plans, expected(spec, shape, batches, rows, basis), basis, said, at_once, found)


def warnings_of(spec: StudySpec, calibrations: Sequence[Calibration] = (), *, here: bool) -> list[Message]:
    """Return what of a request's time its sender should know before it starts: too long on this CPU, more than a limit allows."""
    if here and not spec.pod.gpus:
        at_once = min(spec.parallelism, cpu_cores())
        seen = outlook(spec, calibrations, machine=this_machine(), at_once=at_once)
        longest = max(seen.times.values(), key=lambda one: one.training_seconds)
        if longest.training_seconds < _LONG:
            return []
        return [Message.of("client.long-on-cpu", span=longest.training_seconds, steps=longest.steps)]
    if spec.limits.max_gpu_hours is None or not spec.pod.gpus:
        return []
    seen = outlook(spec, calibrations, machine=this_machine() if here else None)
    return [seen.limit] if seen.limit else []


def _of_trials(spec: StudySpec, shape: ModelShape, views: Sequence[StudyView]) -> Basis | None:
    """Return how fast steps were in trials of the same model, task and kind of device; None before there are any."""
    rates: list[float] = []
    for view in views:
        # a study has the whole path of a folder that its request may have named from here
        if view.spec.model not in (spec.model, os.path.abspath(os.path.expanduser(spec.model))):
            continue
        if view.spec.task != spec.task:
            continue
        for trial in view.trials:
            speed = trial.attrs.get("tokens_per_second")
            if speed and ("gpu_name" in trial.attrs) == (spec.pod.gpus > 0):
                rates.append(float(speed) * operations(shape, trial.seq_len, spec.task))
    if not rates:
        return None
    speed = Speed.of_rate(median(rates), shape, spec.task)
    return Basis(speed, Source.TRIALS, Message.of("client.rests-on-trials", n=len(rates), model=spec.model))


def _rows(spec: StudySpec, plans: Mapping[int, LengthPlan]) -> tuple[dict[int, float], Message]:
    """Return the most training sequences by length (below 1: a part of one), and what says how many steps they make."""
    limit, size = spec.data.train_limit, _text_bytes(spec)
    tokens = math.inf if size is None else size / _BYTES_PER_TOKEN
    tokens *= 1 - spec.data.dev_share - spec.data.test_share
    found = {}
    for length in plans:
        chunks = min(math.inf if limit is None else limit, max(1, tokens) / length)
        found[length] = USUAL_ROWS if math.isinf(chunks) else chunks if chunks < 1 else math.ceil(chunks)
    epochs = most_passes(spec, next(iter(plans)))
    if spec.training.max_steps is not None:
        return found, Message.of("client.steps-asked", n=spec.training.max_steps)
    if size is None:
        return found, Message.of("client.steps-of-limit", n=limit or USUAL_ROWS, epochs=epochs)
    return found, Message.of(
        "client.steps-of-text",
        size=f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB",
        epochs=epochs,
    )


def _text_bytes(spec: StudySpec) -> int | None:
    """Return the size of the text (bytes); None unless all of it is in files here, or generated."""
    if spec.data.choices:
        return None
    total = 0
    for one in spec.data.sources:
        if is_generated(one.source):
            total += bytes_of(one.source, spec.seq_lengths)
            continue
        path = Path(os.path.expanduser(one.source))
        if not path.exists():
            return None
        files = [path] if path.is_file() else (file for file in path.rglob("*") if file.suffix in SUFFIXES)
        total += sum(file.stat().st_size for file in files)
    return total
