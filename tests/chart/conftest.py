"""A cluster for the examples: the fake API server, or the one that KUBECONFIG names."""

from __future__ import annotations

from tests.kube.fixtures import api, kube, namespace
from tests.postgres import new_database, postgres_server, postgres_url

__all__ = ["api", "kube", "namespace", "new_database", "postgres_server", "postgres_url"]
