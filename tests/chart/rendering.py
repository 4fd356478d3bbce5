"""The chart as Helm renders it, and the values that the tests render it with."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "coref-k8s"
RELEASE, NAMESPACE = "coref", "lab"

Object = dict[str, Any]

SYSTEM_POOL: dict[str, Any] = {
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists", "tolerationSeconds": 60}],
    "priorityClassName": "high",
}
#: What people set, by the reason for which they set it.
MATRIX: dict[str, dict[str, Any]] = {
    "default": {},
    "two-controllers": {"controller": {"replicas": 2, "logLevel": "debug"}},
    "cluster-wide": {"controller": {"clusterWide": True}, "monitoring": {"bundled": True}},
    "external-database": {
        "postgres": {"enabled": False, "external": {"urlSecret": "database"}},
        "network": {"caConfigMap": "company-ca"},
    },
    "postgres-tls": {"postgres": {"tlsSecret": "postgres-tls", "existingSecret": "database", "uid": 999}},
    "postgres-tls-verified": {
        "postgres": {"tlsSecret": "postgres-tls", "tlsMode": "verify-full"},
        "network": {"caConfigMap": "company-ca"},
    },
    "many-nodes": {"storage": {"accessModes": ["ReadWriteMany"], "storageClassName": "nfs", "keep": False}},
    "object-storage": {
        "storage": {
            "uri": "s3://lab-coref/studies",
            "secret": "s3",
            "serviceAccount": "trials",
            "scratchSize": "40Gi",
            "nodeCache": "/var/cache/coref-k8s",
        }
    },
    "own-claim": {"storage": {"existingClaim": "research"}, "crds": {"install": False}},
    "bundled-monitoring": {
        "monitoring": {"bundled": True, "prometheus": {"size": ""}, "grafana": {"adminSecret": "grafana"}},
        "networkPolicy": {"enabled": False},
    },
    "shared-cluster": {"rbac": {"aggregate": True}, "controller": {"clusterWide": True}},
    "operator": {
        "monitoring": {
            "podMonitor": {"enabled": "true", "labels": {"release": "kube-prometheus"}},
            "prometheusRule": {"enabled": True},
        }
    },
    "pages": {
        "ui": {
            "enabled": True,
            "grafana": "https://grafana.example",
            "optunaDashboard": "https://optuna.example",
            "ingress": {
                "host": "studies.example",
                "className": "nginx",
                "annotations": {"cert-manager.io/cluster-issuer": "company"},
                "tlsSecret": "studies-tls",
            },
        }
    },
    "dashboard": {"optunaDashboard": {"enabled": True}, "network": {"caConfigMap": "company-ca"}},
    "air-gapped": {
        "hub": {"offline": True, "endpoint": "https://hub.example", "tokenSecret": "hugging-face"},
        "network": {"httpProxy": "http://proxy:3128", "noProxy": ".svc", "caConfigMap": "company-ca"},
        "imagePullSecrets": [{"name": "registry"}],
        "controller": {"image": {"repository": "registry.example/c", "digest": "sha256:" + "a" * 64}},
        "trial": {"image": {"repository": "registry.example/t", "tag": "7"}},
    },
    "every-placement": {
        "nameOverride": "search",
        "commonLabels": {"team": "nlp"},
        "commonAnnotations": {"contact": "nlp@example.com"},
        "controller": {
            "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "system", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
            "podLabels": {"tier": "control"},
            "podAnnotations": {"sidecar.example/inject": "false"},
            "extraEnv": [{"name": "TZ", "value": "Asia/Seoul"}],
            "resources": {"requests": {"cpu": 1, "ephemeral-storage": "1Gi"}},
        },
        "trial": {
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "low",
            "runtimeClassName": "nvidia",
            "gpuMemoryLabel": "",
            "podLabels": {"cost": "42"},
            "podAnnotations": {"a": "b"},
            "extraEnv": [{"name": "TZ", "value": "Asia/Seoul"}],
        },
        "postgres": {
            **SYSTEM_POOL,
            "affinity": {"nodeAffinity": {}},
            "podLabels": {"tier": "data"},
            "podAnnotations": {"backup.velero.io/backup-volumes": "data"},
        },
        "monitoring": {
            "bundled": True,
            "prometheus": {**SYSTEM_POOL, "storageClassName": "fast"},
            "grafana": SYSTEM_POOL,
            "dashboards": {"annotations": {"grafana_folder": "Research"}},
            "podMonitor": {"enabled": "true"},
            "prometheusRule": {"enabled": "true"},
        },
        "optunaDashboard": {"enabled": True, **SYSTEM_POOL},
        "ui": {"enabled": True, **SYSTEM_POOL},
        "calibrate": {"enabled": True, **SYSTEM_POOL},
    },
    "measured": {"calibrate": {"enabled": True, "gpus": ["Tesla-V100"], "request": {"seqLengths": [1024]}}},
    "fenced-in": {
        "networkPolicy": {
            "trialEgress": [{"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 443}]}],
            "controllerEgress": [{"ports": [{"port": 6443}]}],
        },
        "monitoring": {"bundled": True},
        "optunaDashboard": {"enabled": True},
        "ui": {"enabled": True},
        "calibrate": {"enabled": True},
    },
}


@lru_cache(maxsize=1)
def chart() -> helm_python.Chart:
    """The chart, loaded once."""
    return helm_python.Chart.load(CHART)


def files(values: dict[str, Any], **options: Any) -> dict[str, str]:
    """Rendered text by template, without those that rendered nothing."""
    found = chart().render(values, name=RELEASE, namespace=NAMESPACE, **options)
    return {path.partition("/")[2]: text for path, text in found.items() if text.strip()}


def objects(values: dict[str, Any], **options: Any) -> list[Object]:
    """Every rendered object, hooks as well."""
    texts = (text for path, text in files(values, **options).items() if not path.endswith("NOTES.txt"))
    return [found for text in texts for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found]


def one(found: list[Object], kind: str, name: str) -> Object:
    """The object of that kind and name."""
    (match,) = [o for o in found if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return match


def pod_specs(found: list[Object]) -> dict[str, Object]:
    """Every pod, by the kind and name of what makes it."""
    pods = {}
    for item in found:
        spec = item["spec"] if item["kind"] == "Pod" else item.get("spec", {}).get("template", {}).get("spec")
        if spec:
            pods[f"{item['kind']}/{item['metadata']['name']}"] = spec
    return pods
