"""What the API server does to particular kinds on create and update: defaults, immutability, refusals."""

from __future__ import annotations

import copy
import re
from typing import Any

from tests.kube import schema as schemas
from tests.kube.errors import ApiError, invalid
from tests.kube.resources import Resource
from tests.kube.store import now

Json = dict[str, Any]
_DNS = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
TRACKING = "batch.kubernetes.io/job-tracking"


def check_name(resource: Resource, metadata: Json) -> None:
    """Names are DNS labels; label values have at most 63 characters."""
    name = metadata["name"]
    free = resource.group == "rbac.authorization.k8s.io"
    if not free and (len(name) > 253 or not _DNS.match(name)):
        why = (
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
            "characters, '-' or '.', and must start and end with an alphanumeric character"
        )
        raise invalid(resource.qualified_kind, name, [("metadata.name", why)])
    for key, value in (metadata.get("labels") or {}).items():
        if len(value) > 63 or not _LABEL.match(value):
            why = (
                f'Invalid value: "{value}": must be no more than 63 bytes'
                if len(value) > 63
                else (
                    f'Invalid value: "{value}": a valid label must be an empty string or consist of alphanumeric '
                    "characters, '-', '_' or '.', and must start and end with an alphanumeric character"
                )
            )
            raise invalid(resource.qualified_kind, name, [(f"metadata.labels[{key}]", why)])


def _default_pod_spec(spec: Json) -> Json:
    spec = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    } | spec
    for field in ("containers", "initContainers"):
        if field in spec:
            spec[field] = [_default_container(c) for c in spec[field]]
    return spec


def _default_container(container: Json) -> Json:
    container = {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    } | container
    image = container.get("image", "")
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    container.setdefault("imagePullPolicy", "Always" if tag in ("", "latest") else "IfNotPresent")
    resources = container["resources"]
    if "limits" in resources:  # a limit without a request is the request
        container["resources"] = {
            **resources,
            "requests": {**resources["limits"], **resources.get("requests", {})},
        }
    return container


def create_job(obj: Json) -> Json:
    """Defaults, the generated selector and labels (1.36), and the checks a Job most often fails."""
    metadata, spec = dict(obj["metadata"]), dict(obj.get("spec") or {})
    name, uid = metadata["name"], metadata["uid"]
    template = copy.deepcopy(spec.get("template") or {})
    causes: list[tuple[str, str]] = []
    if len(name) > 63:
        causes.append(("metadata.name", f'Invalid value: "{name}": must be no more than 63 bytes'))
    policy = template.get("spec", {}).get("restartPolicy")
    if policy not in ("Never", "OnFailure"):
        said = (
            "Required value: valid values"
            if policy is None
            else f'Unsupported value: "{policy}": supported values'
        )
        causes.append(("spec.template.spec.restartPolicy", f'{said}: "OnFailure", "Never"'))
    if not template.get("spec", {}).get("containers"):
        causes.append(("spec.template.spec.containers", "Required value"))
    if "podFailurePolicy" in spec:
        if policy == "OnFailure":
            why = 'Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified'
            causes.append(("spec.template.spec.restartPolicy", why))
        if spec.get("podReplacementPolicy", "Failed") != "Failed":
            why = f'Unsupported value: "{spec["podReplacementPolicy"]}": supported values: "Failed"'
            causes.append(("spec.podReplacementPolicy", why))
        causes += _policy_causes(spec["podFailurePolicy"])
    if causes:
        raise invalid("Job.batch", name, causes)
    labels = dict(template.setdefault("metadata", {}).get("labels") or {})
    if "labels" not in metadata and labels:
        metadata["labels"] = dict(labels)
    generated = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    template["metadata"]["labels"] = labels | generated
    if metadata.get("labels") == labels and labels:
        metadata["labels"] = labels | generated  # labels defaulted from the template share its map
    template["spec"] = _default_pod_spec(template["spec"])
    spec = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "manualSelector": False,
        "suspend": False,
        "podReplacementPolicy": "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
    } | spec
    for rule in spec.get("podFailurePolicy", {}).get("rules", ()):
        for pattern in rule.get("onPodConditions", ()):
            pattern.setdefault("status", "True")
    spec["template"] = template
    return {**obj, "metadata": metadata, "spec": spec}


def _policy_causes(policy: Json) -> list[tuple[str, str]]:
    causes = []
    for index, rule in enumerate(policy.get("rules", ())):
        where = f"spec.podFailurePolicy.rules[{index}]"
        if rule.get("action") not in ("Ignore", "FailJob", "Count", "FailIndex"):
            causes.append((f"{where}.action", f'Unsupported value: "{rule.get("action")}"'))
        if "onExitCodes" in rule:
            codes = rule["onExitCodes"].get("values", [])
            if rule["onExitCodes"].get("operator") == "In" and 0 in codes:
                why = "Invalid value: 0: must not be 0 for the In operator"
                causes.append((f"{where}.onExitCodes.values[{codes.index(0)}]", why))
            if codes != sorted(codes):
                causes.append((f"{where}.onExitCodes.values", "Invalid value: must be ordered"))
        elif "onPodConditions" not in rule:
            why = "Invalid value: specifying one of OnExitCodes and OnPodConditions is required"
            causes.append((where, why))
    return causes


def update_job(old: Json, new: Json) -> None:
    """Template, selector and completions are immutable; a suspended, never started Job may be re-targeted."""
    causes = []
    old_template, new_template = (copy.deepcopy(o["spec"]["template"]) for o in (old, new))
    if old["spec"].get("suspend") and not old.get("status", {}).get("startTime"):
        for template in (old_template, new_template):
            for field in ("nodeSelector", "tolerations", "affinity", "schedulingGates"):
                template["spec"].pop(field, None)
            for field in ("labels", "annotations"):
                template["metadata"].pop(field, None)
            for container in template["spec"]["containers"]:
                container.pop("resources", None)
    if old_template != new_template:
        causes.append(("spec.template", "Invalid value: field is immutable"))
    for field in ("selector", "completionMode", "podFailurePolicy", "podReplacementPolicy", "completions"):
        if old["spec"].get(field) != new["spec"].get(field):
            causes.append((f"spec.{field}", "Invalid value: field is immutable"))
    if causes:
        raise invalid("Job.batch", old["metadata"]["name"], causes)


def create_pod(obj: Json) -> Json:
    causes = [
        (f"spec.containers[{i}].image", "Required value")
        for i, c in enumerate(obj["spec"].get("containers") or ())
        if not c.get("image")
    ]
    if not obj["spec"].get("containers"):
        causes.append(("spec.containers", "Required value"))
    if causes:
        raise invalid("Pod", obj["metadata"]["name"], causes)
    spec = {
        "serviceAccountName": "default",
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
    } | _default_pod_spec(obj["spec"])
    for key in ("not-ready", "unreachable"):
        toleration = {
            "effect": "NoExecute",
            "key": f"node.kubernetes.io/{key}",
            "operator": "Exists",
            "tolerationSeconds": 300,
        }
        if not any(t.get("key") == toleration["key"] for t in spec.get("tolerations", ())):
            spec["tolerations"] = [*spec.get("tolerations", ()), toleration]
    return {**obj, "spec": spec, "status": {"phase": "Pending", "qosClass": _qos(spec)}}


def _qos(spec: Json) -> str:
    every = [c["resources"] for c in spec["containers"]]
    if all(not r.get("limits") and not r.get("requests") for r in every):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(r.get("limits", {}))
        and all(r["requests"].get(k) == r["limits"][k] for k in ("cpu", "memory"))
        for r in every
    )
    return "Guaranteed" if guaranteed else "Burstable"


def update_pod(old: Json, new: Json) -> None:
    """A pod's spec may change in image, deadline and tolerations only."""

    def fixed(obj: Json) -> Json:
        spec = copy.deepcopy(obj["spec"])
        for field in (
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
            "schedulingGates",
        ):
            spec.pop(field, None)
        for container in spec["containers"]:
            container.pop("image", None)
        return spec

    if fixed(old) != fixed(new):
        why = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
        raise invalid("Pod", old["metadata"]["name"], [("spec", why)])


def create_crd(obj: Json) -> Json:
    """Established at once: a real server needs about a second."""
    spec = obj["spec"]
    if obj["metadata"]["name"] != f"{spec['names']['plural']}.{spec['group']}":
        why = f'Invalid value: "{obj["metadata"]["name"]}": must be spec.names.plural+"."+spec.group'
        raise invalid(
            "CustomResourceDefinition.apiextensions.k8s.io", obj["metadata"]["name"], [("metadata.name", why)]
        )
    conditions = [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {
            "type": "Established",
            "status": "True",
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    names = {"singular": spec["names"]["kind"].lower(), "listKind": spec["names"]["kind"] + "List"} | spec[
        "names"
    ]
    status = {
        "conditions": [c | {"lastTransitionTime": now()} for c in conditions],
        "acceptedNames": names,
        "storedVersions": [v["name"] for v in spec["versions"] if v.get("storage")],
    }
    return {**obj, "spec": {**spec, "names": names}, "status": status}


def admit_custom(resource: Resource, new: Json, old: Json | None) -> Json:
    """Prune, default and validate a custom resource, as on every write."""
    pruned = as_defined(resource.schema, new)
    name = pruned["metadata"]["name"]
    causes = schemas.admit(resource.schema, pruned, old)
    if causes:
        raise invalid(resource.qualified_kind, name, causes)
    return pruned


def as_defined(schema: Json, obj: Json) -> Json:
    """A custom resource as its definition has it, whenever it is written or read: pruned and defaulted."""
    return schemas.default(schema, schemas.prune(schema, obj))


def create(resource: Resource, obj: Json) -> Json:
    """`obj` as the server stores it; its metadata already has name and uid."""
    if resource.schema is not None:
        return admit_custom(resource, obj, None)
    match resource.qualified:
        case "jobs.batch":
            return create_job(obj) | {"status": {}}
        case "pods":
            return create_pod(obj)
        case "namespaces":
            name = obj["metadata"]["name"]
            labels = {**obj["metadata"].get("labels", {}), "kubernetes.io/metadata.name": name}
            metadata = {**obj["metadata"], "labels": labels}
            return {
                **obj,
                "metadata": metadata,
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            }
        case "customresourcedefinitions.apiextensions.k8s.io":
            return create_crd(obj)
        case "secrets":
            return _secret(obj)
        case "persistentvolumeclaims":
            return {**obj, "status": {"phase": "Pending"}}
    return obj


def _secret(obj: Json) -> Json:
    import base64

    data = dict(obj.get("data") or {})
    for key, text in (obj.get("stringData") or {}).items():
        data[key] = base64.b64encode(text.encode()).decode()
    result = {k: v for k, v in obj.items() if k not in ("data", "stringData")}
    return result | ({"data": data} if data else {}) | {"type": obj.get("type", "Opaque")}


def update(resource: Resource, old: Json, new: Json, status_only: bool) -> Json:
    if resource.schema is not None:
        return admit_custom(resource, new, old)
    if status_only:
        return new
    match resource.qualified:
        case "jobs.batch":
            update_job(old, new)
        case "pods":
            update_pod(old, new)
        case "secrets":
            new = _secret(new)
            if old.get("immutable") and (old.get("data") != new.get("data") or not new.get("immutable")):
                raise invalid(
                    "Secret",
                    old["metadata"]["name"],
                    [("data", "Forbidden: field is immutable when `immutable` is set")],
                )
    return new


def refuse_binding(pod: Json) -> ApiError | None:
    if pod["spec"].get("nodeName"):
        why = f'Operation cannot be fulfilled on pods/binding "{pod["metadata"]["name"]}": pod is already assigned to node "{pod["spec"]["nodeName"]}"'
        return ApiError(409, "Conflict", why)
    return None
