"""The model card: what a model is, what it was made of, how good it is and how sure that is, and its limits.

A `README.md` with the front matter that the Hugging Face hub reads. Pure: facts in, text out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coref_k8s.corpus.generated import is_generated
from coref_k8s.corpus.local import is_local
from coref_k8s.evaluation.compare import Difference
from coref_k8s.study import yaml12
from coref_k8s.study.order import Order
from coref_k8s.study.reading import changed
from coref_k8s.study.tasks import SHOWN
from coref_k8s.trial.licences import UNKNOWN, licences_of
from coref_k8s.wording import Message, document, say

#: What the hub calls a task, and what a model index says of it.
_HUB = {
    "mentions": ("fill-mask", "masked mentions"),
    "coreference": ("token-classification", "coreference resolution"),
}


@dataclass(frozen=True)
class Compared:
    """What the model was compared with, on which documents, and what came out."""

    against: Message
    split: str
    differences: Sequence[Difference]


@dataclass(frozen=True)
class Facts:
    """Everything the card says."""

    order: Order
    members: Sequence[int]
    """Trials of the parent study that went into it."""
    base_on_hub: bool
    """Whether the base model's name is that of a hub."""
    licence: str
    """Licence of the base model, as its own card says."""
    test: Mapping[str, float]
    """Metrics on the test documents."""
    dev: Mapping[str, float]
    compared: Sequence[Compared]
    statistics: Mapping[str, Any]
    """What preparation counted."""
    items_sha256: str
    """Of the test items."""
    versions: Mapping[str, str]
    position_range: str
    steps: int | None = None
    model_revision: str | None = None
    hardware: str = "CPU"
    not_given: Collection[str] = ()
    """Metrics of the test documents that rest on too few items to be shown."""
    way: str = ""
    """How several models were joined."""


def card(facts: Facts, usage: str | None = None) -> str:
    """Return the text of `README.md`; `usage` for what is not simply opened as one model."""
    order, spec = facts.order, facts.order.spec
    return document("card").substitute(
        head=yaml12.write(_front_matter(facts)),
        name=order.study,
        intro=_intro(facts),
        base=f"`{spec.model}`" + (f" at {facts.model_revision}" if facts.model_revision else ""),
        licence=say("trial.card-no-licence") if facts.licence == UNKNOWN else _licence(facts.licence),
        code=say(f"trial.card-{spec.task}-code"),
        scores=say(f"trial.card-{spec.task}-scores"),
        limit=say(f"trial.card-{spec.task}-limit"),
        usage=usage or _USAGE[spec.task],
        seq_len=order.seq_len,
        position_range=facts.position_range,
        metrics="\n".join(_metrics(facts)),
        comparisons="\n".join(_comparisons(facts)),
        sources="\n".join(_sources(facts.statistics)),
        documents=_documents(facts),
        prepared=order.prepared,
        items=facts.items_sha256[:16],
        remarks="\n".join(_remarks(facts.statistics)),
        parameters="\n".join(_parameters(facts)),
        hardware=facts.hardware,
        versions=", ".join(f"{name} {number}" for name, number in facts.versions.items()),
        command=command(order),
        request=yaml12.write(changed(spec)),
    )


def _front_matter(facts: Facts) -> dict[str, Any]:
    order, spec = facts.order, facts.order.spec
    kind, task_name = _HUB[spec.task]
    head: dict[str, Any] = {"language": ["ko"], "library_name": "transformers", "pipeline_tag": kind}
    if facts.licence == UNKNOWN:
        head |= {"license": "other", "license_name": "that-of-the-base-model"}
    else:
        head["license"] = facts.licence
    if facts.base_on_hub:
        head["base_model"] = spec.model
    head["tags"] = ["coreference", "long-context", "coref-k8s"]
    if hub := sorted(
        {c.source for c in spec.data.sources if not (is_generated(c.source) or is_local(c.source))}
    ):
        head["datasets"] = hub
    metrics = [
        {"type": name, "value": round(facts.test[name], 4), "name": f"{heading} (test)"}
        for name, heading in _metrics_of(facts).items()
        if name in facts.test
    ]
    task = {"type": kind, "name": task_name}
    data = {"type": "coref-k8s", "name": f"test documents of {order.prepared or spec.purpose.study}"}
    head["model-index"] = [
        {"name": order.study, "results": [{"task": task, "dataset": data, "metrics": metrics}]}
    ]
    return head


def _metrics_of(facts: Facts) -> Mapping[str, str]:
    """Return the headings of the task's metrics, in the order of tables."""
    names = SHOWN[facts.order.spec.task]
    return {"score": "Score (weighted)", **{name: say(f"words.metric-{name}") for name in names}}


def _intro(facts: Facts) -> str:
    order, purpose = facts.order, facts.order.spec.purpose
    return say(
        f"trial.card-{order.spec.task}-{purpose.kind}",
        length=order.seq_len,
        study=purpose.study,
        trials=facts.members or [say("trial.card-not-named")],
        n=len(facts.members),
        way=facts.way,
    )


def _licence(licence: str) -> str:
    return say("trial.card-licence", licence=licence)


#: What a reader runs in the model's folder; elsewhere `.` is its path, or its name on the hub.
_USAGE = {
    "mentions": """\
from transformers import AutoModelForMaskedLM, AutoTokenizer

folder = "."  # this one; elsewhere its path, or its name on the hub
model = AutoModelForMaskedLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
""",
    "coreference": """\
from coref_k8s import Resolver

folder = "."  # this one; elsewhere its path, or its name on the hub
document = Resolver.from_pretrained(folder)("민수는 책을 샀다. 그는 그 책을 읽었다.")
for chain in document.chains:
    print(chain)
""",
}


def usage_of_members(members: Sequence[str], task: str) -> str:
    """Return Python that uses several models in one folder as one."""
    if task == "coreference":
        return _USAGE[task]
    return f"""\
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

folder = "."  # this one; elsewhere its path
members = {list(members)!r}
models = [AutoModelForMaskedLM.from_pretrained(f"{{folder}}/{{name}}").eval() for name in members]
tokenizer = AutoTokenizer.from_pretrained(f"{{folder}}/{{members[0]}}")


@torch.no_grad()
def probabilities(text):
    batch = tokenizer(text, return_tensors="pt")
    return torch.stack([model(**batch).logits.softmax(-1) for model in models]).mean(0)
"""


def _metrics(facts: Facts) -> Iterator[str]:
    gains = any(f"{name}_gain" in facts.test for name in _metrics_of(facts))
    yield f"| metric | test | 95 % interval |{' by context |' if gains else ''} dev |"
    yield f"|---|---|---|{'---|' if gains else ''}---|"
    for name, heading in _metrics_of(facts).items():
        if name in facts.test:
            low, high = facts.test.get(f"{name}_ci_low"), facts.test.get(f"{name}_ci_high")
            gain = facts.test.get(f"{name}_gain")
            more = f" {'' if gain is None else f'{gain:+.3f}'} |" if gains else ""
            yield (
                f"| {heading} | {facts.test[name]:.3f} "
                f"| {'' if low is None or high is None else f'{low:.3f} … {high:.3f}'} "
                f"|{more} {_number(facts.dev.get(name))} |"
            )
    if few := [heading for name, heading in _metrics_of(facts).items() if name in facts.not_given]:
        yield ""
        yield say("trial.card-not-given", metrics=few)
    reference = [
        f"{heading} {facts.test[f'seed_{name}']:.3f}"
        for name, heading in _metrics_of(facts).items()
        if f"seed_{name}" in facts.test
    ]
    if reference:
        yield ""
        yield say("trial.card-reference", metrics=reference)


def _comparisons(facts: Facts) -> Iterator[str]:
    names = Message.of("verdict.this-model"), Message.of("trial.it")
    for one in facts.compared:
        yield say("trial.card-against", against=one.against, split=one.split)
        yield from (f"  - {d.sentence(*names)}" for d in one.differences if d.metric in _metrics_of(facts))
    if not facts.compared:
        yield say("trial.card-nothing-compared")


def _sources(statistics: Mapping[str, Any]) -> Iterator[str]:
    revisions, kept = statistics.get("revisions", {}), statistics.get("sources", {})
    for name, count in statistics.get("read", {}).items():
        yield f"| {name} | {revisions.get(name, '')} | {count:,} | {kept.get(name, 0):,} |"


def _documents(facts: Facts) -> str:
    counts = facts.statistics.get("documents", {})
    rows = facts.statistics.get("lengths", {}).get(str(facts.order.seq_len), {}).get("rows")
    splits = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    return splits if rows is None else say("trial.card-sequences", documents=splits, n=rows)


def _remarks(statistics: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was left out of the data, and what their licences ask for."""
    lost = [
        Message.of("corpus.at", place=one["source"], what=one["reason"])
        for one in statistics.get("skipped_sources", ())
    ]
    if lost:
        yield say("trial.card-left-out", sources=lost)
    yield from (f"- {Message.load(one).say()}" for one in statistics.get("left_out", ()))
    yield from ("", *_licences(statistics))


def _licences(statistics: Mapping[str, Any]) -> list[str]:
    """Say what the licences of the data ask for, of each source that gave documents."""
    lines = []
    for name, one in licences_of(statistics).items():
        whose = ", ".join(part for part in (one["name"], one["authors"], one["url"]) if part and part != name)
        lines.append(
            f"- {name}{f' ({whose})' if whose else ''}: {one['licence']}; {Message.load(one['terms']).say()}."
        )
    return ["Licences of the data:\n", *lines, ""] if lines else []


def _parameters(facts: Facts) -> Iterator[str]:
    if facts.steps is None:
        return
    order = facts.order
    batch = order.batch.effective_batch if order.batch else None
    rows = {**order.params, "sequences in a step": batch, "steps": facts.steps, "seed": order.seed}
    yield from ("| parameter | value |", "|---|---|")
    yield from (f"| {name} | {value} |" for name, value in rows.items())
    yield from ("", "")


def command(order: Order) -> str:
    """Return the command that asks for the same study; the request beside it in the card says everything."""
    spec, purpose = order.spec, order.spec.purpose
    if purpose.kind == "ensemble":
        return f"coref-k8s ensemble {purpose.study} --top {len(purpose.trials)} --seq-len {order.seq_len} --name {order.study}"
    limit = "none" if spec.data.train_limit is None else spec.data.train_limit
    which = "".join(f" --trial {number}" for number in purpose.trials)
    return (
        f"coref-k8s train {purpose.study}{which} --seq-len {order.seq_len} --train-limit {limit} "
        f"--name {order.study}"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
