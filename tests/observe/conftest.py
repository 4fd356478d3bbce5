"""The cluster's world, for a controller whose metrics are scraped."""

from tests.cluster.conftest import crd_installed
from tests.cluster.test_whole import whole
from tests.kube.fixtures import api, fake_only, kube, kubelet, namespace
from tests.postgres import new_database, postgres_server, postgres_url

__all__ = [
    "api", "crd_installed", "fake_only", "kube", "kubelet", "namespace", "new_database", "postgres_server",
    "postgres_url", "whole",
]  # fmt: skip
