"""The model card: what a model is, what it was made of, how good it is and how sure that is, and its limits.

A `README.md` with the front matter that the Hugging Face hub reads. Pure: facts in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coref_k8s.corpus.generated import is_generated
from coref_k8s.corpus.local import is_local
from coref_k8s.evaluation.compare import Difference
from coref_k8s.study import yaml12
from coref_k8s.study.order import Order
from coref_k8s.trial.licences import UNKNOWN
from coref_k8s.wording import Message

#: Metrics in the order of the tables, by their headings.
METRICS = {
    "score": "Score (weighted)",
    "coref_f1": "Coref F1",
    "coref_top1": "Coref Top1",
    "coref_top5": "Coref Top5",
    "lbd_top1": "LAMBADA Top1",
}
_WORDS = {
    "train": "A masked language model for Korean documents of up to {length:,} tokens, trained by coref-k8s with the parameters "
    "that study `{study}` found best (its trial {trials}).",
    "ensemble": "Masked language modelling of Korean documents of up to {length:,} tokens: the {way} of "
    "{count} models of study `{study}` (its trials {trials}).",
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
    way: str = ""
    """How several models were joined."""


def card(facts: Facts, usage: str | None = None) -> str:
    """Return the text of `README.md`; `usage` for what is not simply opened as one model."""
    head = yaml12.write(_front_matter(facts))
    parts = [
        f"---\n{head}---\n",
        *_intro(facts),
        *_use(facts, usage or _ONE_MODEL),
        *_metrics(facts),
        *_comparisons(facts),
    ]
    return "\n".join([*parts, *_data(facts), *_made(facts), *_limits(facts)])


def _front_matter(facts: Facts) -> dict[str, Any]:
    order, spec = facts.order, facts.order.spec
    head: dict[str, Any] = {"language": ["ko"], "library_name": "transformers", "pipeline_tag": "fill-mask"}
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
        for name, heading in METRICS.items()
        if name in facts.test
    ]
    task = {"type": "fill-mask", "name": "masked mentions"}
    data = {"type": "coref-k8s", "name": f"test documents of {order.prepared or spec.purpose.study}"}
    head["model-index"] = [
        {"name": order.study, "results": [{"task": task, "dataset": data, "metrics": metrics}]}
    ]
    return head


def _intro(facts: Facts) -> list[str]:
    order, purpose = facts.order, facts.order.spec.purpose
    words = _WORDS[purpose.kind].format(
        length=order.seq_len,
        study=purpose.study,
        trials=", ".join(map(str, facts.members)) or "not named",
        count=len(facts.members),
        way=facts.way,
    )
    base = f"`{order.spec.model}`" + (f" at {facts.model_revision}" if facts.model_revision else "")
    licence = "its card names none" if facts.licence == UNKNOWN else f"licence: {facts.licence}"
    return [f"# {order.study}\n", f"{words} It started from {base} ({licence}).\n"]


_ONE_MODEL = """\
from transformers import AutoModelForMaskedLM, AutoTokenizer

model = AutoModelForMaskedLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
"""


def usage_of_members(members: Sequence[str]) -> str:
    """Return Python that averages the probabilities of several models in one folder."""
    return f"""\
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

members = {list(members)!r}
models = [AutoModelForMaskedLM.from_pretrained(f"FOLDER/{{name}}").eval() for name in members]
tokenizer = AutoTokenizer.from_pretrained(f"FOLDER/{{members[0]}}")


@torch.no_grad()
def probabilities(text):
    batch = tokenizer(text, return_tensors="pt")
    return torch.stack([model(**batch).logits.softmax(-1) for model in models]).mean(0)
"""


def _use(facts: Facts, usage: str) -> list[str]:
    return [
        f"```python\n{usage}```\n",
        f"Trained and scored at {facts.order.seq_len} tokens (`max_position_embeddings`); position range: "
        f"{facts.position_range}. No code but transformers is needed.\n",
    ]


def _metrics(facts: Facts) -> list[str]:
    lines = [
        "## Metrics\n",
        "Test documents were scored once, after everything was chosen. `by context` is the gain over the same items with",
        "every earlier occurrence of the answer masked. Intervals: 95 %, bootstrap over documents.\n",
        "| metric | test | 95 % interval | by context | dev |",
        "|---|---|---|---|---|",
    ]
    for name, heading in METRICS.items():
        if name in facts.test:
            low, high = facts.test.get(f"{name}_ci_low"), facts.test.get(f"{name}_ci_high")
            gain = facts.test.get(f"{name}_gain")
            lines.append(
                f"| {heading} | {facts.test[name]:.3f} "
                f"| {'' if low is None or high is None else f'{low:.3f} … {high:.3f}'} "
                f"| {'' if gain is None else f'{gain:+.3f}'} | {_number(facts.dev.get(name))} |"
            )
    founding = [
        f"{heading} {facts.test[f'seed_{name}']:.3f}"
        for name, heading in METRICS.items()
        if f"seed_{name}" in facts.test
    ]
    if founding:
        lines += ["", f"The founding document's way of counting, for comparison: {', '.join(founding)}."]
    return [*lines, ""]


def _comparisons(facts: Facts) -> list[str]:
    lines = ["## Compared with\n"]
    names = Message.of("verdict.this-model"), Message.of("trial.it")
    for one in facts.compared:
        lines.append(f"- {one.against}, {one.split} documents:")
        lines += [f"  - {d.claim(*names)}" for d in one.differences if d.metric in METRICS]
    if not facts.compared:
        lines.append("Nothing.")
    return [*lines, ""]


def _data(facts: Facts) -> list[str]:
    statistics = facts.statistics
    revisions, read = statistics.get("revisions", {}), statistics.get("read", {})
    lines = ["## Data\n", "| source | revision | documents read | kept |", "|---|---|---|---|"]
    for name, count in read.items():
        kept = statistics.get("sources", {}).get(name, 0)
        lines.append(f"| {name} | {revisions.get(name, '')} | {count:,} | {kept:,} |")
    lost = [f"{one['source']} ({one['reason']})" for one in statistics.get("skipped_sources", ())]
    documents = statistics.get("documents", {})
    rows = statistics.get("lengths", {}).get(str(facts.order.seq_len), {}).get("rows")
    lines += [
        "",
        "Split by document before filtering: "
        + ", ".join(f"{count:,} {split}" for split, count in documents.items())
        + (f"; {rows:,} training sequences" if rows is not None else "")
        + f". Prepared data `{facts.order.prepared}`, test items `{facts.items_sha256[:16]}`.",
    ]
    return [*lines, *([f"Left out: {', '.join(lost)}."] if lost else []), "", *_licences(statistics)]


def _licences(statistics: Mapping[str, Any]) -> list[str]:
    """Say what the licences of the data ask for, of each source that gave documents."""
    kept = {name: one for name, one in statistics.get("licences", {}).items() if statistics["read"].get(name)}
    lines = []
    for name, one in kept.items():
        whose = ", ".join(part for part in (one["name"], one["authors"], one["url"]) if part and part != name)
        lines.append(
            f"- {name}{f' ({whose})' if whose else ''}: {one['licence']}; {Message.load(one['terms']).say()}."
        )
    return ["Licences of the data:\n", *lines, ""] if lines else []


def _made(facts: Facts) -> list[str]:
    order, spec = facts.order, facts.order.spec
    lines = ["## How it was made\n"]
    if facts.steps is not None:
        lines += ["| parameter | value |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in order.params.items()]
        batch = order.batch.effective_batch if order.batch else None
        lines += [f"| sequences in a step | {batch} |", f"| steps | {facts.steps} |"]
        lines += [f"| seed | {order.seed} |", ""]
    request = yaml12.write(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    return [
        *lines,
        f"On {facts.hardware}, with {versions}. Command:\n",
        f"```sh\n{command(order)}\n```\n",
        f"which is `coref-k8s submit --name {order.study} -f request.yaml` with\n",
        f"```yaml\n{request}```\n",
    ]


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


def _limits(facts: Facts) -> list[str]:
    return [
        "## Limits\n",
        "- It fills masks; it is no coreference resolver by itself and no generator. Scores are those of masked mentions and words.",
        f"- Nothing was measured beyond {facts.order.seq_len} tokens, nor on other domains than those of the data above.",
        "- Dev documents were used to choose parameters, and models where several were joined: their scores are too kind.",
        "- One run, one seed: the intervals cover the choice of documents, not that of seeds.",
        "- Texts carry the biases and mistakes of their sources; the licences of the data above are their own.",
        "- Nouns and names are cut by Kiwi, whose mistakes the items inherit.",
        "",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
