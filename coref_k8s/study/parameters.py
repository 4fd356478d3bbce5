"""The one table of tuned parameters. Requests, the custom resource's schema, search spaces, warm start, plans and
trials read from it: a parameter is added here, and where a trial uses it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from coref_k8s.study.base import shown
from coref_k8s.study.ranges import Range, choices, linear, log
from coref_k8s.wording import Message

if TYPE_CHECKING:
    from coref_k8s.study.spec import StudySpec

#: Default ranges of one task: from each length (tokens) on, up to the next.
ByLength = Mapping[int, Range]


@dataclass(frozen=True)
class Parameter:
    """One row of the table."""

    name: str
    kind: Literal["float", "int", "name"]
    """A number, a whole number (always one of a few choices), or a name."""
    about: str
    """What it is, as the custom resource's schema says it; `fields.parameter.<name>` of the catalogue in Korean."""
    default: Any
    """What a trial takes whose space does not name it."""
    ranges: Mapping[str, ByLength]
    """Default ranges by task and length; none at a length where it is not tuned unless the request says so."""
    low: float = 0.0
    """Least value that a trial can use."""
    high: float = 1.0
    """Greatest value that a trial can use."""
    names: tuple[str, ...] = ()
    """The names that there are; empty for any."""
    unit: str = ""
    """Unit of the value; empty for a ratio or a name."""
    carried: Literal["place", "batch", "value"] = "value"
    """How a good value moves to another length: to the same place in that length's range, to the same number of
    sequences per optimiser step, or as it is."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it is tuned for."""
        return tuple(self.ranges)

    @property
    def bounds(self) -> Any:
        """The bounds of a number, as a pydantic field has them."""
        return Field(ge=self.low, le=self.high)

    def range_at(self, task: str, seq_len: int) -> Range | None:
        """Return the default range at a length (tokens); None where there is none."""
        by_length = self.ranges.get(task, {})
        start = max((start for start in by_length if start <= seq_len), default=None)
        return None if start is None else by_length[start]

    def problem(self, value: Any, place: str) -> Message | None:
        """Return what is wrong with a value that stands at `place`; None when a trial can use it."""
        if self.kind == "name":
            if isinstance(value, str) and (value in self.names or (value and not self.names)):
                return None
            code = "parameter-name" if self.names else "parameter-text"
            return Message.of(f"study.{code}", place=place, names=", ".join(self.names), given=shown(value))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and self.low <= value <= self.high and (self.kind == "float" or value == int(value)):
            return None
        values = {"low": self.low, "high": self.high, "given": shown(value)}
        return Message.of(f"study.parameter-{self.kind}", place=place, **values)

    def problems(self, one: Range) -> list[tuple[tuple[int | str, ...], Message]]:
        """Return what is wrong with a range: where in it, and what. A part that no trial can use is enough."""
        if one.choices is not None:
            values: dict[tuple[int | str, ...], Any] = {
                ("choices", at): value for at, value in enumerate(one.choices)
            }
        elif self.kind == "float":
            values = {("low",): one.low, ("high",): one.high}
        else:
            example = ", ".join(self.names or map(str, (1, 2, 4)))
            return [((), Message.of("study.parameter-choices", example=example))]
        found = ((at, self.problem(value, "")) for at, value in values.items())
        return [(at, message) for at, message in found if message is not None]

    def carry(self, value: Any, source: Range | None, target: Range) -> Any:
        """Return a value of another length's or study's range as this one would have it; None for none.

        A number keeps its place in its range; without a range to compare with (`source` None: the same length) its
        value, within the target. One of several choices is kept where it is offered. What is `carried` by "batch" is
        for `coref_k8s.search.carrying`, which knows the sizes of batches.
        """
        if target.choices is not None:
            return value if value in target.choices else None
        if isinstance(value, str):
            return None
        if (
            source is None
            or source.choices is not None
            or source.low == source.high
            or self.carried != "place"
        ):
            return min(max(value, target.interval.low), target.interval.high)
        return target.interval.value(min(max(source.interval.place(value), 0.0), 1.0))


_BOTH: dict[str, ByLength] = {"mentions": {}, "coreference": {}}
_SMALL_BATCHES: ByLength = {0: choices(1, 2), 1024: choices(1, 2, 4), 1536: choices(2, 4, 8)}
_POSITIONS = ("clamp", "rescale", "grow")

#: By name, in the order in which they are shown and sampled.
PARAMETERS: Mapping[str, Parameter] = {
    one.name: one
    for one in (
        Parameter(
            "learning_rate", "float", "Peak learning rate of the encoder; lower layers get less (layer_decay).", 5e-5,
            {
                "mentions": {0: log(1e-5, 5e-4), 1024: log(5e-6, 2e-4), 1536: log(1e-6, 1e-4)},
                "coreference": {0: log(5e-6, 1e-4)},
            },
            low=1e-9, carried="place",
        ),
        Parameter(
            "head_learning_rate", "float", "Peak learning rate of the coreference head.", 3e-4,
            {"coreference": {0: log(5e-5, 1e-3)}}, low=1e-9, carried="place",
        ),
        Parameter(
            "warmup_ratio", "float", "Share of the steps in which the learning rate rises.", 0.1,
            {
                "mentions": {0: linear(0.0, 0.2), 1024: linear(0.05, 0.25), 1536: linear(0.1, 0.3)},
                "coreference": {0: linear(0.0, 0.2)},
            },
            carried="place",
        ),
        Parameter(
            "weight_decay", "float", "AdamW's decoupled decay, not on biases and norms.", 0.01,
            {
                "mentions": {0: linear(0.0, 0.1), 1024: linear(0.01, 0.08), 1536: linear(0.02, 0.06)},
                "coreference": {0: linear(0.0, 0.1)},
            },
            carried="place",
        ),
        Parameter(
            "accumulation", "int", "Batches of the memory table in one optimiser step.", 1,
            {"mentions": _SMALL_BATCHES, "coreference": {0: choices(1, 2, 4)}},
            low=1, high=1024, unit="batches", carried="batch",
        ),
        Parameter(
            "mask_low", "float", "Share of tokens masked in the shortest sequences.", 0.15,
            {"mentions": {0: linear(0.08, 0.15), 1536: linear(0.08, 0.18)}}, carried="place",
        ),
        Parameter(
            "mask_high", "float", "Share of tokens masked in a sequence of full length.", 0.15,
            {"mentions": {0: linear(0.15, 0.3), 1024: linear(0.15, 0.35), 1536: linear(0.18, 0.4)}},
            low=1e-3, carried="place",
        ),
        Parameter(
            "layer_decay", "float", "Learning rate of a layer relative to the one above it.", 1.0,
            {"mentions": {0: linear(0.8, 1.0)}, "coreference": {0: linear(0.8, 1.0)}}, low=1e-3, carried="place",
        ),
        Parameter(
            "mention_share", "float", "Share of the masked tokens that repeated mentions get.", 0.5,
            {"mentions": {0: linear(0.2, 0.8)}}, carried="place",
        ),
        Parameter(
            "distance_preference", "float",
            "Exponent of a mention's distance (tokens) when mentions to mask are drawn; 0 is indifferent.", 0.5,
            {"mentions": {0: linear(0.0, 1.5)}}, high=10.0, carried="place",
        ),
        Parameter(
            "head_dropout", "float", "Dropout in the coreference head.", 0.3,
            {"coreference": {0: linear(0.0, 0.5)}}, high=0.9, carried="place",
        ),
        # above 512 tokens, the range that the model was trained with
        Parameter(
            "position_range", "name", "How distances beyond the model's own range fall into its buckets.", "clamp",
            {"mentions": {513: choices(*_POSITIONS)}, "coreference": {513: choices(*_POSITIONS)}}, names=_POSITIONS,
        ),
        # its range is training.epochChoices
        Parameter(
            "epochs", "float", "Passes over the training data, without a budget in steps.", 1.0, _BOTH,
            low=1e-3, high=1000.0, unit="epochs", carried="place",
        ),
        # not tuned unless the request gives it a range
        Parameter(
            "head_epochs", "float", "Passes over whole documents at the end, in which only the coreference head learns.",
            8.0, {"coreference": {}}, high=1000.0, unit="epochs", carried="place",
        ),
        # its range is data.choices
        Parameter("dataset", "name", "Prepared data to train on (a folder).", None, _BOTH),
    )
}  # fmt: skip


def parameters_of(task: str) -> dict[str, Parameter]:
    """Return the parameters that a task tunes, by name."""
    return {name: one for name, one in PARAMETERS.items() if task in one.tasks}


def space_for(spec: StudySpec, seq_len: int) -> dict[str, Range]:
    """Return the ranges of one length, in the table's order; the request's own ranges win.

    `epochs` is tuned only without a budget in steps; `dataset` only when prepared data to choose among are named. A
    study that searches nothing has the values that its request names, and no more.
    """
    own = {**spec.search.space, **spec.search.space_by_length.get(seq_len, {})}
    if spec.purpose.kind == "search":
        if spec.training.max_steps is None:
            own.setdefault("epochs", Range(choices=spec.training.epoch_choices))
        if spec.data.choices:
            own.setdefault("dataset", Range(choices=spec.data.choices))
        for name, one in parameters_of(spec.task).items():
            if name not in own and (default := one.range_at(spec.task, seq_len)) is not None:
                own[name] = default
    return {name: own[name] for name in PARAMETERS if name in own}


def needed(spec: StudySpec, seq_len: int) -> frozenset[str]:
    """Return the parameters without which a trial of a length was asked for only in part.

    Those of its space, but for `position_range` where the request does not name it: some models have no use for it. A parameter
    that a later version adds to the default space is none of them: trials of earlier versions do not have it.
    """
    named = {*spec.search.space, *spec.search.space_by_length.get(seq_len, {})}
    return frozenset(space_for(spec, seq_len)) - ({"position_range"} - named)


def unknown_parameter(name: str, task: str) -> Message | None:
    """Return what to say of a name that is no parameter of a task; None when it is one."""
    known = parameters_of(task)
    if name in known:
        return None
    if name in PARAMETERS:
        values = {"name": name, "other": PARAMETERS[name].tasks[0], "task": task, "known": list(known)}
        return Message("study.parameter-of-others", values)
    close = difflib.get_close_matches(name, known, n=1)
    code = "parameter-unknown-close" if close else "parameter-unknown"
    return Message.of(f"study.{code}", name=name, close="".join(close), known=", ".join(known))


def crossed(space: Mapping[str, Range], seq_len: int) -> Message | None:
    """Return what is wrong between the parameters of a space: a short sequence must not be masked more than a long one."""
    low, high = space.get("mask_low"), space.get("mask_high")
    if low is None or high is None or low.numbers[-1] <= high.numbers[0]:
        return None
    return Message.of("study.mask-crossed", most=low.numbers[-1], least=high.numbers[0], length=seq_len)
