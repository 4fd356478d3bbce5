"""A request as the resource that a cluster takes."""

from __future__ import annotations

from typing import Any

from coref_k8s import __version__
from coref_k8s.cluster.names import VERSION_ANNOTATION
from coref_k8s.study.reading import API_VERSION, KIND
from coref_k8s.study.spec import StudySpec

Json = dict[str, Any]


def manifest(name: str, spec: StudySpec, namespace: str) -> Json:
    """Return the resource of a request; fields that have their default are left to the cluster's definition."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {VERSION_ANNOTATION: __version__},
        },
        "spec": _changed(
            spec.model_dump(mode="json", by_alias=True), StudySpec().model_dump(mode="json", by_alias=True)
        ),
    }


def _changed(values: Json, defaults: Json) -> Json:
    """Return what differs from the defaults, all the way down; lists count as a whole."""
    result: Json = {}
    for key, value in values.items():
        default = defaults.get(key)
        if value == default:
            continue
        if isinstance(value, dict) and isinstance(default, dict) and default.keys() == value.keys():
            result[key] = _changed(value, default)
        else:
            result[key] = _without_nulls(value)
    return result


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
