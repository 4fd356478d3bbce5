"""`StudySpec`: the only definition of a request.

The command line's options, the YAML file, the custom resource with its OpenAPI schema and the chart's
documentation are all made from these classes; the text under each field is its `--help` everywhere.
Keys are written in camelCase in YAML and in the custom resource, in snake_case in Python.
"""

from __future__ import annotations

import difflib
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

#: Sequence lengths (tokens) of the memory table, shortest first.
SEQ_LENGTHS = (512, 768, 1024, 1280, 1536, 1792, 2048)
#: What a length must be a multiple of when `any_length` is set.
LENGTH_STEP = 64
#: Parameters that a search space may hold, in the order in which they are shown.
PARAMETERS = (
    "learning_rate",
    "warmup_ratio",
    "weight_decay",
    "layer_decay",
    "accumulation",
    "mask_low",
    "mask_high",
    "mention_share",
    "distance_preference",
    "position_range",
    "epochs",
    "dataset",
)


class Request(BaseModel):
    """Base of every part of a request: strict, immutable, unknown keys refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )


Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Seconds = Annotated[float, Field(gt=0, strict=False)]


def flag(*names: str, **more: Any) -> dict[str, Any]:
    """JSON-schema extra that gives a field its option name(s) on the command line."""
    return {"flag": list(names), **more}


class Range(Request):
    """One dimension of the search space: `low`/`high` (floats; `log` for a log scale) or `choices`."""

    low: float | None = Field(default=None, strict=False)
    """Smallest value, inclusive."""
    high: float | None = Field(default=None, strict=False)
    """Largest value, inclusive."""
    log: bool = False
    """Sample the logarithm of the value uniformly; needs `low` above 0."""
    choices: tuple[str | float | int, ...] | None = Field(default=None, strict=False)
    """The values to choose among, instead of `low` and `high`; one value fixes the parameter."""

    @model_validator(mode="after")
    def _not_empty(self) -> Range:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give either choices, or low and high, not both")
            if not self.choices:
                raise ValueError("choices is empty; name at least one value")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError("low and high must be finite numbers")
        if self.low > self.high:
            raise ValueError(f"the range is empty: low {self.low:g} is above high {self.high:g}; swap them")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range needs low above 0, not {self.low:g}")
        return self

    @property
    def fixed(self) -> bool:
        """Whether it holds one value only."""
        return self.low == self.high if self.choices is None else len(set(self.choices)) == 1


class DatasetConfig(Request):
    """One source of text, on a hub, on disk, or registered by the user's own package."""

    source: str
    """Hub id (`wikimedia/wikipedia`), or a path to a file or folder (txt, jsonl, parquet, conllu, coref.txt), or `gaps:N` or `people:N` for N generated documents."""
    subset: str | None = None
    """Configuration of the hub dataset, such as `20231101.ko`."""
    split: str = "train"
    """Split of the hub dataset."""
    domain: str = "general"
    """Domain name, to filter by and to report."""
    quality_weight: float = Field(default=1.0, gt=0, strict=False)
    """Relative chance of a document of this source to be sampled."""
    min_length: int = Field(default=200, ge=0)
    """Shortest document kept (characters)."""
    max_length: int | None = Field(default=None, ge=1)
    """Longest document kept (characters); none by default, since long ones are cut into chunks."""
    extractor: str | None = None
    """Name of the registered function that turns a row into text; chosen by source when not given."""
    revision: str | None = None
    """Revision of the hub dataset (commit or tag); the newest, written into the result, by default."""


DEFAULT_SOURCES = (
    DatasetConfig(source="wikimedia/wikipedia", subset="20231101.ko", domain="encyclopedia"),
    DatasetConfig(source="klue/klue", subset="mrc", domain="news", quality_weight=1.2),
    DatasetConfig(source="klue/klue", subset="ynat", domain="headline", quality_weight=0.3, min_length=20),
    DatasetConfig(source="squad_kor_v1", domain="encyclopedia"),
    DatasetConfig(source="dev7halo/naver-news-summarization-ko-with-gen", domain="news"),
)


class DataSpec(Request):
    """Which text, and how it is filtered, split and prepared."""

    sources: tuple[DatasetConfig, ...] = Field(default=DEFAULT_SOURCES, min_length=1, strict=False)
    """Sources to read; one that fails to load is skipped with a warning while another is left."""
    choices: tuple[str, ...] = Field(
        default=(), strict=False, json_schema_extra=flag("--dataset-choice", multiple=True)
    )
    """Prepared data (folders made by `coref-k8s prepare`) to choose among as a tuned parameter; none by default: the sources above are prepared."""
    train_limit: int | None = Field(default=50_000, ge=1, json_schema_extra=flag("--train-limit"))
    """Most training chunks a length gets (chunks); `none` for all. Larger data cost time, small data overfit."""
    domains: tuple[str, ...] = Field(
        default=(), strict=False, json_schema_extra=flag("--domain", multiple=True)
    )
    """Keep only documents of these domains; all by default."""
    min_coref_density: float = Field(default=0.0, ge=0, strict=False)
    """Least coreference density of a document (repeated mentions and pronouns per 100 words); 0 keeps all."""
    deduplicate: bool = True
    """Drop near-duplicates (MinHash over word 5-grams, Jaccard 0.8)."""
    packing: bool = True
    """Put several short documents into one sequence, kept apart in attention; less padding is computed."""
    dev_share: Share = 0.1
    """Share of the documents kept for tuning; documents that name their split keep it."""
    test_share: Share = 0.1
    """Share of the documents kept for the final report; never trained or tuned on."""
    eval_items: Count = 200
    """Most evaluation items of a kind (items) drawn from the dev and from the test documents."""

    @model_validator(mode="after")
    def _shares(self) -> DataSpec:
        if self.dev_share + self.test_share >= 1:
            raise ValueError("devShare and testShare leave nothing to train on; their sum must be below 1")
        return self


class TrainingSpec(Request):
    """How a trial trains, apart from what is tuned."""

    epoch_choices: tuple[float, ...] = Field(
        default=(1.0, 2.0, 3.0),
        min_length=1,
        strict=False,
        json_schema_extra=flag("--epoch-choices", multiple=True),
    )
    """Passes over the training data (epochs) to choose among."""
    max_steps: int | None = Field(default=None, ge=1, json_schema_extra=flag("--max-steps"))
    """Budget in optimiser steps instead of epochs; for demos and tests."""
    batch_size: int | None = Field(default=None, ge=1, json_schema_extra=flag("--batch-size"))
    """Sequences per step before accumulation; by default the memory table's batch for the length."""
    evaluations: Count = 4
    """Evaluations in a trial, evenly spaced; the last is the result, the others feed the pruner."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Number format of the forward pass; `auto` takes bf16 where the device has it."""
    attention: Literal["auto", "blocked", "eager", "flash"] = "auto"
    """Attention path; `auto` takes the fastest exact one that the device runs."""
    checkpointing: Literal["auto", "on", "off"] = "auto"
    """Recompute layers in the backward pass to save memory; `auto` only where the batch would not fit."""
    checkpoint_seconds: Seconds = 300.0
    """Time between checkpoints (seconds); what a preemption can cost at most."""
    keep_models: Count = Field(default=5, json_schema_extra=flag("--keep-models"))
    """Best trials per length whose models are kept, for ensembles and comparisons; a model that falls behind is deleted, its scores and parameters stay."""
    max_grad_norm: float | None = Field(default=None, gt=0, strict=False)
    """Gradient clipping; by default 1.0, and 0.5 above 1,024 tokens, where training is less stable."""
    compile: bool = False
    """Use torch.compile; pays off only in long runs."""


class SearchSpec(Request):
    """How parameters are searched."""

    sampler: Literal["gp", "tpe", "random"] = Field(default="gp", json_schema_extra=flag("--sampler"))
    """`gp` (Gaussian process: few, costly, noisy trials; from 100 of a length on, `tpe`), `tpe` (multivariate, constant liar) or `random`."""
    pruner: Literal["asha", "hyperband", "median", "wilcoxon", "none"] = Field(
        default="median", json_schema_extra=flag("--pruner")
    )
    """What stops hopeless trials early; never before warm-up ends."""
    startup_trials: Count = 5
    """Random trials per length before the sampler's model is used."""
    defaults_first: bool = Field(default=True, json_schema_extra=flag("--defaults-first/--no-defaults-first"))
    """Begin with the middle of every range, what one would take without searching, where nothing else is known."""
    patience: int | None = Field(default=None, ge=1, json_schema_extra=flag("--patience"))
    """Complete or pruned trials in a row without a better score after which a length begins no more (trials); by default all `trials` are run."""
    min_gain: float | None = Field(default=None, gt=0, le=1, json_schema_extra=flag("--min-gain"))
    """Expected improvement of the best score by one more trial below which a length begins no more (score); by default all `trials` are run."""
    warm_start: bool = Field(default=True, json_schema_extra=flag("--warm-start/--no-warm-start"))
    """Run shorter lengths ahead and start longer ones from their best regions."""
    warm_start_from: str | None = Field(default=None, json_schema_extra=flag("--warm-start-from"))
    """Name of another study, in the same place, whose best trials and results start this one, within this one's ranges."""
    space: dict[str, Range] = {}
    """Ranges that replace the default ones for every length, by parameter name."""
    space_by_length: dict[int, dict[str, Range]] = Field(default={}, strict=False)
    """Ranges that replace the default ones for one length."""
    finalists: int = Field(default=0, ge=0, json_schema_extra=flag("--finalists"))
    """Best trials per length re-run with fresh seeds, beside the defaults and the untuned model, before a winner is named; 0 trusts the single run."""
    finalist_seeds: int = Field(default=3, ge=1, json_schema_extra=flag("--finalist-seeds"))
    """Fresh seeds for each finalist (runs)."""

    @field_validator("space")
    @classmethod
    def _known(cls, space: dict[str, Range]) -> dict[str, Range]:
        for name in space:
            _check_parameter(name)
        return space

    @field_validator("space_by_length", mode="before")
    @classmethod
    def _int_keys(cls, value: Any) -> Any:
        # JSON and the custom resource have no integer keys
        if isinstance(value, dict):
            return {int(k) if isinstance(k, str) and k.isdigit() else k: v for k, v in value.items()}
        return value

    @field_validator("space_by_length")
    @classmethod
    def _known_by_length(cls, value: dict[int, dict[str, Range]]) -> dict[int, dict[str, Range]]:
        for space in value.values():
            for name in space:
                _check_parameter(name)
        return value


def _check_parameter(name: str) -> None:
    if name not in PARAMETERS:
        close = difflib.get_close_matches(name, PARAMETERS, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(PARAMETERS)}"
        raise ValueError(f"{name!r} is not a tuned parameter; {known}")


class ObjectiveSpec(Request):
    """What is maximised: a weighted sum of metrics, each between 0 and 1."""

    weights: dict[str, float] = Field(
        default={"coref_f1": 0.4, "coref_top5": 0.3, "lbd_top1": 0.3}, min_length=1, strict=False
    )
    """Weight of each metric by name; registered custom metrics may be named."""

    @field_validator("weights")
    @classmethod
    def _weights(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(w < 0 or not math.isfinite(w) for w in weights.values()) or not any(weights.values()):
            raise ValueError("weights must not be negative and at least one must be above 0")
        return weights


class LimitsSpec(Request):
    """When to retry, when to give up, when to stop."""

    max_failed_trials: int = Field(default=5, ge=0, json_schema_extra=flag("--max-failed-trials"))
    """Failed trials in the whole study that are borne; one more fails the study."""
    retries: int = Field(default=2, ge=0)
    """Times a crashed trial is started again, from its checkpoint (the Job's backoffLimit)."""
    max_disruptions: int = Field(default=20, ge=0)
    """Preemptions, evictions and lost nodes that a trial survives; they are not its fault."""
    memory_tiers: int = Field(default=2, ge=0)
    """Times a trial that ran out of memory is started again with more."""
    pending_deadline: Seconds = 1800.0
    """Time a pod may wait to be scheduled before the study says so (seconds)."""
    max_duration: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, strict=False, json_schema_extra=flag("--max-duration")
    )
    """Time after which no new trial starts (seconds)."""
    max_gpu_hours: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, strict=False, json_schema_extra=flag("--max-gpu-hours")
    )
    """GPU time after which no new trial starts (hours x GPUs)."""
    on_end: Literal["stop", "drain"] = "stop"
    """What happens to running trials when the study is cancelled, fails or reaches a limit."""


class PurposeSpec(Request):
    """What a study is for: a search, or what is made of a search's results."""

    kind: Literal["search", "train", "ensemble"] = "search"
    """`search` tunes parameters; `train` is a final training with fixed ones, scored on test; `ensemble` joins trained models where that is better."""
    study: str | None = None
    """Study whose results are used; its prepared data are taken where the request for data is the same."""
    trials: tuple[int, ...] = Field(default=(), strict=False)
    """Its trials of this length: the one whose parameters are trained with, or the members of the ensemble, best first."""


class Toleration(Request):
    """A Kubernetes toleration."""

    key: str | None = None
    """Taint key; all keys when not given."""
    operator: Literal["Exists", "Equal"] | None = None
    """How the key is matched; `Equal` where a value is given, else `Exists`."""
    value: str | None = None
    """Taint value, with `Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; all when not given."""

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            raise ValueError("a toleration with the operator Exists has no value; leave one of the two out")
        if self.value is not None and not self.key:
            raise ValueError("a toleration with a value needs the key of the taint")
        return self


class PodSpec(Request):
    """Where and how pods run; used on a cluster only."""

    image: str | None = Field(default=None, json_schema_extra=flag("--image"))
    """Trial image; the controller's default when not given."""
    gpus: int = Field(default=1, ge=0, json_schema_extra=flag("--gpus"))
    """GPUs of a trial; 0 runs on CPU nodes."""
    gpu_resource: str = "nvidia.com/gpu"
    """Resource name of a GPU."""
    cpu: str | None = None
    """CPU request, such as `4`; by length when not given."""
    memory: str | None = None
    """Host memory request and limit, such as `24Gi`; by length when not given."""
    node_selector: dict[str, str] = {}
    """Labels a node must have."""
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    """Taints that are tolerated, besides that of the GPU."""
    priority_class: str | None = None
    """Name of a PriorityClass."""
    queue_name: str | None = Field(default=None, json_schema_extra=flag("--queue"))
    """Kueue LocalQueue that admits the trials."""
    service_account: str | None = None
    """Service account of the pods (no token is mounted); the namespace's default when not given."""
    labels: dict[str, str] = {}
    """Labels added to Jobs and pods."""
    annotations: dict[str, str] = {}
    """Annotations added to pods."""


class StudySpec(Request):
    """A request: the best model for each sequence length."""

    seq_lengths: tuple[int, ...] = Field(
        default=(1024, 1536, 2048),
        min_length=1,
        strict=False,
        json_schema_extra=flag("--seq-lengths", multiple=True),
    )
    """Sequence lengths to tune for (tokens); each is one of 512, 768, 1024, 1280, 1536, 1792, 2048."""
    any_length: bool = Field(default=False, json_schema_extra=flag("--any-length"))
    """Allow any multiple of 64 tokens as a length; for small models and tests."""
    model: str = Field(default="kakaobank/kf-deberta-base", min_length=1, json_schema_extra=flag("--model"))
    """Hub id or folder of the masked language model to start from."""
    model_revision: str | None = None
    """Revision of the hub model; the newest, written into the result, by default."""
    trials: Count = Field(default=20, json_schema_extra=flag("--trials"))
    """Trials per length."""
    parallelism: Count = Field(default=4, json_schema_extra=flag("--parallelism"))
    """Most trials that run at once; one machine runs no more than its GPUs (or CPU cores) carry."""
    seed: int = Field(default=0, ge=0, json_schema_extra=flag("--seed"))
    """Seed of everything random; with a parallelism of 1 a study repeats exactly."""
    purpose: PurposeSpec = PurposeSpec()
    """Purpose; made by `coref-k8s train` and `coref-k8s ensemble`."""
    gpu_memory_gb: float = Field(default=40.0, gt=0, strict=False, json_schema_extra=flag("--gpu-memory-gb"))
    """Memory of one GPU (GB) that batches are sized for; 80 % of it is used."""
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

    @model_validator(mode="after")
    def _lengths(self) -> StudySpec:
        for length in self.seq_lengths:
            if self.any_length:
                if length < LENGTH_STEP or length % LENGTH_STEP:
                    near = max(LENGTH_STEP, round(length / LENGTH_STEP) * LENGTH_STEP)
                    raise ValueError(
                        f"sequence length {length} is not a positive multiple of {LENGTH_STEP}; did you mean {near}?"
                    )
            elif length not in SEQ_LENGTHS:
                near = min(SEQ_LENGTHS, key=lambda known: abs(known - length))
                raise ValueError(
                    f"sequence length {length} is not one of {', '.join(map(str, SEQ_LENGTHS))}; "
                    f"did you mean {near}? (small models: --any-length)"
                )
        if self.search.finalists > self.trials:
            raise ValueError(
                f"{self.search.finalists} finalists cannot be chosen of {self.trials} trials; give more trials"
            )
        for length in self.search.space_by_length:
            if length not in self.seq_lengths:
                raise ValueError(f"search.spaceByLength names length {length}, which the study does not tune")
        return self

    @model_validator(mode="after")
    def _purpose(self) -> StudySpec:
        purpose, kind = self.purpose, self.purpose.kind
        if kind == "search":
            if purpose.study is not None or purpose.trials:
                raise ValueError("purpose.study and purpose.trials are for purpose.kind train and ensemble")
            return self
        if purpose.study is None:
            raise ValueError(f"purpose.kind {kind} uses another study's results; name it in purpose.study")
        if len(self.seq_lengths) != 1 or self.trials != 1 or self.search.finalists:
            raise ValueError(f"a study to {kind} has one length, one trial and no finalists")
        if any(number < 0 for number in purpose.trials) or len(set(purpose.trials)) < len(purpose.trials):
            raise ValueError("purpose.trials must name different trials by their number")
        if kind == "ensemble" and len(purpose.trials) < 2:
            raise ValueError("an ensemble has two members or more; name them in purpose.trials")
        spaces = [self.search.space, *self.search.space_by_length.values()]
        for name in (n for space in spaces for n, one in space.items() if not one.fixed):
            raise ValueError(f"a study to {kind} searches nothing; give search.space.{name} a single choice")
        return self
