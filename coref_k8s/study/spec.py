"""`StudySpec`: the only definition of a request.

The command line's options, the YAML file, the custom resource with its OpenAPI schema and the chart's
documentation are all made from these classes; the text under each field is its `--help` everywhere.
Keys are written in camelCase in YAML and in the custom resource, in snake_case in Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from coref_k8s.study.base import (
    Amount,
    Choices,
    Cores,
    Count,
    Few,
    Keyed,
    Label,
    Many,
    Memory,
    Name,
    Positive,
    Request,
    Seconds,
    Seed,
    Share,
    Text,
    Whole,
    added,
    flag,
    integer,
    refuse,
    without_nulls,
)
from coref_k8s.study.parameters import PARAMETERS, crossed, space_for, unknown_parameter
from coref_k8s.study.ranges import Range
from coref_k8s.study.refusals import refused
from coref_k8s.study.tasks import EPOCHS, METRICS, TASKS, WEIGHTS, Task, task_of_metric

#: Sequence lengths (tokens) of the memory table, shortest first.
SEQ_LENGTHS = (512, 768, 1024, 1280, 1536, 1792, 2048)
#: What a length must be a multiple of when `any_length` is set.
LENGTH_STEP = 64
#: Most lengths of a study.
MAX_LENGTHS = 32
Length = Annotated[int, *integer(le=2**20)]
Lengths = Annotated[tuple[Length, ...], Field(strict=False, max_length=MAX_LENGTHS)]
Batch = Annotated[int, *integer(ge=1, le=65_536)]
Gain = Annotated[float, Field(gt=0, le=1)]
Density = Annotated[float, Field(ge=0, le=1000)]
Space = Annotated[
    dict[str, Range],
    BeforeValidator(lambda space: without_nulls(space, PARAMETERS)),
]
Weight = Annotated[float, Field(ge=0, le=1000)]


class DatasetConfig(Request):
    """One source of text, on a hub, on disk, or registered by the user's own package."""

    source: Name
    """Hub id (`wikimedia/wikipedia`), or a path to a file or folder (txt, jsonl, parquet, conllu, coref.txt), or `gaps:N` or `people:N` for N generated documents."""
    subset: Text | None = None
    """Configuration of the hub dataset, such as `20231101.ko`."""
    split: Name = "train"
    """Split of the hub dataset."""
    domain: Name = "general"
    """Domain name, to filter by and to report."""
    quality_weight: Positive = 1.0
    """Relative chance of a document of this source to be sampled."""
    min_length: Whole = 200
    """Shortest document kept (characters)."""
    max_length: Amount | None = None
    """Longest document kept (characters); none by default, since long ones are cut into chunks."""
    extractor: Text | None = None
    """Registered function that turns a row into text; chosen by source when not given. Of a txt file also what a document is: `lines` (each line) or `paragraphs` (what blank lines part); without either the file is one."""
    revision: Text | None = None
    """Revision of the hub dataset (commit or tag); the newest, written into the result, by default."""


#: What is read by task where a request names no sources; those of `coreference` carry chains.
SOURCES: Mapping[str, tuple[DatasetConfig, ...]] = {
    "mentions": (
        DatasetConfig(source="wikimedia/wikipedia", subset="20231101.ko", domain="encyclopedia"),
        DatasetConfig(source="klue/klue", subset="mrc", domain="news", quality_weight=1.2),
        DatasetConfig(
            source="klue/klue", subset="ynat", domain="headline", quality_weight=0.3, min_length=20
        ),
        DatasetConfig(source="squad_kor_v1", domain="encyclopedia"),
        DatasetConfig(source="dev7halo/naver-news-summarization-ko-with-gen", domain="news"),
    ),
    "coreference": (DatasetConfig(source="Elda-AI/elda-coref-ko-v2"),),
}


class DataSpec(Request):
    """Which text, and how it is filtered, split and prepared."""

    # filled in by the request, which knows its task
    sources: Many[DatasetConfig] = Field(
        default=(),
        min_length=1,
        validate_default=False,
        json_schema_extra=flag("--data", multiple=True, metavar="PATH|HUB_ID"),
    )
    """Text to read, that of the task by default: files, folders, hub data sets; what fails to load is skipped with a warning, unless nothing is left."""
    choices: Choices[Name] = Field(default=(), json_schema_extra=flag("--dataset-choice", multiple=True))
    """Prepared data (folders made by `coref-k8s prepare`) to choose among as a tuned parameter; none by default: the sources above are prepared."""
    train_limit: Amount | None = Field(default=50_000, json_schema_extra=flag("--train-limit"))
    """Most training chunks per length (chunks); `none` for all. More data take longer, few data overfit. Task coreference, whose documents stay whole, takes as many tokens as these chunks of the longest length have."""
    domains: Many[Name] = Field(default=(), json_schema_extra=flag("--domain", multiple=True))
    """Keep only documents of these domains; all by default."""
    min_coref_density: Density = 0.0
    """Least coreference density of a document (repeated mentions and pronouns per 100 words); 0 keeps all."""
    deduplicate: bool = True
    """Drop near-duplicates: texts that share two thirds of the shorter one's letters, in runs of twelve. Of two the one that is tested on stays."""
    singletons: Literal["auto", "keep", "drop"] = added("auto")
    """Entities of a single mention, in task coreference: `drop` leaves them out of the data, so that none is learnt, asked for or predicted; `keep` predicts them; `auto` as the data have them."""
    packing: bool = True
    """Put several short documents into one sequence, separated in attention, so that less padding is computed; task mentions only."""
    dev_share: Share = 0.1
    """Share of the documents kept for tuning; documents that name their split keep it."""
    test_share: Share = 0.1
    """Share of the documents kept for the final report; never trained or tuned on."""
    eval_items: Count = 200
    """Most evaluation items of a kind (items) drawn from the dev and from the test documents; task mentions only, the other one scores whole documents."""

    @model_validator(mode="after")
    def _shares(self) -> DataSpec:
        if self.dev_share + self.test_share >= 1:
            refuse("shares", "devShare")
        return self


class TrainingSpec(Request):
    """How a trial trains, apart from what is tuned."""

    # filled in by the request, which knows its task
    epoch_choices: Choices[Annotated[float, PARAMETERS["epochs"].bounds]] = Field(
        default=(),
        min_length=1,
        validate_default=False,
        json_schema_extra=flag("--epoch-choices", multiple=True),
    )
    """Passes over the training data (epochs) to choose among; 1, 2 and 3 by default, 5, 10 and 20 in task coreference."""
    max_steps: Amount | None = Field(default=None, json_schema_extra=flag("--max-steps"))
    """Budget in optimiser steps instead of epochs; for demos and tests. In task coreference the passes in which its head learns alone (`head_epochs`) come on top."""
    batch_size: Batch | None = Field(default=None, json_schema_extra=flag("--batch-size"))
    """Sequences per step before accumulation; by default the memory table's batch for the length."""
    evaluations: Count = 4
    """Evaluations in a trial, evenly spaced; the last is the result, the others feed the pruner."""
    precision: Literal["auto", "bf16", "fp16", "fp32", "tf32"] = "auto"
    """Number format of the forward pass; `auto` takes bf16 if the device supports it, else fp32. `fp16` (with loss scaling) is for GPUs without bf16, `tf32` is float32 with products in tf32."""
    attention: Literal["auto", "blocked", "eager", "flash"] = "auto"
    """Attention path; `auto` takes the fastest exact one that the device supports."""
    checkpointing: Literal["auto", "on", "off"] = "auto"
    """Recompute layers in the backward pass to save memory; `auto` only if the batch does not fit otherwise."""
    checkpoint_seconds: Seconds = 300.0
    """Time between checkpoints (seconds): the most work that a preemption can cost."""
    keep_models: Count = Field(default=5, json_schema_extra=flag("--keep-models"))
    """Best trials per length whose models are kept, for ensembles and comparisons; of other trials only scores and parameters are kept."""
    max_grad_norm: Positive | None = None
    """Gradient clipping; by default 1.0, and 0.5 above 1,024 tokens, where training is less stable."""
    compile: bool = False
    """Use torch.compile; pays off only in long runs."""


class SearchSpec(Request):
    """How parameters are searched."""

    sampler: Literal["gp", "tpe", "random"] = Field(default="gp", json_schema_extra=flag("--sampler"))
    """`gp` (Gaussian process: few, costly, noisy trials; from 100 of a length on, `tpe`), `tpe` (multivariate, constant liar) or `random`."""
    pruner: Literal["asha", "hyperband", "median", "wilcoxon", "none"] = Field(
        default="asha", json_schema_extra=flag("--pruner")
    )
    """How trials without a prospect are stopped early; never before warm-up ends."""
    startup_trials: Count = 5
    """Random trials per length before the sampler's model is used."""
    defaults_first: bool = Field(default=True, json_schema_extra=flag("--defaults-first/--no-defaults-first"))
    """Try the middle of every range first, the setting one would use without a search, when nothing else is known."""
    patience: Count | None = Field(default=None, json_schema_extra=flag("--patience"))
    """Stop a length after this many complete or pruned trials in a row without a better score (trials); by default all `trials` run."""
    min_gain: Gain | None = Field(default=None, json_schema_extra=flag("--min-gain"))
    """Stop a length when one more trial is expected to improve the best score by less than this (score); by default all `trials` run."""
    allocation: Literal["ladder", "even"] = Field(default="ladder", json_schema_extra=flag("--allocation"))
    """How trials are divided among lengths: `ladder` lets the shortest explore, carries its best up, and lets a longer length search by itself, for what the shortest's trials cost, only where these are no better there than random ones; `even` gives every length `trials`."""
    budget: Positive | None = Field(default=None, json_schema_extra=flag("--budget"))
    """What the trials of all lengths may cost together, in place of `trials` (trials of the longest length; one of half its tokens costs half)."""
    warm_start: bool = Field(default=True, json_schema_extra=flag("--warm-start/--no-warm-start"))
    """Run shorter lengths first and start longer ones from their best parameters."""
    warm_start_from: Text | None = Field(default=None, json_schema_extra=flag("--warm-start-from"))
    """Another study, in the same place, whose best trials and results this one starts from, within its own ranges."""
    space: Space = {}
    """Ranges that replace the default ones for every length, by parameter name."""
    space_by_length: dict[int, Space] = Field(default={}, max_length=MAX_LENGTHS)
    """Ranges that replace the default ones for one length."""
    finalists: Whole = Field(default=0, json_schema_extra=flag("--finalists"))
    """Best trials per length to run again with fresh seeds, with the defaults and the untuned model, before a winner is chosen; 0 trusts the single run."""
    finalist_seeds: Count = Field(default=3, json_schema_extra=flag("--finalist-seeds"))
    """Fresh seeds for each finalist (runs)."""

    @field_validator("space_by_length", mode="before")
    @classmethod
    def _int_keys(cls, value: Any) -> Any:
        # JSON and the custom resource have no integer keys
        if isinstance(value, dict):
            return {int(k) if _is_length(k) else k: v for k, v in value.items() if v is not None}
        return value


def _is_length(key: Any) -> bool:
    return isinstance(key, str) and re.fullmatch("[1-9][0-9]{1,6}", key) is not None


class ObjectiveSpec(Request):
    """What is maximised: a weighted sum of metrics, each between 0 and 1."""

    # filled in by the request, which knows its task
    weights: Keyed[Weight] = Field(default={}, min_length=1, validate_default=False)
    """Weight of each metric by name; by default 0.4 coref_f1, 0.3 coref_top5 and 0.3 lbd_top1, and conll_f1 alone in task coreference, which also has lea_f1 and mention_f1. Registered custom metrics may be named."""

    @field_validator("weights")
    @classmethod
    def _weights(cls, weights: dict[str, float]) -> dict[str, float]:
        if not any(weights.values()):
            refuse("weights")
        return weights


class LimitsSpec(Request):
    """When to retry, when to give up, when to stop."""

    max_failed_trials: Whole = Field(default=5, json_schema_extra=flag("--max-failed-trials"))
    """Failed trials that a study tolerates; one more fails it."""
    retries: Few = 2
    """Restarts of a crashed trial, from its checkpoint (the Job's backoffLimit)."""
    max_disruptions: Whole = 20
    """Preemptions, evictions and lost nodes that a trial tolerates, since they are not its fault."""
    memory_tiers: Few = 2
    """Restarts of a trial that ran out of memory, each with more."""
    pending_deadline: Seconds = 1800.0
    """Time a pod may wait for an image that cannot be pulled before the attempt fails (seconds)."""
    max_duration: Seconds | None = Field(default=None, json_schema_extra=flag("--max-duration"))
    """Time after which no new trial starts (seconds)."""
    max_gpu_hours: Positive | None = Field(default=None, json_schema_extra=flag("--max-gpu-hours"))
    """GPU time after which no new trial starts (hours x GPUs)."""
    on_end: Literal["stop", "drain"] = "stop"
    """What happens to running trials when the study is cancelled, fails or reaches a limit."""


class PurposeSpec(Request):
    """What a study is for: a search, or a model made from a search's results."""

    kind: Literal["search", "train", "ensemble"] = "search"
    """`search` tunes parameters; `train` is a final training with fixed ones, scored on test; `ensemble` combines trained models if that is better."""
    study: Text | None = None
    """Study whose results are used, and its prepared data if the request for data is the same."""
    trials: Many[Whole] = ()
    """Its trials of this length: the one whose parameters are used, or the members of the ensemble, best first."""


class Toleration(Request):
    """A Kubernetes toleration."""

    key: Text | None = None
    """Taint key; all keys when not given."""
    operator: Literal["Exists", "Equal"] | None = None
    """How the key is matched; `Equal` if a value is given, else `Exists`."""
    value: Text | None = None
    """Taint value, with `Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; all when not given."""

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            refuse("toleration-exists", "value")
        if self.value is not None and not self.key:
            refuse("toleration-key", "value")
        return self


#: Key of `pod.resourceClaims` for the lengths that are not named.
EVERY_LENGTH = "*"


class PodSpec(Request):
    """Where and how pods run; of these, one machine knows GPUs and memory only."""

    image: Text | None = Field(default=None, json_schema_extra=flag("--image"))
    """Trial image; the controller's default when not given."""
    gpus: Few = Field(default=1, json_schema_extra=flag("--gpus", panel="training"))
    """GPUs of a trial, which share its batches, one process each; 0 runs on CPU. On one machine those that are there, when not given."""
    gpu_resource: Name = "nvidia.com/gpu"
    """Resource name of a GPU."""
    resource_claims: Keyed[Name] = added({})
    """ResourceClaimTemplate of a trial's GPUs by sequence length, `*` for all others, in the place of the resource name (DRA, Kubernetes 1.34): whole cards, MIG slices or shares by memory, `gpus` of them."""
    cpu: Cores | None = None
    """CPU request, such as `4`; by length when not given."""
    memory: Memory | None = None
    """Host memory request and limit, such as `24Gi`; by length when not given. Batches of trials on the CPU are sized for it; on one machine it is what there is."""
    node_selector: Keyed[Label] = {}
    """Labels a node must have."""
    tolerations: Many[Toleration] = ()
    """Taints to tolerate, in addition to that of the GPU."""
    priority_class: Text | None = None
    """Name of a PriorityClass."""
    queue_name: Text | None = Field(default=None, json_schema_extra=flag("--queue"))
    """Kueue LocalQueue that admits the trials."""
    service_account: Text | None = None
    """Service account of the pods (no token is mounted); the namespace's default when not given."""
    labels: Keyed[Label] = {}
    """Labels added to Jobs and pods."""
    annotations: Keyed[Text] = {}
    """Annotations added to pods."""


def _task(info: ValidationInfo) -> str:
    # absent where it was refused itself
    return str(info.data.get("task", TASKS[0]))


class StudySpec(Request):
    """A request: the best model for each sequence length.

    Raises RequestError for a value that cannot work, with one sentence.
    """

    task: Task = added(TASKS[0], flag("--task"))
    """What is trained and scored: `mentions` (a masked language model that fills hidden mentions) or `coreference` (an encoder with a head that finds who is who, on documents with gold chains)."""
    seq_lengths: Lengths = Field(
        default=(1024, 1536, 2048),
        min_length=1,
        json_schema_extra=flag("--seq-lengths", multiple=True),
    )
    """Sequence lengths to tune for (tokens), from 512, 768, 1024, 1280, 1536, 1792, 2048."""
    any_length: bool = Field(default=False, json_schema_extra=flag("--any-length"))
    """Allow any multiple of 64 tokens as a length; for small models and tests."""
    model: Name = Field(default="kakaobank/kf-deberta-base", json_schema_extra=flag("--model"))
    """Hub id or folder of the model to start from. The command line and Python also take a study's result, `STUDY/TOKENS` or `STUDY/TOKENS/NUMBER`."""
    model_revision: Text | None = None
    """Revision of the hub model; the newest, written into the result, by default."""
    trials: Count = Field(default=20, json_schema_extra=flag("--trials"))
    """Trials per length."""
    parallelism: Count = Field(default=4, json_schema_extra=flag("--parallelism"))
    """Most trials that run at once; on one machine also limited by its GPUs (or CPU cores)."""
    seed: Seed = Field(default=0, json_schema_extra=flag("--seed"))
    """Seed of everything random; with a parallelism of 1 a study repeats exactly."""
    purpose: PurposeSpec = PurposeSpec()
    """Purpose; made by `coref-k8s train` and `coref-k8s ensemble`."""
    gpu_memory_gb: Positive = Field(default=40.0, json_schema_extra=flag("--gpu-memory-gb"))
    """Memory of one GPU (GB) that batches are sized for; 80 % of it is used. On one machine it is that of the card, when not given."""
    data: DataSpec = DataSpec()
    """Text."""
    training: TrainingSpec = TrainingSpec()
    """Training."""
    search: SearchSpec = SearchSpec()
    """Search."""
    objective: ObjectiveSpec = ObjectiveSpec()
    """Objective."""
    limits: LimitsSpec = LimitsSpec()
    """Limits."""
    pod: PodSpec = PodSpec()
    """Pods."""

    @field_validator("seq_lengths")
    @classmethod
    def _sorted(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(lengths)))

    @field_validator("data")
    @classmethod
    def _sources(cls, data: DataSpec, info: ValidationInfo) -> DataSpec:
        return data if data.sources else data.model_copy(update={"sources": SOURCES[_task(info)]})

    @field_validator("training")
    @classmethod
    def _epochs(cls, training: TrainingSpec, info: ValidationInfo) -> TrainingSpec:
        if training.epoch_choices:
            return training
        return training.model_copy(update={"epoch_choices": EPOCHS[_task(info)]})

    @field_validator("objective")
    @classmethod
    def _weights(cls, objective: ObjectiveSpec, info: ValidationInfo) -> ObjectiveSpec:
        task = _task(info)
        for name in objective.weights:
            if (other := task_of_metric(name)) not in (None, task):
                refuse(
                    "weights-of-others",
                    "weights",
                    name,
                    name=name,
                    other=other,
                    task=task,
                    known=list(METRICS[task]),
                )
        return (
            objective if objective.weights else objective.model_copy(update={"weights": dict(WEIGHTS[task])})
        )

    @model_validator(mode="after")
    def _lengths(self) -> StudySpec:
        for length in self.seq_lengths:
            if self.any_length and (length < LENGTH_STEP or length % LENGTH_STEP):
                near = max(LENGTH_STEP, round(length / LENGTH_STEP) * LENGTH_STEP)
                refuse("length-step", "seqLengths", length=length, step=LENGTH_STEP, near=near)
            elif not self.any_length and length not in SEQ_LENGTHS:
                near = min(SEQ_LENGTHS, key=lambda known: abs(known - length))
                known = ", ".join(map(str, SEQ_LENGTHS))
                refuse("length-unknown", "seqLengths", length=length, known=known, near=near)
        if self.search.finalists > self.trials:
            refuse("finalists", "search", "finalists", finalists=self.search.finalists, trials=self.trials)
        for length in self.search.space_by_length:
            if length not in self.seq_lengths:
                refuse("length-not-tuned", "search", "spaceByLength", str(length), length=length)
        for key in self.pod.resource_claims:
            if key != EVERY_LENGTH and key not in map(str, self.seq_lengths):
                refuse("claim-of-no-length", "pod", "resourceClaims", key, key=key)
        return self

    @model_validator(mode="after")
    def _space(self) -> StudySpec:
        spaces: dict[tuple[str, ...], dict[str, Range]] = {("space",): self.search.space} | {
            ("spaceByLength", str(length)): space for length, space in self.search.space_by_length.items()
        }
        for way, space in spaces.items():
            for name, one in space.items():
                if (unknown := unknown_parameter(name, self.task)) is not None:
                    refuse(unknown, "search", *way, name)
                for at, problem in PARAMETERS[name].problems(one):
                    refuse(problem, "search", *way, name, *at)
                if self.purpose.kind != "search" and not one.fixed:
                    refuse("purpose-searches", "search", *way, name, kind=self.purpose.kind)
        for length in self.seq_lengths:
            if (wrong := crossed(space_for(self, length), length)) is not None:
                near = [way for way in spaces if way in (("space",), ("spaceByLength", str(length)))]
                way = next((*w, n) for w in reversed(near) for n in spaces[w] if n.startswith("mask_"))
                refuse(wrong, "search", *way)
        return self

    @model_validator(mode="after")
    def _purpose(self) -> StudySpec:
        purpose, kind = self.purpose, self.purpose.kind
        if kind == "search":
            if purpose.study is not None or purpose.trials:
                refuse("purpose-of-others", "purpose", "trials" if purpose.trials else "study")
            return self
        if purpose.study is None:
            refuse("purpose-study", "purpose", "kind", kind=kind)
        if len(self.seq_lengths) != 1 or self.trials != 1 or self.search.finalists:
            refuse("purpose-one", "purpose", "kind", kind=kind)
        if len(set(purpose.trials)) < len(purpose.trials):
            refuse("purpose-twice", "purpose", "trials")
        if kind == "ensemble" and len(purpose.trials) < 2:
            refuse("purpose-members", "purpose", "kind")
        return self

    if not TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None:
            # what a person has written in Python is refused as what is written in YAML: in one sentence
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise refused(error, StudySpec) from None

        #: validation of mappings and JSON does not go through it
        __init__.__pydantic_base_init__ = True
