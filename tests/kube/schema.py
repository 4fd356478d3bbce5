"""Structural schemas of custom resources: pruning, defaults, validation and CEL rules.

Mirrors apiextensions-apiserver for the keywords a CRD generated from pydantic can contain. CEL goes through
the `cel` package: it does not know Kubernetes' own functions, optional types or compile-time cost, so a rule
that passes here must still be tried on a real server.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import cel

from tests.kube.errors import bad_request

Json = dict[str, Any]
Cause = tuple[str, str]
_META = {"apiVersion", "kind", "metadata"}
_TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip
_INT_RANGE = {"int32": 2**31, "int64": 2**63}


def unknown_fields(schema: Json, value: Any, path: str = "", root: bool = True) -> Iterator[str]:
    """Paths that the schema does not know, as strict field validation names them."""
    if isinstance(value, dict) and "properties" in schema:
        for key, child in value.items():
            where = f"{path}.{key}" if path else key
            if root and key in _META:
                continue
            if key in schema["properties"]:
                yield from unknown_fields(schema["properties"][key], child, where, False)
            elif not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield where
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for key, child in value.items():
            yield from unknown_fields(schema["additionalProperties"], child, f"{path}.{key}", False)
    elif isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields") and not root:
        if schema.get("additionalProperties") is not True:
            yield from (f"{path}.{key}" for key in value)
    elif isinstance(value, list) and "items" in schema:
        for index, child in enumerate(value):
            yield from unknown_fields(schema["items"], child, f"{path}[{index}]", False)


def prune(schema: Json, value: Any, root: bool = True) -> Any:
    """`value` without the fields that the schema does not know."""
    if isinstance(value, dict):
        if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string"):
            return value
        known, extra = schema.get("properties", {}), schema.get("additionalProperties")
        result = {}
        for key, child in value.items():
            if root and key in _META:
                result[key] = child
            elif key in known:
                result[key] = prune(known[key], child, False)
            elif isinstance(extra, dict):
                result[key] = prune(extra, child, False)
            elif extra is True:
                result[key] = child
        return result
    if isinstance(value, list) and "items" in schema:
        return [prune(schema["items"], child, False) for child in value]
    return value


def default(schema: Json, value: Any) -> Any:
    """`value` with defaults filled in, objects that are present only."""
    if isinstance(value, dict):
        result = dict(value)
        for key, child in schema.get("properties", {}).items():
            if (
                result.get(key) is None
                and "default" in child
                and not (key in result and child.get("nullable"))
            ):
                result[key] = copy.deepcopy(child["default"])
            if key in result:
                result[key] = default(child, result[key])
        extra = schema.get("additionalProperties")
        known = schema.get("properties", {})
        if isinstance(extra, dict):
            result = {k: v if k in known else default(extra, v) for k, v in result.items()}
        # PruneNonNullableNullsWithoutDefaults: a null that is no value is not there
        below = {key: known.get(key, extra) for key in result}
        return {
            k: v
            for k, v in result.items()
            if v is not None or not isinstance(below[k], dict) or below[k].get("nullable")
        }
    if isinstance(value, list) and "items" in schema:
        return [default(schema["items"], child) for child in value]
    return value


def _name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return {dict: "object", list: "array", str: "string"}[type(value)]


def _is_type(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _scalar(schema: Json, value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, str):
        length = len(value)
        if length > schema.get("maxLength", length):
            yield path, f"Too long: may not be more than {schema['maxLength']} bytes"
        if length < schema.get("minLength", 0):
            what = f"Invalid value: {_show(value)}: {path} in body should be at least"
            yield path, f"{what} {schema['minLength']} chars long"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield path, f"Invalid value: {_show(value)}: {path} in body should match '{schema['pattern']}'"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        exclusive_low, exclusive_high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        said = f"Invalid value: {_show(value)}: {path} in body should be"
        if low is not None and (value <= low if exclusive_low is True else value < low):
            yield path, f"{said} greater than {'' if exclusive_low is True else 'or equal to '}{low}"
        if high is not None and (value >= high if exclusive_high is True else value > high):
            yield path, f"{said} less than {'' if exclusive_high is True else 'or equal to '}{high}"
        bound = _INT_RANGE.get(schema.get("format", ""))
        if bound and not -bound <= value < bound:
            yield path, f"{said} of type {schema['format']}"
        if (step := schema.get("multipleOf")) and value % step:
            yield path, f"{said} a multiple of {step}"


def validate(schema: Json, value: Any, path: str = "", root: bool = True) -> Iterator[Cause]:
    """(field, message) pairs; empty when the value fits."""
    if value is None:
        if not schema.get("nullable"):
            yield path, f'Invalid value: "null": {path} in body must be of type {schema.get("type")}: "null"'
        return
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield path, f'Invalid value: "{_name(value)}": {path} in body must be of type integer or string'
    elif (kind := schema.get("type")) and not _is_type(value, kind):
        said = f'Invalid value: "{_name(value)}": {path} in body must be of type {kind}'
        yield path, f'{said}: "{_name(value)}"'
        return
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(_show(v) for v in schema["enum"])
        yield path, f"Unsupported value: {_show(value)}: supported values: {allowed}"
    yield from _scalar(schema, value, path)
    if isinstance(value, dict):
        for key in schema.get("required", ()):
            if key not in value and not (root and key in _META):
                yield (f"{path}.{key}" if path else key), "Required value"
        if len(value) > schema.get("maxProperties", len(value)):
            yield path, f"Too many: {len(value)}: must have at most {schema['maxProperties']} items"
        for key, child in value.items():
            where = f"{path}.{key}" if path else key
            below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if isinstance(below, dict) and not (root and key in _META):
                yield from validate(below, child, where, False)
    if isinstance(value, list):
        yield from _array(schema, value, path)
    yield from _combined(schema, value, path)


def _array(schema: Json, value: list[Any], path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxItems", len(value)):
        yield path, f"Too many: {len(value)}: must have at most {schema['maxItems']} items"
    if len(value) < schema.get("minItems", 0):
        said = f"Invalid value: {len(value)}: {path} in body should have at least"
        yield path, f"{said} {schema['minItems']} items"
    seen = []
    for index, child in enumerate(value):
        if schema.get("x-kubernetes-list-type") == "map":
            identity = {k: child.get(k) for k in schema["x-kubernetes-list-map-keys"]}
        else:
            identity = child
        if schema.get("x-kubernetes-list-type") in ("set", "map"):
            if identity in seen:
                yield f"{path}[{index}]", f"Duplicate value: {_show(identity)}"
            seen.append(identity)
        if "items" in schema:
            yield from validate(schema["items"], child, f"{path}[{index}]", False)


def _combined(schema: Json, value: Any, path: str) -> Iterator[Cause]:
    for word, enough in (("anyOf", lambda n: n >= 1), ("oneOf", lambda n: n == 1)):
        if word in schema:
            fitting = sum(1 for s in schema[word] if not list(validate(s, value, path, False)))
            if not enough(fitting):
                kind = "at least one schema" if word == "anyOf" else "one and only one schema"
                yield path, f'Invalid value: {_show(value)}: "{path}" must validate {kind} ({word})'
    for below in schema.get("allOf", ()):
        yield from validate(below, value, path, False)


def typed(schema: Json, value: Any) -> Any:
    """`value` with its numbers as CEL has them: a double where the schema says number, 1 as well."""
    if isinstance(value, dict):
        known, extra = schema.get("properties", {}), schema.get("additionalProperties")
        below = {key: known.get(key, extra) for key in value}
        return {k: typed(below[k], v) if isinstance(below[k], dict) else v for k, v in value.items()}
    if isinstance(value, list):
        return [typed(schema.get("items", {}), one) for one in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"number": float, "integer": int}.get(schema.get("type", ""), lambda same: same)(value)
    return value


def rules(schema: Json, value: Any, old: Any, path: str = "") -> Iterator[Cause]:
    """CEL: rules that name `oldSelf` run on updates only, `messageExpression` wins over `message`."""
    for rule in schema.get("x-kubernetes-validations", ()):
        text = rule["rule"]
        transition = re.search(r"\boldSelf\b", text) is not None
        if transition and old is None:
            continue
        context = {"self": value} | ({"oldSelf": old} if transition else {})
        try:
            fits = cel.evaluate(text, context)
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            yield path, f"Invalid value: {_name(value)!r}: rule {text!r} failed: {error}"
            continue
        if not fits:
            message = rule.get("message") or f"failed rule: {text}"
            if "messageExpression" in rule:
                message = str(cel.evaluate(rule["messageExpression"], context))
            where = path + rule.get("fieldPath", "")
            shown = "" if isinstance(value, dict | list) else f"{_show(value)}: "
            yield where, f"Invalid value: {shown}{message}"
    if isinstance(value, dict):
        for key, child in value.items():
            known = schema.get("properties", {}).get(key)
            below = known or schema.get("additionalProperties")
            if isinstance(below, dict):
                before = old.get(key) if isinstance(old, dict) else None
                where = f"{path}[{key}]" if known is None else f"{path}.{key}" if path else key
                yield from rules(below, child, before, where)
    elif isinstance(value, list) and "items" in schema:
        keys = schema.get("x-kubernetes-list-map-keys")
        for index, child in enumerate(value):
            before = None
            if keys and isinstance(old, list):
                before = next((o for o in old if all(o.get(k) == child.get(k) for k in keys)), None)
            yield from rules(schema["items"], child, before, f"{path}[{index}]")


#: Errors after which the server does not try the rules, and what it says instead.
_BLOCKING = re.compile(r"^(Unsupported value|Required value|Too long|Too many|.*must be of type)")
_UNCHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def has_rules(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "x-kubernetes-validations" in schema or any(map(has_rules, schema.values()))
    return isinstance(schema, list) and any(map(has_rules, schema))


def admit(schema: Json, obj: Json, old: Json | None) -> list[Cause]:
    """Every reason to refuse `obj`, schema first, then the rules; what was wrong before stays as it is."""
    causes = _causes(schema, obj, old)
    if old is None or not causes:
        return causes
    standing = _causes(schema, old, None)
    return [c for c in causes if c not in standing or _at(obj, c[0]) != _at(old, c[0])]


def _at(value: Any, path: str) -> Any:
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
    return value


def _causes(schema: Json, obj: Json, old: Json | None) -> list[Cause]:
    causes = list(validate(schema, obj))
    if not has_rules(schema):
        return causes
    if any(_BLOCKING.match(message) for _, message in causes):
        return [*causes, ("<nil>", _UNCHECKED)]
    return causes + list(rules(schema, typed(schema, obj), typed(schema, old)))


def mistyped(schema: Json, obj: Json) -> str:
    """What server-side apply says of an object whose values have other types than its schema; empty when they fit."""
    wrong = [(path, text) for path, text in validate(schema, obj) if "must be of type" in text]
    return "".join(f"\n  .{path}: expected another type" for path, _ in wrong)


def strict(schema: Json, obj: Json) -> None:
    """Refuse unknown fields, as fieldValidation=Strict does."""
    unknown = list(unknown_fields(schema, obj))
    if unknown:
        said = ", ".join(f'unknown field "{field}"' for field in unknown)
        kind, version = obj["kind"], obj["apiVersion"].rpartition("/")[2]
        why = f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: {said}'
        raise bad_request(why)
