"""From what a user wrote (flags, YAML) to a `StudySpec`, or one clear sentence.

Pydantic finds what is wrong; this module says it in words: which key, what to write instead.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from coref_k8s.errors import RequestError, UnknownKeyError
from coref_k8s.study.names import check_name
from coref_k8s.study.spec import Range, StudySpec

API_VERSION = "corefk8s.dev/v1alpha1"
KIND = "CorefStudy"


def build_spec(**fields: Any) -> StudySpec:
    """Return the spec of Python-named fields; raise RequestError with one sentence."""
    return _validate(fields, by_alias=False)


def spec_from_mapping(
    data: Mapping[str, Any], *, where: str = "request", names: Mapping[tuple[str, ...], str] | None = None
) -> StudySpec:
    """Return the spec of a camelCase mapping (YAML, custom resource); raise RequestError.

    `where` says where the mapping came from (nothing for the command line); `names` what single paths in it are called there instead, such
    as `--trials` for `("trials",)`.
    """
    return _validate(data, by_alias=True, where=where, names=names)


def read_known(data: Mapping[str, Any]) -> tuple[StudySpec, dict[str, Any]]:
    """Return as much of a stored request as this version knows, and what it does not know; raises nothing.

    For requests that are already in a database or a cluster and may be of a newer or an older version: keys and words
    that are not known, and values that are not allowed (any more), are left out of the spec, which has the default there.
    They come back as the same nested mapping in camelCase (an item of a list under its number, as text).

    Who shows a study reads it so, and names what is not known with `paths_of`; who writes it back writes
    `with_unknown(spec, unknown)`, so that nothing is lost; who runs it leaves it alone while anything is unknown. What a
    person has just written is read by `spec_from_mapping`, which refuses instead.
    """
    rest, unknown = copy.deepcopy(dict(data)), dict[str, Any]()
    while True:
        try:
            return StudySpec.model_validate(rest, by_alias=True, by_name=False), unknown
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            # what is missing cannot be left out: what it is missing in goes
            _set_aside(rest, unknown, first["loc"][: -1 if first["type"] == "missing" else None])


def paths_of(unknown: Mapping[str, Any]) -> list[str]:
    """Return the dotted paths of what `read_known` did not know."""
    return [
        f"{key}.{path}" if path else key
        for key, value in unknown.items()
        for path in (paths_of(value) if isinstance(value, _Aside) else [""])
    ]


def with_unknown(spec: StudySpec, unknown: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as it is stored (JSON, camelCase), with what `read_known` did not know back in its place."""
    found: dict[str, Any] = _restored(spec.model_dump(mode="json", by_alias=True), unknown)
    return found


class _Aside(dict[str, Any]):
    """A level on the way to what is not known, as opposed to a mapping that is not known."""


def _set_aside(rest: dict[str, Any], unknown: dict[str, Any], loc: tuple[int | str, ...]) -> None:
    """Move what stands at a place to `unknown`; all of the request when there is nothing at it."""
    node: Any = rest
    at: list[int | str] = []
    for part in loc:
        if isinstance(node, dict) and str(part) in node:
            part = str(part)
        elif not isinstance(node, list):
            break
        node = node[part]
        at.append(part)
    while at and isinstance(at[-1], int):
        at.pop()  # lists keep their length: a bad item takes its list along
    for way in [at] if at else [[key] for key in rest]:
        _move(rest, unknown, way)


def _move(rest: Any, unknown: dict[str, Any], at: Sequence[int | str]) -> None:
    for part in at[:-1]:
        rest, unknown = rest[part], unknown.setdefault(str(part), _Aside())
    unknown[str(at[-1])] = rest.pop(at[-1])


def _restored(known: Any, unknown: Mapping[str, Any]) -> Any:
    if isinstance(known, list):
        return [
            _restored(one, unknown[str(place)]) if str(place) in unknown else one
            for place, one in enumerate(known)
        ]
    inner = known if isinstance(known, dict) else {}
    return inner | {
        key: _restored(inner.get(key), value) if isinstance(value, _Aside) else value
        for key, value in unknown.items()
    }


def amended(
    spec: StudySpec, changes: Mapping[str, Any], *, names: Mapping[tuple[str, ...], str] | None = None
) -> StudySpec:
    """Return the spec with some fields changed: `changes` is camelCase and holds only those; raise RequestError."""
    return spec_from_mapping(
        _merged(spec.model_dump(mode="json", by_alias=True), changes), where="", names=names
    )


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return `old` with the values of `new`, mapping within mapping."""
    return {
        **old,
        **{
            key: _merged(old[key], value) if isinstance(value, Mapping) else value
            for key, value in new.items()
        },
    }


def load_study_file(path: Path) -> tuple[str | None, dict[str, Any]]:
    """Read a study file: a CorefStudy manifest, or its bare spec with an optional `name`.

    Returns the name (None when the file has none) and the camelCase spec, not yet validated.
    Raises RequestError when the file is unreadable, is not YAML or is another kind of object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    data = parse_yaml(text, where=str(path))
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


class _Loader(yaml.SafeLoader):
    """YAML as people write it: `1e-4` is a number (YAML 1.1 wants `1.0e-4`), a key that stands twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key_node.value!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str, *, where: str) -> Any:
    """Return the value of a YAML text; raise RequestError that names `where` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise RequestError(f"{where}: is not valid YAML{line}: {problem}") from error


def validated_name(name: Any) -> str:
    """Return a usable study name; raise RequestError otherwise."""
    try:
        return check_name(str(name))
    except ValueError as error:
        raise RequestError(str(error)) from error


def _validate(
    data: Mapping[str, Any],
    *,
    by_alias: bool,
    where: str = "request",
    names: Mapping[tuple[str, ...], str] | None = None,
) -> StudySpec:
    try:
        return StudySpec.model_validate(dict(data), by_alias=by_alias, by_name=not by_alias)
    except ValidationError as error:
        unknown = error.errors(include_url=False)[0]["type"] == "extra_forbidden"
        words = _sentence(error, by_alias=by_alias, where=where, names=names or {})
        raise (UnknownKeyError if unknown else RequestError)(words) from error


#: Pydantic's words for what is wrong, in ours; `{}` are values of the error's context.
_WORDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "too_short": "must name at least {min_length}",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "literal_error": "must be {expected}",
    "missing": "is required",
}


def _sentence(
    error: ValidationError, *, by_alias: bool, where: str, names: Mapping[tuple[str, ...], str]
) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    prefix = f"{where}: " if where else ""
    name = f"{prefix}{'.'.join(path)}"
    for length in range(len(path), 0, -1):
        if tuple(path[:length]) in names:
            inner = [part for part in path[length:] if not part.isdigit()]
            name = ".".join([names[tuple(path[:length])], *inner])
            break
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        known = _keys_at(first["loc"][:-1], by_alias=by_alias)
        close = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
        return f"{prefix}unknown key {'.'.join(path)!r}; {hint}"
    if first["type"] in _WORDS:
        shown = f", not {value!r}" if value is None or isinstance(value, str | int | float) else ""
        message = _WORDS[first["type"]].format(**first.get("ctx", {})) + shown
        if first["type"] == "literal_error" and isinstance(value, str):
            known = re.findall(r"'([^']+)'", first["ctx"]["expected"])
            close = difflib.get_close_matches(value, known, n=1, cutoff=0.6)
            message += f"; did you mean {close[0]!r}?" if close else ""
        return f"{name} {message}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if path else f"{prefix}{message}"


def _keys_at(loc: tuple[int | str, ...], *, by_alias: bool) -> list[str]:
    model: type[BaseModel] | None = StudySpec
    for part in loc:
        if isinstance(part, int) or model is None:
            continue
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        # no field: the name of a parameter in a search space, which leads to its range
        model = _model_of(field.annotation) or model if field is not None else Range
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
