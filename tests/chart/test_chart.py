"""The chart: lint, schema of the values, strict schemas of what it renders, a golden file, pod security.

After a wanted change: `COREF_UPDATE_GOLDEN=1 pytest tests/chart/test_chart.py`, and read the difference.
"""

from __future__ import annotations

import base64
import copy
import os
import re
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from coref_k8s.cli.lazy import Verb
from coref_k8s.cluster import names
from coref_k8s.cluster.calibration import calibration_job
from coref_k8s.cluster.crd import crd
from coref_k8s.cluster.jobs import job_manifest
from coref_k8s.cluster.rbac import rules
from coref_k8s.cluster.settings import ClusterSettings, ObjectStoreSettings
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec
from tests.chart.rendering import (
    CHART,
    MATRIX,
    NAMESPACE,
    RELEASE,
    Object,
    chart,
    files,
    objects,
    one,
    pod_specs,
)
from tests.cluster.orders import make_order

GOLDEN = Path(__file__).parent / "golden" / "default.yaml"
#: Kinds that no Kubernetes schema describes, and what holds them instead.
NOT_BUILT_IN = {
    "PodMonitor": "the Prometheus operator's; checked below, field by field",
    "PrometheusRule": "the Prometheus operator's; promtool checks the rules",
}


def settings_of(found: list[Object], name: str = RELEASE) -> ClusterSettings:
    """What the controller of this release reads."""
    text = one(found, "ConfigMap", f"{name}-controller")["data"]["cluster.yaml"]
    return ClusterSettings.parse(yaml.safe_load(text))


@pytest.mark.parametrize("case", MATRIX)
def test_lints_strictly(case: str) -> None:
    report = helm_python.lint(CHART, MATRIX[case], strict=True, namespace=NAMESPACE)
    assert report["errors"] == []
    # an icon is wanted by catalogues only
    assert [m for m in report["messages"] if m["error"] != "icon is recommended"] == []


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("case", MATRIX)
def test_every_object_passes_the_strict_schema(case: str, version: str) -> None:
    found = objects(MATRIX[case])
    assert len(found) > 10
    for item in found:
        if item["kind"] not in NOT_BUILT_IN:
            kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"controler": {}}, "controler"),
        ({"controller": {"image": {"name": "x"}}}, "name"),
        ({"controller": {"replicas": "two"}}, "replicas"),
        ({"controller": {"replicas": -1}}, "replicas"),
        ({"controller": {"resources": {"request": {}}}}, "request"),
        ({"controller": {"logLevel": "loud"}}, "logLevel"),
        ({"storage": {"accessModes": ["ReadOnlyMany"]}}, "accessModes"),
        ({"storage": {"accessModes": []}}, "accessModes"),
        ({"storage": {"uri": "bucket/prefix"}}, "uri"),
        ({"storage": {"nodeCache": "cache"}}, "nodeCache"),
        ({"trial": {"extraEnv": [{"name": "A", "valueFrom": {}}]}}, "extraEnv"),
        ({"monitoring": {"bundled": "yes"}}, "bundled"),
        ({"commonLabels": {"a": 1}}, "commonLabels"),
        ({"commonLabels": {"app.kubernetes.io/instance": "x"}}, "commonLabels"),
        ({"controller": {"podLabels": {"app.kubernetes.io/component": "x"}}}, "podLabels"),
        ({"controller": {"tolerations": [{"keys": "gpu"}]}}, "keys"),
        # the controller would refuse its settings and never start
        ({"trial": {"tolerations": [{"key": "gpu", "tolerationSeconds": 3}]}}, "tolerationSeconds"),
        ({"trial": {"ttlSecondsAfterFinished": 30}}, "ttlSecondsAfterFinished"),
        ({"networkPolicy": {"trialEgress": ["443"]}}, "trialEgress"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], told: str) -> None:
    with pytest.raises(helm_python.HelmError, match=told):
        chart().validate_schema(values)
    with pytest.raises(helm_python.HelmError, match=told):
        objects(values)


def test_every_value_is_in_the_schema() -> None:
    chart().validate_schema(chart().values)


def test_external_database_needs_its_secret() -> None:
    with pytest.raises(helm_python.HelmError, match=r"postgres\.external\.urlSecret"):
        objects({"postgres": {"enabled": False}})


def test_tls_to_the_bundled_database_may_check_its_certificate() -> None:
    def url(**more: Any) -> str:
        tls = {"postgres": {"tlsSecret": "postgres-tls", **more.pop("postgres", {})}, **more}
        return str(one(objects(tls), "Secret", f"{RELEASE}-postgres")["stringData"]["url"])

    assert url().endswith(".svc:5432/coref?sslmode=require")
    checked = {"postgres": {"tlsMode": "verify-full"}}
    assert url(**checked, network={"caConfigMap": "company-ca"}).endswith(
        "?sslmode=verify-full&sslrootcert=/run/coref/ca/ca.crt"
    )
    with pytest.raises(helm_python.HelmError, match=r"network\.caConfigMap"):
        url(**checked)


def masked(text: str) -> str:
    """Rendered text without what differs from render to render, and without the definition, which has its own file."""
    password = re.search(r"password: (\w{32})\n", text)
    assert password
    return text.replace(password[1], "PASSWORD")


def test_default_rendering_is_the_golden_file() -> None:
    parts = {
        p: t
        for p, t in sorted(files({}).items())
        if p not in ("templates/NOTES.txt", "templates/crd.yaml", "templates/monitoring/dashboards.yaml")
    }
    text = masked("".join(f"# {path}\n{part.strip()}\n---\n" for path, part in parts.items()))
    if os.environ.get("COREF_UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", MATRIX)
def test_controller_can_read_its_settings(case: str) -> None:
    values = MATRIX[case]
    found = objects(values)
    name = values.get("nameOverride") or RELEASE
    settings = settings_of(found, name)
    service = one(found, "Service", f"{name}-controller")
    assert settings.service == f"{name}-controller:{service['spec']['ports'][0]['port']}"
    # what the pods of a study mount is there, or was named by the user
    mounted = {settings.jobs.storage_secret.name}
    made = {o["metadata"]["name"] for o in found if o["kind"] == "Secret"}
    assert mounted <= made | {"database"}
    claims = {o["metadata"]["name"] for o in found if o["kind"] == "PersistentVolumeClaim"}
    if settings.jobs.object_store is None:
        assert settings.jobs.data_claim in claims | {"research"}
    else:
        assert claims == set()


def test_values_reach_the_pods_of_a_study() -> None:
    jobs = settings_of(objects(MATRIX["every-placement"]), "search").jobs
    pod = job_manifest(make_order(), jobs, namespace=NAMESPACE, owner_uid=None)["spec"]["template"]
    assert pod["metadata"]["labels"]["cost"] == "42"
    assert pod["metadata"]["annotations"] == {"a": "b", "contact": "nlp@example.com"}
    assert pod["metadata"]["labels"]["team"] == "nlp"
    assert pod["spec"]["runtimeClassName"] == "nvidia"
    assert pod["spec"]["priorityClassName"] == "low"
    assert pod["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert {"key": "spot", "operator": "Exists", "effect": "NoSchedule"} in pod["spec"]["tolerations"]
    assert {"name": "TZ", "value": "Asia/Seoul"} in pod["spec"]["containers"][0]["env"]
    assert jobs.gpu_memory_label == ""

    air = settings_of(objects(MATRIX["air-gapped"])).jobs
    assert air.image == "registry.example/t:7"
    assert air.image_pull_secrets == ("registry",)
    assert air.env == {
        "HF_ENDPOINT": "https://hub.example",
        "HF_HUB_OFFLINE": "1",
        "HTTP_PROXY": "http://proxy:3128",
        "HTTPS_PROXY": "http://proxy:3128",
        "NO_PROXY": ".svc",
    }
    assert air.hf_secret
    assert air.hf_secret.name == "hugging-face"
    assert air.ca_config_map
    assert air.ca_config_map.name == "company-ca"


def test_common_labels_and_annotations_are_on_every_object_and_pod() -> None:
    found = objects(MATRIX["every-placement"])
    assert {"CustomResourceDefinition", "PodMonitor", "PrometheusRule", "Pod", "StatefulSet"} <= {
        item["kind"] for item in found
    }
    job = job_manifest(make_order(), settings_of(found, "search").jobs, namespace=NAMESPACE, owner_uid=None)
    for item in [*found, job]:
        name = f"{item['kind']}/{item['metadata']['name']}"
        assert item["metadata"]["labels"]["team"] == "nlp", name
        assert item["metadata"]["annotations"]["contact"] == "nlp@example.com", name
        if "template" in item.get("spec", {}):
            assert item["spec"]["template"]["metadata"]["labels"]["team"] == "nlp", name


def test_every_pod_goes_where_it_is_told() -> None:
    pods = pod_specs(objects(MATRIX["every-placement"]))
    assert len(pods) == 8
    for name, pod in pods.items():
        assert pod["nodeSelector"] == {"pool": "system"}, name
        assert pod["priorityClassName"] == "high", name
        assert pod["tolerations"][0]["key"] == "system", name
    assert pods["StatefulSet/search-postgres"]["affinity"] == {"nodeAffinity": {}}
    (dashboard, *_) = [
        o for o in objects(MATRIX["every-placement"]) if o["metadata"]["name"].startswith("search-dashboard-")
    ]
    assert dashboard["metadata"]["annotations"]["grafana_folder"] == "Research"


def test_every_pod_has_a_policy_that_lets_it_do_its_work() -> None:
    """In a namespace that denies everything nothing else would let pods out."""
    found = objects(MATRIX["fenced-in"])
    policies = [o["spec"] for o in found if o["kind"] == "NetworkPolicy"]
    labels = {
        o["metadata"]["name"]: o.get("spec", {}).get("template", o)["metadata"]["labels"]
        for o in found
        if o["kind"] in ("Deployment", "StatefulSet", "Pod", "Job")
    }
    jobs = settings_of(found).jobs
    measuring = calibration_job(StudySpec(), jobs, "", 1.0, namespace=NAMESPACE)
    labels["job calibration"] = measuring["spec"]["template"]["metadata"]["labels"]
    for kind in Kind:
        order = make_order(kind=kind)
        labels[f"job {kind}"] = job_manifest(order, jobs, namespace=NAMESPACE, owner_uid=None)["spec"][
            "template"
        ]["metadata"]["labels"]
    chosen = {
        name: [p for p in policies if p["podSelector"]["matchLabels"].items() <= ours.items()]
        for name, ours in labels.items()
    }
    assert {name for name, which in chosen.items() if len(which) != 1} == set()

    def out(name: str) -> list[Any]:
        (policy,) = chosen[name]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        return list(policy["egress"])

    def reaches(rules: list[Any], other: str, port: int) -> bool:
        return any(
            peer.get("podSelector", {}).get("matchLabels", {"": ""}).items() <= labels[other].items()
            and {"port": port} in rule["ports"]
            for rule in rules
            for peer in rule.get("to", ())
        )

    postgres = f"{RELEASE}-postgres"
    assert out(postgres) == []
    assert {"port": 53, "protocol": "UDP"} in out(f"{RELEASE}-controller")[0]["ports"]
    assert reaches(out(f"{RELEASE}-controller"), postgres, 5432)
    assert out(f"{RELEASE}-controller")[-1] == {"ports": [{"port": 6443}]}
    for kind in (*Kind, "calibration"):
        rules_ = out(f"job {kind}")
        assert reaches(rules_, postgres, 5432)
        assert rules_[-1]["to"] == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
        assert {} not in rules_
    assert reaches(out(f"{RELEASE}-grafana"), f"{RELEASE}-prometheus", 9090)
    assert reaches(out(f"{RELEASE}-optuna-dashboard"), postgres, 5432)
    # they ask the API server, whose address nobody knows beforehand
    (calibrate,) = [name for name in labels if name.startswith(f"{RELEASE}-calibrate-")]
    for name in (f"{RELEASE}-prometheus", f"{RELEASE}-test", f"{RELEASE}-ui", calibrate):
        assert out(name) == [{}]
    # by default studies reach what they name
    (trial,) = [o["spec"] for o in objects({}) if o["metadata"]["name"] == f"{RELEASE}-trial"]
    assert trial["egress"][-1] == {}


def test_one_controller_may_be_drained_and_of_two_one_stays() -> None:
    assert not [o for o in objects({}) if o["kind"] == "PodDisruptionBudget"]
    budget = one(objects(MATRIX["two-controllers"]), "PodDisruptionBudget", f"{RELEASE}-controller")["spec"]
    assert (budget["minAvailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_a_changed_configuration_restarts_its_pod() -> None:
    def sums(values: dict[str, Any]) -> dict[str, str]:
        return {
            o["metadata"]["name"]: o["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for o in objects(values)
            if o["kind"] == "Deployment"
        }

    before = sums({"monitoring": {"bundled": True}})
    assert len(before) == 3
    slower = sums({"monitoring": {"bundled": True, "podMonitor": {"interval": "5m"}}})
    changed = {name for name in before if before[name] != slower[name]}
    assert changed == {f"{RELEASE}-prometheus"}


def test_names_of_releases_with_dots_are_names_of_services() -> None:
    rendered = chart().render({}, name="my.release", namespace=NAMESPACE)
    text = "\n---\n".join(part for path, part in rendered.items() if path.endswith(".yaml"))
    found = [o for o in yaml.load_all(text, Loader=yaml.CSafeLoader) if o and o["kind"] == "Service"]
    assert {o["metadata"]["name"] for o in found} == {"my-release-controller", "my-release-postgres"}


def test_an_upgrade_can_bound_how_many_trials_run_at_once() -> None:
    assert settings_of(objects({})).jobs.max_parallelism == 100
    assert settings_of(objects({"trial": {"maxParallelism": 2}})).jobs.max_parallelism == 2


def test_pods_share_a_node_only_where_the_volume_asks_for_it() -> None:
    assert settings_of(objects({})).jobs.same_node
    assert not settings_of(objects(MATRIX["many-nodes"])).jobs.same_node
    assert not settings_of(objects(MATRIX["object-storage"])).jobs.same_node


def test_object_storage_takes_the_place_of_the_volume() -> None:
    found = objects(MATRIX["object-storage"])
    jobs = settings_of(found).jobs
    assert jobs.object_store == ObjectStoreSettings(
        uri="s3://lab-coref/studies", secret="s3", service_account="trials", scratch_size="40Gi",
        node_cache="/var/cache/coref-k8s",
    )  # fmt: skip
    pod = job_manifest(make_order(), jobs, namespace=NAMESPACE, owner_uid=None)["spec"]["template"]["spec"]
    assert not any("persistentVolumeClaim" in volume for volume in pod["volumes"])
    least = settings_of(objects({"storage": {"uri": "gs://lab-coref"}})).jobs.object_store
    assert least == ObjectStoreSettings(uri="gs://lab-coref")


@pytest.mark.parametrize(("case", "kind"), [("default", "Role"), ("cluster-wide", "ClusterRole")])
def test_rights_are_those_of_the_list(case: str, kind: str) -> None:
    found = objects(MATRIX[case])
    name = f"{NAMESPACE}-{RELEASE}" if kind == "ClusterRole" else RELEASE
    assert one(found, kind, f"{name}-controller")["rules"] == rules("controller")
    binding = one(found, f"{kind}Binding", f"{name}-controller")
    assert binding["roleRef"]["name"] == f"{name}-controller"
    for role in ("user", "viewer"):
        # of all services only the one that results are read through
        service = settings_of(found).service
        assert service
        assert one(found, "Role", f"{RELEASE}-{role}")["rules"] == rules(role, service=service)
    if case == "default":
        assert not [o for o in found if o["kind"].startswith("ClusterRole")]


def test_studies_can_join_the_cluster_s_own_roles_by_choice() -> None:
    found = objects({"rbac": {"aggregate": True}})
    roles = {o["metadata"]["name"]: o for o in found if o["kind"] == "ClusterRole"}
    ours = {"view": f"{NAMESPACE}-{RELEASE}-studies-viewer", "edit": f"{NAMESPACE}-{RELEASE}-studies-user"}
    assert roles.keys() == set(ours.values())
    for into, role in (("view", "viewer"), ("edit", "user"), ("admin", "user")):
        shipped = roles[ours["view" if into == "view" else "edit"]]
        assert shipped["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{into}"] == "true"
        assert shipped["rules"] == [rule for rule in rules(role) if rule["resources"] == [names.PLURAL]]


def test_definition_is_the_one_of_the_code_and_stays() -> None:
    found = one(objects({}), "CustomResourceDefinition", names.CRD_NAME)
    assert found["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
    assert found["metadata"].pop("annotations") == {}
    labels = found["metadata"].pop("labels")
    expected = crd()
    assert expected["metadata"].pop("labels").items() <= labels.items()
    assert labels["app.kubernetes.io/instance"] == RELEASE
    assert found == expected
    assert not [o for o in objects(MATRIX["own-claim"]) if o["kind"] == "CustomResourceDefinition"]


@pytest.mark.parametrize("case", MATRIX)
def test_every_pod_meets_the_restricted_security_standard(case: str) -> None:
    pods = pod_specs(objects(MATRIX[case]))
    assert len(pods) >= 2
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    for name, pod in pods.items():
        assert not any(pod.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")), name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"]), name
        for part in [*pod["containers"], *pod.get("initContainers", [])]:
            assert part["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert part["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert part["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert part["resources"].get("requests"), name
            assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", part["image"]), name
            assert not part["image"].endswith(":latest"), name


@pytest.mark.parametrize("case", MATRIX)
def test_only_who_speaks_to_the_api_has_a_token(case: str) -> None:
    for name, pod in pod_specs(objects(MATRIX[case])).items():
        speaks = name.rpartition("-")[2] in ("controller", "prometheus", "test", "ui")
        speaks |= "-calibrate-" in name
        assert pod["automountServiceAccountToken"] is speaks, name


@pytest.mark.parametrize("case", MATRIX)
def test_what_pods_mount_exists(case: str) -> None:
    found = objects(MATRIX[case])
    made = {(o["kind"], o["metadata"]["name"]) for o in found}
    given = {
        ("Secret", "database"), ("Secret", "postgres-tls"), ("Secret", "grafana"),
        ("ConfigMap", "company-ca"), ("PersistentVolumeClaim", "research"),
    }  # fmt: skip
    for name, pod in pod_specs(found).items():
        mounts = [m["name"] for c in pod["containers"] for m in c["volumeMounts"]]
        claims = {"data"} if name.startswith("StatefulSet/") else set()
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]} | claims, name
        for volume in pod["volumes"]:
            for kind, key, field in (
                ("Secret", "secret", "secretName"),
                ("ConfigMap", "configMap", "name"),
                ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
            ):
                if key in volume:
                    assert (kind, volume[key][field]) in made | given, name


def test_nothing_but_controller_and_trials_reaches_the_database() -> None:
    policy = one(objects({}), "NetworkPolicy", f"{RELEASE}-postgres")["spec"]
    selectors = [peer["podSelector"]["matchLabels"] for rule in policy["ingress"] for peer in rule["from"]]
    trial = job_manifest(make_order(), settings_of(objects({})).jobs, namespace=NAMESPACE, owner_uid=None)
    trial_labels = trial["spec"]["template"]["metadata"]["labels"]
    controller = one(objects({}), "Deployment", f"{RELEASE}-controller")
    labels = controller["spec"]["template"]["metadata"]["labels"]

    def matching(pod: dict[str, str]) -> int:
        return sum(wanted.items() <= pod.items() for wanted in selectors)

    assert len(selectors) == 2
    assert matching(trial_labels) == matching(labels) == 1
    assert not matching({**labels, names.COMPONENT_LABEL: "prometheus"})
    assert not [o for o in objects(MATRIX["bundled-monitoring"]) if o["kind"] == "NetworkPolicy"]


def test_monitors_select_controller_and_trials() -> None:
    found = objects(MATRIX["operator"])
    pods = {
        "controller": one(found, "Deployment", f"{RELEASE}-controller")["spec"]["template"],
        "trials": job_manifest(make_order(), settings_of(found).jobs, namespace=NAMESPACE, owner_uid=None)[
            "spec"
        ]["template"],
    }
    for what, pod in pods.items():
        monitor = one(found, "PodMonitor", f"{RELEASE}-{what}")
        assert monitor["metadata"]["labels"]["release"] == "kube-prometheus"
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in [p["name"] for c in pod["spec"]["containers"] for p in c["ports"]]
    assert not [o for o in objects({}) if o["kind"] in NOT_BUILT_IN]


def test_bundled_prometheus_keeps_what_the_monitors_select() -> None:
    found = objects(MATRIX["cluster-wide"])
    text = one(found, "ConfigMap", f"{RELEASE}-prometheus")["data"]["prometheus.yml"]
    (job,) = yaml.safe_load(text)["scrape_configs"]
    keep = job["relabel_configs"][0]
    assert keep["action"] == "keep"

    def kept(port: str, labels: dict[str, str]) -> bool:
        parts = [
            port,
            *(labels[name] for name in (names.COMPONENT_LABEL, names.INSTANCE_LABEL, names.MANAGED_BY_LABEL)),
        ]
        return re.fullmatch(keep["regex"], ";".join(parts)) is not None

    trial = job_manifest(make_order(), settings_of(found).jobs, namespace=NAMESPACE, owner_uid=None)
    labels = trial["spec"]["template"]["metadata"]["labels"]
    controller = one(found, "Deployment", f"{RELEASE}-controller")["spec"]["template"]["metadata"]["labels"]
    assert kept("metrics", labels)
    assert kept("http", controller)
    assert not kept("http", {**controller, names.INSTANCE_LABEL: "another"})
    assert not kept("http", {**controller, names.COMPONENT_LABEL: "grafana"})
    assert {name.replace(".", "_").replace("/", "_").replace("-", "_") for name in (
        names.COMPONENT_LABEL, names.INSTANCE_LABEL, names.MANAGED_BY_LABEL)} == {
        label.removeprefix("__meta_kubernetes_pod_label_") for label in keep["source_labels"][1:]
    }  # fmt: skip


def test_passwords_are_made_anew_for_each_release_and_stand_only_in_secrets() -> None:
    first, second = objects({}), objects({})
    name = f"{RELEASE}-postgres"
    password = one(first, "Secret", name)["stringData"]["password"]
    assert len(password) == 32
    assert password != one(second, "Secret", name)["stringData"]["password"]
    rest = copy.deepcopy([o for o in first if o["kind"] != "Secret"])
    assert password not in yaml.safe_dump_all(rest)


def test_notes_tell_what_stays() -> None:
    notes = files(MATRIX["dashboard"])["templates/NOTES.txt"]
    assert "coref-k8s submit" in notes
    assert f"port-forward deploy/{RELEASE}-optuna-dashboard" in notes
    assert f"the claim {RELEASE}-data" in notes
    assert "the claim" not in files(MATRIX["many-nodes"])["templates/NOTES.txt"].partition("leaves:")[
        2
    ].replace("the database's claim", "")


def test_the_page_reads_as_a_viewer_and_asks_for_its_token() -> None:
    assert not [o for o in objects({}) if o["metadata"]["name"] == f"{RELEASE}-ui"]
    found = objects(MATRIX["pages"])
    name = f"{RELEASE}-ui"
    binding = one(found, "RoleBinding", name)
    assert binding["roleRef"]["name"] == f"{RELEASE}-viewer"
    assert [subject["name"] for subject in binding["subjects"]] == [name]
    assert one(found, "Role", f"{RELEASE}-viewer")["rules"] == rules(
        "viewer", service=settings_of(found).service
    )
    pod = one(found, "Deployment", name)["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == name
    (container,) = pod["containers"]
    assert (
        container["image"]
        == one(found, "Deployment", f"{RELEASE}-controller")["spec"]["template"]["spec"]["containers"][0][
            "image"
        ]
    )
    # the arguments are a command line that the program understands, up to where it would begin to listen
    command = Verb("ui", "coref_k8s.cli.browsing", "").load()
    with command.make_context("ui", container["args"][1:]) as context:
        given = context.params
    assert (given["namespace"], given["host"], given["port"]) == (NAMESPACE, "0.0.0.0", 8080)
    assert (given["grafana"], given["optuna_dashboard"]) == (
        "https://grafana.example",
        "https://optuna.example",
    )
    token = base64.b64decode(one(found, "Secret", name)["data"]["token"])
    assert len(token) == 32
    service = one(found, "Service", name)["spec"]["ports"][0]
    ingress = one(found, "Ingress", name)["spec"]
    backend = ingress["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]["name"]) == (name, service["name"])
    assert ingress["tls"][0]["hosts"] == [ingress["rules"][0]["host"]] == ["studies.example"]
    own = objects({"ui": {"enabled": True, "tokenSecret": "mine"}})
    assert not [o for o in own if o["kind"] in ("Secret", "Ingress") and o["metadata"]["name"] == name]
    assert "port-forward svc/coref-ui 8765:80" in files(MATRIX["pages"])["templates/NOTES.txt"]


def test_cards_are_measured_by_choice_and_again_by_another_version() -> None:
    assert not [o for o in objects({}) if "calibrate" in o["metadata"]["name"]]
    found = objects(MATRIX["measured"])
    (job,) = [o for o in found if o["kind"] == "Job"]
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[:2] == ["calibrate", "--on=cluster"]
    assert arguments[-2:] == ["--deadline=480", "--gpu=Tesla-V100"]
    # kinds that are named need no look at the cluster's nodes
    assert not [o for o in found if o["kind"] == "ClusterRole" and "calibrate" in o["metadata"]["name"]]
    every = objects({"calibrate": {"enabled": True}})
    nodes = one(every, "ClusterRole", f"{NAMESPACE}-{RELEASE}-calibrate")
    assert nodes["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    role = one(every, "Role", f"{RELEASE}-calibrate")
    ours = rules("calibration", service=f"{RELEASE}-controller:8080")
    assert [dict(sorted(rule.items())) for rule in role["rules"]] == [dict(sorted(r.items())) for r in ours]
    # a Job cannot be changed: with another image it is another one
    changed = objects({**MATRIX["measured"], "trial": {"image": {"tag": "7"}}})
    names_ = {o["metadata"]["name"] for o in (*found, *changed) if o["kind"] == "Job"}
    assert len(names_) == 2


def test_packages(tmp_path: Path) -> None:
    archive = Path(helm_python.package(CHART, destination=tmp_path))
    with helm_python.Chart.load(archive) as packed:
        assert packed.render({}, name=RELEASE, namespace=NAMESPACE).keys() == chart().render({}).keys()
