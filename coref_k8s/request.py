"""From what a user wrote (flags, YAML) to a `StudySpec`, or one clear sentence.

Pydantic finds what is wrong; this module says it in words: which key, what to write instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from coref_k8s.errors import RequestError
from coref_k8s.study import StudySpec, check_name

API_VERSION = "corefk8s.dev/v1alpha1"
KIND = "CorefStudy"


def build_spec(**fields: Any) -> StudySpec:
    """Return the spec of Python-named fields; raise RequestError with one sentence."""
    return _validate(fields, by_alias=False)


def spec_from_mapping(data: Mapping[str, Any], *, where: str = "request") -> StudySpec:
    """Return the spec of a camelCase mapping (YAML, custom resource); raise RequestError."""
    return _validate(data, by_alias=True, where=where)


def load_study_file(path: Path) -> tuple[str | None, dict[str, Any]]:
    """Read a study file: a CorefStudy manifest, or its bare spec with an optional `name`.

    Returns the name (None when the file has none) and the camelCase spec, not yet validated.
    Raises RequestError when the file is unreadable, is not YAML or is another kind of object.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise RequestError(f"{path}: is not valid YAML{line}: {getattr(error, 'problem', error)}") from error
    if not isinstance(data, dict):
        raise RequestError(f"{path}: holds no study; write keys such as seqLengths: [1024, 2048]")
    if "kind" in data or "apiVersion" in data:
        if data.get("kind") != KIND or data.get("apiVersion") != API_VERSION:
            raise RequestError(
                f"{path}: is {data.get('apiVersion')} {data.get('kind')}, not {API_VERSION} {KIND}"
            )
        spec = data.get("spec") or {}
        name = (data.get("metadata") or {}).get("name")
    else:
        name = data.pop("name", None)
        spec = data
    if not isinstance(spec, dict):
        raise RequestError(f"{path}: spec must be a mapping of keys to values")
    if name is not None:
        validated_name(name)
    return name, spec


def validated_name(name: Any) -> str:
    """Return a usable study name; raise RequestError otherwise."""
    try:
        return check_name(str(name))
    except ValueError as error:
        raise RequestError(str(error)) from error


def _validate(data: Mapping[str, Any], *, by_alias: bool, where: str = "request") -> StudySpec:
    try:
        return StudySpec.model_validate(dict(data), by_alias=by_alias, by_name=not by_alias)
    except ValidationError as error:
        raise RequestError(_sentence(error, by_alias=by_alias, where=where)) from error


def _sentence(error: ValidationError, *, by_alias: bool, where: str) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    if first["type"] == "extra_forbidden":
        known = _keys_at(first["loc"][:-1], by_alias=by_alias)
        close = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
        return f"{where}: unknown key {name!r}; {hint}"
    message = first["msg"].removeprefix("Value error, ")
    if not path:
        return f"{where}: {message}"
    value = first.get("input")
    shown = f" (got {value!r})" if isinstance(value, str | int | float | bool) else ""
    return f"{where}: {name}: {message[0].lower() + message[1:]}{shown}"


def _keys_at(loc: tuple[int | str, ...], *, by_alias: bool) -> list[str]:
    model: type[BaseModel] | None = StudySpec
    for part in loc:
        if isinstance(part, int) or model is None:
            continue
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is not None:
            model = _model_of(field.annotation) or model
        else:
            model = _range_model() if part else model
    if model is None:
        return []
    return [(f.alias or n) if by_alias else n for n, f in model.model_fields.items()]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _model_of(argument)) is not None:
            return found
    return None


def _range_model() -> type[BaseModel]:
    from coref_k8s.study import Range

    return Range
