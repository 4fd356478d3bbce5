"""A request as the resource that a cluster takes."""

from __future__ import annotations

from typing import Any

from coref_k8s import __version__
from coref_k8s.cluster.names import VERSION_ANNOTATION
from coref_k8s.study.reading import API_VERSION, KIND, changed
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
        "spec": changed(spec),
    }
