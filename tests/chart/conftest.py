"""A cluster for the examples: the fake API server, or the one that KUBECONFIG names."""

from __future__ import annotations

from tests.kube.fixtures import api, kube, namespace

__all__ = ["api", "kube", "namespace"]
