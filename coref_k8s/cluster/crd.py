"""The `CorefStudy` custom resource definition, made from `StudySpec`; `python -m coref_k8s.cluster.crd` prints it."""

from __future__ import annotations

import sys
from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.schema import structural
from coref_k8s.cluster.status import StudyStatus
from coref_k8s.study import yaml12
from coref_k8s.study.base import MAX_CHOICES, MAX_LENGTH, PATTERNS
from coref_k8s.study.names import MAX_NAME
from coref_k8s.study.parameters import PARAMETERS, Parameter, parameters_of
from coref_k8s.study.ranges import LEAST_LOG
from coref_k8s.study.spec import LENGTH_STEP, SEQ_LENGTHS, SearchSpec, StudySpec
from coref_k8s.study.tasks import METRICS, TASKS

#: Fields that a study keeps once it has started: what was measured before would not compare with what follows.
IMMUTABLE = (
    "task", "model", "modelRevision", "seqLengths", "anyLength", "seed", "gpuMemoryGb",
    "data", "training", "search", "objective", "purpose",
)  # fmt: skip
#: Fields that may change while it runs.
MUTABLE = ("trials", "parallelism", "limits", "pod")
#: Fields of `search` that may change too: how long it goes on and what follows it, not what was measured.
SEARCH_MUTABLE = ("finalists", "finalistSeeds", "patience", "minGain", "budget")

#: Fields of the request that have no default: they may be absent.
_OPTIONAL = ("modelRevision", "search.warmStartFrom")
_STARTED = "has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase != 'Pending'"


def _rules(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"rule": rule, "message": message} for rule, message in pairs]


def _same(field: str) -> str:
    """Return the rule that a field of the request is what it was."""
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    if field == "task":
        return f"{_task_of('self.spec')} == {_task_of('oldSelf.spec')}"
    same = f"{new} == {old}"
    return f"has({new}) == has({old}) && (!has({new}) || {same})" if field in _OPTIONAL else same


def _task_of(spec: str) -> str:
    """Return the expression for the task of a request, which may say nothing of it."""
    return f"(has({spec}.task) ? {spec}.task : '{TASKS[0]}')"


def _root_rules() -> list[dict[str, str]]:
    rules = [
        (f"size(self.metadata.name) <= {MAX_NAME}",
         f"a study's name has at most {MAX_NAME} characters: Job names are made from it"),
        ("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
         "a study's name has lower-case letters, digits and '-' only: Job names are made from it"),
    ]  # fmt: skip
    for field in IMMUTABLE:
        parts = [field]
        if field == "search":
            aliases = [f.alias or n for n, f in SearchSpec.model_fields.items()]
            parts = [f"search.{alias}" for alias in aliases if alias not in SEARCH_MUTABLE]
        same = " && ".join(map(_same, parts))
        also = f" but for {', '.join(SEARCH_MUTABLE)}" if field == "search" else ""
        words = f"spec.{field} cannot change{also} once the study has started: submit another study"
        rules.append(
            (f"!({_STARTED}) || ({same})", f"{words} (trials, parallelism, limits and pod may change)")
        )
    return _rules(*rules)


def _spec_rules() -> list[dict[str, str]]:
    known = ", ".join(map(str, SEQ_LENGTHS))
    search = "self.purpose.kind == 'search'"
    return _rules(
        (f"self.anyLength || self.seqLengths.all(l, l in [{known}])",
         f"seqLengths may hold {known}; other multiples of {LENGTH_STEP} need anyLength: true"),
        (f"self.seqLengths.all(l, l >= {LENGTH_STEP} && l % {LENGTH_STEP} == 0)",
         f"each of seqLengths must be a positive multiple of {LENGTH_STEP}"),
        ("self.search.spaceByLength.all(k, self.seqLengths.exists(l, string(l) == k))",
         "search.spaceByLength names a length that is not among seqLengths"),
        ("!has(self.pod.resourceClaims) || self.pod.resourceClaims.all(k, k == '*' || self.seqLengths.exists(l, string(l) == k))",
         "pod.resourceClaims names something that is no length of the study; name one of its lengths, or * for all others"),
        ("self.search.finalists <= self.trials", "finalists are chosen of the trials; give more trials"),
        (f"!({search}) || (!has(self.purpose.study) && size(self.purpose.trials) == 0)",
         "purpose.study and purpose.trials are for purpose.kind train and ensemble"),
        (f"{search} || has(self.purpose.study)",
         "a study to train or ensemble uses another study's results; name it in purpose.study"),
        (f"{search} || (self.trials == 1 && self.search.finalists == 0 "
         "&& self.seqLengths.all(l, l == self.seqLengths[0]))",
         "a study to train or ensemble has one length, one trial and no finalists"),
        ("self.purpose.trials.all(t, self.purpose.trials.exists_one(u, u == t))",
         "purpose.trials must name different trials by their number"),
        ("self.purpose.kind != 'ensemble' || size(self.purpose.trials) > 1",
         "an ensemble has two members or more; name them in purpose.trials"),
        (f"{search} || ({_all_fixed('self.search.space')} && "
         f"self.search.spaceByLength.all(k, {_all_fixed('self.search.spaceByLength[k]')}))",
         "a study to train or ensemble searches nothing; give each range a single choice"),
        (f"{_task_of('self')} != 'mentions' || self.seqLengths.all(l, {_ends('mask_low', -1)}.all(x, {_ends('mask_high', 0)}.all(y, x <= y)))",
         "mask_low must not go above where mask_high begins, at any length, with the default ranges where none is given"),
        *(rule for task in TASKS for rule in _task_rules(task)),
    )  # fmt: skip


def _task_rules(task: str) -> list[tuple[str, str]]:
    """Return the rules that keep to a task what is its own: metrics and parameters."""
    metrics = [name for other in TASKS if other != task for name in METRICS[other]]
    others = [name for name in PARAMETERS if name not in parameters_of(task)]

    def without(space: str) -> str:
        return " && ".join(f"!has({space}.{name})" for name in others)

    return [
        (f"{_task_of('self')} != '{task}' || !has(self.objective.weights) || !{metrics}.exists(m, m in self.objective.weights)",
         f"objective.weights names a metric of another task; task {task} has {', '.join(METRICS[task])}"),
        (f"{_task_of('self')} != '{task}' || ({without('self.search.space')} && "
         f"self.search.spaceByLength.all(k, {without('self.search.spaceByLength[k]')}))",
         f"{', '.join(others)}: not tuned in task {task}"),
    ]  # fmt: skip


def _all_fixed(space: str) -> str:
    """Return the rule that every range of a space holds one value."""
    return " && ".join(
        f"(!has({one}) || (has({one}.choices) ? {one}.choices.all(c, c == {one}.choices[0]) : {one}.low == {one}.high))"
        for one in (f"{space}.{name}" for name in PARAMETERS)
    )


def _ends(name: str, end: int) -> str:
    """Return the list of a parameter's lowest (`end` 0) or highest (-1) values at length `l`, its choices where it has some."""

    def of(path: str) -> str:
        return f"(has({path}.choices) ? {path}.choices : [{path}.{('low', 'high')[end]}])"

    own, all_ = (f"self.search.{space}.{name}" for space in ("spaceByLength[string(l)]", "space"))
    by_length = PARAMETERS[name].ranges["mentions"]
    *longer, (_, shortest) = sorted(by_length.items(), reverse=True)
    default = "".join(f"l >= {start} ? [{one.numbers[end]}] : " for start, one in longer)
    return (
        f"(string(l) in self.search.spaceByLength && has({own}) ? {of(own)} : has({all_}) ? {of(all_)} : "
        f"self.purpose.kind != 'search' ? [] : {default}[{shortest.numbers[end]}])"
    )


def _range(one: Parameter) -> dict[str, Any]:
    """Return the schema of one parameter's range."""
    value: dict[str, Any] = {"type": {"float": "number", "int": "integer", "name": "string"}[one.kind]}
    if one.names:
        value["enum"] = list(one.names)
    elif one.kind == "name":
        value |= {"minLength": 1, "maxLength": MAX_LENGTH, "pattern": PATTERNS["plain"]}
    else:
        value |= {"minimum": one.low, "maximum": one.high}
    bound = value if one.kind == "float" else {"type": "number"}
    return {
        "type": "object",
        "description": one.about,
        "properties": {
            "low": bound,
            "high": bound,
            "log": {"type": "boolean", "default": False},
            "choices": {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_CHOICES},
        },
        "oneOf": [{"required": ["choices"]}, *([{"required": ["low"]}] if one.kind == "float" else [])],
        "x-kubernetes-validations": _rules(
            ("has(self.low) == has(self.high)", "give both low and high, or choices"),
            (
                "!has(self.low) || !has(self.high) || self.low <= self.high",
                "the range is empty: low is above high",
            ),
            (
                f"!self.log || (has(self.low) && self.low >= {LEAST_LOG})",
                f"a log range needs low above 0 ({LEAST_LOG:g} or more)",
            ),
        ),
    }


def _with_rules(schema: dict[str, Any]) -> dict[str, Any]:
    """Add to the spec's schema the rules that OpenAPI has no word for."""
    fields = schema["properties"]
    schema["x-kubernetes-validations"] = _spec_rules()
    # the API server also judges the bare default, {}, in which neither share is there yet
    fields["data"]["x-kubernetes-validations"] = _rules(
        ("!has(self.devShare) || !has(self.testShare) || self.devShare + self.testShare < 1.0",
         "devShare and testShare leave nothing to train on; their sum must be below 1"),
    )  # fmt: skip
    fields["objective"]["properties"]["weights"]["x-kubernetes-validations"] = _rules(
        ("self.exists(k, self[k] > 0.0)", "weights must not be negative and at least one must be above 0")
    )
    fields["pod"]["properties"]["tolerations"]["items"]["x-kubernetes-validations"] = _rules(
        ("!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
         "a toleration with the operator Exists has no value; leave one of the two out"),
        ("!has(self.value) || (has(self.key) && self.key != '')",
         "a toleration with a value needs the key of the taint"),
    )  # fmt: skip
    search = fields["search"]["properties"]
    ranges = {name: _range(one) for name, one in PARAMETERS.items()}
    for space in (search["space"], search["spaceByLength"]["additionalProperties"]):
        del space["additionalProperties"], space["maxProperties"]
        space["properties"] = ranges
    return schema


def _status_schema() -> dict[str, Any]:
    schema = structural(StudyStatus)
    schema["properties"]["conditions"] |= {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    schema["properties"]["best"] |= {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["seqLen"],
    }
    return _without_defaults(schema)


def _without_defaults(node: Any) -> Any:
    # a status says what was observed: the API server must not fill anything in
    if isinstance(node, dict):
        return {k: _without_defaults(v) for k, v in node.items() if k != "default"}
    return [_without_defaults(item) for item in node] if isinstance(node, list) else node


def _column(name: str, kind: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path, **more}


COLUMNS = [
    _column("Phase", "string", ".status.phase"),
    _column("Trials", "string", ".status.progress", description="Trials done of those asked for"),
    _column("Running", "integer", ".status.trials.running"),
    _column("Waiting", "integer", ".status.trials.waiting", description="Begun, and no pod runs"),
    _column("Failed", "integer", ".status.trials.failed"),
    _column("Best", "string", ".status.bestScore", description="Highest score and its length"),
    _column("Age", "date", ".metadata.creationTimestamp"),
    _column("Task", "string", ".spec.task", description="What is trained and scored", priority=1),
    _column("Message", "string", ".status.message", description="What it waits for, or why it ended"),
]


def crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    spec = _with_rules(structural(StudySpec))
    spec["description"] = "The request: the best model for each sequence length."
    schema = {
        "type": "object",
        "description": "A hyper-parameter study for long-sequence Korean coreference.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _status_schema(),
        },
        "x-kubernetes-validations": _root_rules(),
    }
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": COLUMNS,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.CRD_NAME, "labels": {names.NAME_LABEL: names.APP}},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": ["all", "corefk8s"],
            },
            "versions": [version],
        },
    }


def render() -> str:
    """Return the definition as YAML, with a line that says where it comes from."""
    head = "# Generated by `python -m coref_k8s.cluster.crd`; edit coref_k8s/study/ instead.\n"
    return head + yaml12.write(crd())


if __name__ == "__main__":
    sys.stdout.write(render())
