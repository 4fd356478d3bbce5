"""What pydantic found wrong with a request, as one message: which key, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from coref_k8s.errors import RequestError, UnknownKeyError
from coref_k8s.study.base import PATTERNS, shown
from coref_k8s.study.ranges import Range
from coref_k8s.wording import Message

#: Our texts for pydantic's types of error.
_TEXTS = {
    "greater_than_equal": "at-least",
    "greater_than": "above",
    "less_than_equal": "at-most",
    "int_type": "whole",
    "int_from_float": "whole",
    "int_parsing": "whole",
    "int_parsing_size": "whole",
    "float_type": "number",
    "finite_number": "finite",
    "bool_type": "bool",
    "string_type": "text",
    "invalid_key": "text",
    "string_unicode": "text-unicode",
    "string_too_short": "empty",
    "string_too_long": "too-long",
    "too_short": "too-few",
    "too_long": "too-many",
    "tuple_type": "list",
    "dict_type": "mapping",
    "model_type": "mapping",
    "missing": "missing",
}
#: Types of error that a request of another version would give.
_VERSIONS = ("extra_forbidden", "literal_error", "study.parameter-unknown", "study.parameter-unknown-close")

Names = Mapping[tuple[str, ...], str]


def refused(
    error: ValidationError,
    model: type[BaseModel],
    *,
    by_alias: bool = False,
    where: str = "",
    names: Names | None = None,
) -> RequestError:
    """Return the error that says the first thing that is wrong; `where` and `names` as in `spec_from_mapping`."""
    first = error.errors(include_url=False)[0]
    kind = UnknownKeyError if first["type"] in _VERSIONS else RequestError
    return kind(_explained(first, model, by_alias=by_alias, where=where, names=names or {}))


def _explained(first: Any, model: type[BaseModel], *, by_alias: bool, where: str, names: Names) -> Message:
    path = [str(part) if str(part).isprintable() else ascii(part) for part in first["loc"] if part != "[key]"]
    kind, value, context = first["type"], first.get("input"), first.get("ctx", {})
    prefix = f"{where}: " if where else ""
    if kind == "extra_forbidden":
        known = _keys_at(model, first["loc"][:-1], by_alias=by_alias)
        close = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.6)
        values = {"key": ".".join(path), "known": ", ".join(sorted(known)), "close": "".join(close)}
        return Message.of("study.unknown-key-close" if close else "study.unknown-key", where=prefix, **values)
    values = {"place": _place(path, prefix, names), "where": prefix, "given": shown(value)}
    if "sentence" in context:
        return Message(kind, values | {k: v for k, v in context["values"].items() if k != "place"})
    if kind == "string_pattern_mismatch":
        name = next(name for name, pattern in PATTERNS.items() if pattern == context["pattern"])
        return Message.of(f"study.text-{name}", **values)
    if kind == "literal_error":
        literals = re.findall(r"'([^']+)'", context["expected"])
        close = difflib.get_close_matches(str(value), literals, n=1, cutoff=0.6)
        values |= {"known": ", ".join(map(repr, literals)), "close": "".join(close)}
        return Message.of("study.literal-close" if close else "study.literal", **values)
    if kind in _TEXTS:
        limits = {key: limit for key, limit in context.items() if key != "error"}
        return Message.of(f"study.{_TEXTS[kind]}", **values, **limits)
    return Message.of("study.wrong", **values, problem=first["msg"])


def _place(path: list[str], prefix: str, names: Names) -> str:
    for length in range(len(path), 0, -1):
        if tuple(path[:length]) in names:
            inner = [part for part in path[length:] if not part.isdigit()]
            return ".".join([names[tuple(path[:length])], *inner])
    return f"{prefix}{'.'.join(path)}" if path else prefix.removesuffix(": ")


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...], *, by_alias: bool) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            continue
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        # no field: the name of a parameter in a search space, which leads to its range
        model = model_of(field.annotation) or model if field is not None else Range
    return [(f.alias or n) if by_alias else n for n, f in model.model_fields.items()]


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, one or several of; None when it holds plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := model_of(argument)) is not None:
            return found
    return None
