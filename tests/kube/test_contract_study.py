"""Our own CorefStudy definition: the fake refuses and fills in what a real API server does. Runs on both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coref_k8s.cluster import errors
from coref_k8s.cluster.crd import crd
from coref_k8s.cluster.resources import CRDS, STUDIES
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for

Json = dict[str, Any]
pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def studies(kube: KubeCluster) -> Iterator[None]:
    """The definition, installed unless the cluster has it."""
    definition = crd()
    name = definition["metadata"]["name"]
    try:
        kube.admin.create(CRDS, definition)
    except errors.AlreadyExists:
        yield
        return

    def served() -> bool:
        try:
            kube.admin.list(STUDIES, "default")
        except errors.NotFound:
            return False
        return True

    wait_for(served, "the definition to be served")
    yield
    kube.admin.delete(CRDS, name)


def study(**spec: Any) -> Json:
    return {
        "apiVersion": STUDIES.api_version,
        "kind": STUDIES.kind,
        "metadata": {"name": "korean"},
        "spec": {"seqLengths": [1024, 2048], **spec},
    }


def test_defaults_come_from_the_server(api: AdminApi, studies: None) -> None:
    spec = api.create(STUDIES, study())["spec"]
    assert spec["seqLengths"] == [1024, 2048]
    assert spec["model"] == "kakaobank/kf-deberta-base"
    assert spec["trials"] == 20
    assert api.get(STUDIES, "korean")["metadata"]["generation"] == 1


BAD = [
    (
        {"trials": 0},
        "spec.trials: Invalid value: 0: spec.trials in body should be greater than or equal to 1",
    ),
    ({"trials": "many"}, 'spec.trials: Invalid value: "string": spec.trials in body must be of type integer'),
    ({"trials": "many"}, "<nil>: Invalid value: null: some validation rules were not checked"),
    ({"trails": 3}, 'CorefStudy: strict decoding error: unknown field "spec.trails"'),
    ({"seqLengths": [1000]}, "spec: Invalid value: each of seqLengths must be a positive multiple of 64"),
    ({"seqLengths": [960]}, "spec: Invalid value: seqLengths may hold 512, 768, 1024"),
    (
        {"search": {"space": {"learning_rate": {"low": 0.1, "high": 0.01}}}},
        "spec.search.space.learning_rate: Invalid value: the range is empty",
    ),
    (
        {"objective": {"weights": {"coref_f1": 0.0}}},
        "spec.objective.weights: Invalid value: weights must not",
    ),
    (
        {"pod": {"tolerations": [{"key": "spot", "operator": "Exists", "value": "true"}]}},
        "spec.pod.tolerations[0]: Invalid value: a toleration with the operator Exists has no value",
    ),
    (
        {"pod": {"tolerations": [{"value": "true"}]}},
        "spec.pod.tolerations[0]: Invalid value: a toleration with a value needs the key",
    ),
    ({"limits": {"onEnd": "explode"}}, 'Unsupported value: "explode": supported values: "stop", "drain"'),
]


@pytest.mark.parametrize(("spec", "said"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_a_bad_study_is_refused_by_the_server(api: AdminApi, studies: None, spec: Json, said: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        api.create(STUDIES, study(**spec))
    assert said in str(caught.value)


def test_what_may_change_after_the_start(api: AdminApi, studies: None) -> None:
    api.create(STUDIES, study())
    for change in ({"trials": 30}, {"parallelism": 3}):
        api.patch(STUDIES, "korean", {"spec": change})
    started = {"status": {"phase": "Running"}}
    api.patch(STUDIES, "korean", started, subresource="status")
    with pytest.raises(errors.Invalid, match="model"):
        api.patch(STUDIES, "korean", {"spec": {"model": "other/model"}})
    assert api.patch(STUDIES, "korean", {"spec": {"trials": 40}})["spec"]["trials"] == 40
