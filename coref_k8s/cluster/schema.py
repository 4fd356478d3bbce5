"""From pydantic's JSON schema to what Kubernetes calls a structural schema.

Structural means: no `$ref`, a `type` everywhere, no `anyOf` that decides types, `nullable` instead of a null
type, OpenAPI 3.0's boolean `exclusiveMinimum`. Unknown keys are refused by the API server's strict field
validation, so `additionalProperties: false` is left out.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from coref_k8s.study.base import MAX_ITEMS, MAX_KEYS, MAX_LENGTH

_COPIED = ("description", "enum", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength",
           "minProperties", "maxProperties", "pattern", "default")  # fmt: skip


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural OpenAPI schema of a model, keys in camelCase."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}))


def _convert(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        # what stands beside the reference (description, default) belongs to the field and wins
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    kinds = node.get("anyOf")
    if kinds is not None:
        some = [kind for kind in kinds if kind.get("type") != "null"]
        if len(some) != 1:
            # a choice of text or number: no structural schema can say that, the controller checks it
            return {**_only(node, "description"), "x-kubernetes-preserve-unknown-fields": True}
        merged = {**some[0], **{key: value for key, value in node.items() if key != "anyOf"}}
        converted = _convert(merged, definitions)
        if node.get("default") is not None:
            # without a default, null and absent are the same, and the API server drops the null
            converted["nullable"] = True
        return converted
    return _typed(node, definitions)


def _typed(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"type": node["type"], **_only(node, *_COPIED)}
    if result.get("default") is None or node.get("added"):
        result.pop("default", None)
    if "exclusiveMinimum" in node:
        result |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if node["type"] == "array":
        result["items"] = _convert(node["items"], definitions)
        result.setdefault("maxItems", MAX_ITEMS)
    elif node["type"] == "object":
        _object(result, node, definitions)
    elif node["type"] == "string" and "enum" not in node and "format" not in node:
        result.setdefault("maxLength", MAX_LENGTH)
    if node.get("format") == "date-time":
        result["format"] = "date-time"
    if result.get("default") in ([], {}) and not {"minItems", "minProperties"}.isdisjoint(result):
        del result["default"]  # filled in by who knows more of the request than the field
    if "default" in result:
        result["default"] = _without_nulls(result["default"])
    return result


def _object(result: dict[str, Any], node: dict[str, Any], definitions: dict[str, Any]) -> None:
    properties = node.get("properties")
    if properties is not None:
        result["properties"] = {name: _convert(child, definitions) for name, child in properties.items()}
        if node.get("required"):
            result["required"] = list(node["required"])
        if "default" in result:
            # the fields' own defaults fill it in
            result["default"] = {}
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _convert(node["additionalProperties"], definitions)
        result.setdefault("maxProperties", MAX_KEYS)
    else:
        result["x-kubernetes-preserve-unknown-fields"] = True


def _only(node: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: node[key] for key in keys if key in node}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_nulls(item) for item in value]
    return value
