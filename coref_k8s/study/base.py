"""What every part of a request is made of: the strict model, its types with their bounds, and how it refuses.

Bounds are those of the custom resource as well, whose schema is made from them: command line, API server and controller
accept the same.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from coref_k8s.errors import RequestError
from coref_k8s.wording import Message

#: Most items of a list, values to choose among, keys of a mapping, characters of a text; far above any use.
MAX_ITEMS, MAX_CHOICES, MAX_KEYS, MAX_LENGTH = 256, 64, 64, 1024

#: Patterns of texts by what `study.text-<name>` says of them. Those of quantities leave out what no pod can use.
PATTERNS = {
    "plain": r"^[^\x00-\x1f\x7f]*$",
    "label": r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$",
    "cores": r"^([1-9][0-9]{0,5}m?|[1-9][0-9]{0,3}\.[0-9]{1,3}|0\.0{0,2}[1-9][0-9]{0,2})$",
    "memory": r"^([1-9][0-9]{8,14}|[1-9][0-9]{5,10}Ki|[1-9][0-9]{2,7}Mi?|[1-9][0-9]{0,3}(\.[0-9]{1,3})?[GT]i?|0\.[1-9][0-9]{0,2}[GT]i?)$",
}


class Request(BaseModel):
    """Base of every part of a request: strict, immutable, finite, unknown keys refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            raise RequestError("study.frozen", kind=type(self).__name__, name=name)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show what was given; the rest has its default."""
        return ((name, value) for name, value in super().__repr_args__() if name in self.model_fields_set)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return without_nulls(data, cls._filled())

    @classmethod
    @cache
    def _filled(cls) -> frozenset[str]:
        """Return the names of the fields for which null is no value."""
        fields = cls.model_fields.items()
        return frozenset(
            key for n, f in fields if type(None) not in get_args(f.annotation) for key in (n, f.alias or n)
        )


def _as_written(value: Any) -> Any:
    # `revision: 7815e10` is a number to YAML and was meant as text
    return getattr(value, "source", value)


def _whole(value: Any) -> Any:
    # as JSON has it, 2.0 is a whole number
    return int(value) if isinstance(value, float) and value.is_integer() else value


def without_nulls(value: Any, keys: Container[str] | None = None) -> Any:
    """Return a mapping without its nulls (under `keys`, where given): to the API server they are absent."""
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if v is not None or (keys is not None and k not in keys)}


def _text(pattern: str, **more: Any) -> tuple[Any, ...]:
    return Field(max_length=MAX_LENGTH, pattern=PATTERNS[pattern], **more), BeforeValidator(_as_written)


def integer(**bounds: int) -> tuple[Any, ...]:
    """Return the annotations of a whole number within bounds."""
    return Field(**bounds), BeforeValidator(_whole)  # type: ignore[call-overload]


T = TypeVar("T")
Text = Annotated[str, *_text("plain")]
Name = Annotated[str, *_text("plain", min_length=1)]
Label = Annotated[str, *_text("label")]
Cores = Annotated[str, *_text("cores")]
Memory = Annotated[str, *_text("memory")]
Whole = Annotated[int, *integer(ge=0, le=1_000_000)]
Few = Annotated[int, *integer(ge=0, le=1000)]
Count = Annotated[int, *integer(ge=1, le=1_000_000)]
#: Any whole number that JSON keeps exactly.
Seed = Annotated[int, *integer(ge=0, le=2**53)]
Amount = Annotated[int, *integer(ge=1, le=2**53)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1_000_000)]
Seconds = Annotated[float, Field(gt=0, le=1_000_000_000)]
Many = Annotated[tuple[T, ...], Field(strict=False, max_length=MAX_ITEMS)]
Choices = Annotated[tuple[T, ...], Field(strict=False, max_length=MAX_CHOICES)]
Keyed = Annotated[dict[str, T], Field(max_length=MAX_KEYS), BeforeValidator(without_nulls)]


def flag(*names: str, **more: Any) -> dict[str, Any]:
    """JSON-schema extra that gives a field its option name(s) on the command line."""
    return {"flag": list(names), **more}


def added(default: Any, extra: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Return a field that requests of the first release did not have.

    Where it has its default it is left out of all that is written, and the API server fills nothing in: programs that do
    not know the key go on reading every request that does not use it.
    """
    return Field(
        default=default,
        exclude_if=lambda value: bool(value == default),
        json_schema_extra={**extra, "added": True},
    )


def refuse(what: Message | str, *loc: int | str, given: Any = None, **values: Any) -> NoReturn:
    """Refuse, from within a validator, what stands at `loc` below the model that is validated.

    `what` is a message, or a name of the topic `study` with its values. Its text may name `place` (the whole path, as the
    user knows it) and `where` (the file, with a colon). Raises pydantic's ValidationError, which
    `coref_k8s.study.reading` puts into one sentence.
    """
    message = Message.of(f"study.{what}", **values) if isinstance(what, str) else what
    place = ".".join(map(str, loc)) or "Request"
    here = {"where": "", "place": place, "given": shown(given), **message.values}
    kind = PydanticCustomError(
        message.code,
        "{sentence}",
        {"sentence": Message(message.code, here).say(), "values": message.values},
    )
    raise ValidationError.from_exception_data(
        "request", [InitErrorDetails(type=kind, loc=tuple(loc), input=given)]
    )


def shown(value: Any) -> Any:
    """Return a value as a sentence names it: short, in YAML's words; lists and mappings by their kind."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str | int | float):
        text = str(getattr(value, "source", repr(value)))
        return text if len(text) <= 60 else f"{text[:57]}…"
    if isinstance(value, list | tuple):
        return Message.of("study.a-list")
    return Message.of("study.a-mapping" if isinstance(value, Mapping) else "study.other")
