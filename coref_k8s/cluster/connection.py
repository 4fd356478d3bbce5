"""Finding the API server: in-cluster service account, or kubeconfig and context."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from coref_k8s.errors import ClusterError

#: Where a pod's namespace is written inside it.
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(context: str | None = None, kubeconfig: str | None = None) -> tuple[Any, str]:
    """(official `ApiClient`, namespace to use when none is given).

    A named context or kubeconfig wins; else the pod's service account; else the default kubeconfig.
    Raises `ClusterError` when none of these is there.
    """
    import yaml
    from kubernetes import client, config

    settings = client.Configuration()
    if context is None and kubeconfig is None:
        try:
            config.load_incluster_config(client_configuration=settings)
            return client.ApiClient(settings), NAMESPACE_FILE.read_text().strip()
        except (config.ConfigException, OSError):
            pass
    # the client reads the variable once, when it is imported
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG") or None
    try:
        config.load_kube_config(
            config_file=kubeconfig, context=context, client_configuration=settings, persist_config=False
        )
        contexts, active = config.list_kube_config_contexts(config_file=kubeconfig)
    # the client has no error of its own for a file that is no kubeconfig, or no YAML
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError, AttributeError) as error:
        where = kubeconfig or "~/.kube/config"
        why = " ".join(str(error).split())
        if context:
            raise ClusterError(
                "cluster.no-connection-context", context=context, kubeconfig=where, why=why
            ) from error
        raise ClusterError("cluster.no-connection", kubeconfig=where, why=why) from error
    chosen = next((c for c in contexts if c["name"] == context), active)
    return client.ApiClient(settings), chosen["context"].get("namespace") or "default"
