"""From what a user wrote (flags, YAML) to a `StudySpec`, or one clear sentence."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coref_k8s.errors import RequestError, reason
from coref_k8s.study import yaml12
from coref_k8s.study.base import Request
from coref_k8s.study.names import check_name
from coref_k8s.study.refusals import refused
from coref_k8s.study.spec import StudySpec
from coref_k8s.study.tasks import TASKS

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
    rest, unknown = dict(data), dict[str, Any]()
    while True:
        try:
            return StudySpec.model_validate(rest, by_alias=True, by_name=False), unknown
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        rest = rest if unknown else copy.deepcopy(rest)
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
        elif not (isinstance(node, list) and isinstance(part, int)):
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
    value, parts = rest.pop(at[-1]), unknown.get(str(at[-1]), {})
    # what was taken out of it before goes back into it
    unknown[str(at[-1])] = _restored(value, parts) if isinstance(parts, _Aside) else value


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


def changed(spec: StudySpec) -> dict[str, Any]:
    """Return what a request says beyond the defaults of its task (JSON, camelCase); reading it gives the same request."""
    task = {} if spec.task == TASKS[0] else {"task": spec.task}
    return task | _differing(
        spec, StudySpec(task=spec.task), spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    )


def _differing(part: Request, default: Request, dumped: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in type(part).model_fields.items():
        key, value, usual = field.alias or name, getattr(part, name), getattr(default, name)
        if value != usual:
            inner = isinstance(value, Request) and isinstance(usual, Request)
            found[key] = _differing(value, usual, dumped[key]) if inner else dumped.get(key)
    return found


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
        data = parse_yaml(path.read_text(encoding="utf-8-sig"), where=str(path))
    except OSError as error:
        raise RequestError("study.file-unreadable", path=str(path), error=reason(error)) from error
    except UnicodeDecodeError as error:
        raise RequestError("study.file-not-utf8", path=str(path)) from error
    if not isinstance(data, dict):
        raise RequestError("study.file-no-study", path=str(path))
    if "kind" in data or "apiVersion" in data:
        found = f"{data.get('apiVersion', '–')} {data.get('kind', '–')}"
        if found != f"{API_VERSION} {KIND}":
            raise RequestError(
                "study.file-other-kind", path=str(path), found=found, wanted=f"{API_VERSION} {KIND}"
            )
        name, spec = _part(data, "metadata", path).get("name"), _part(data, "spec", path)
    else:
        name, spec = data.pop("name", None), data
    return None if name is None else validated_name(name), spec


def _part(data: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = data.get(key) or {}
    if not isinstance(found, dict):
        raise RequestError("study.file-part-no-mapping", path=str(path), key=key)
    return found


def parse_yaml(text: str, *, where: str) -> Any:
    """Return the value of a YAML text; raise RequestError that names `where` and the line."""
    return yaml12.read(text, f"{where}: ")


def validated_name(name: Any) -> str:
    """Return a usable study name; raise RequestError otherwise."""
    name = getattr(name, "source", name)  # `name: 0042` is meant as it stands
    if not isinstance(name, str):
        raise RequestError("study.name-no-text", given=str(name))
    return check_name(name)


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
        raise refused(error, StudySpec, by_alias=by_alias, where=where, names=names) from error
