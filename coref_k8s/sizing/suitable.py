"""What a model can do of what a request asks, read from its config.json before anything is prepared or trained."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from coref_k8s.errors import ModelError
from coref_k8s.sizing.shape import KF_DEBERTA, LEAN, config_of
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message

#: Architectures that count positions from the padding token's id on, and so have as many fewer.
_AFTER_PADDING = (
    "camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip


def check_suitable(spec: StudySpec) -> None:
    """Raise ModelError when the model's config says that no trial of the request could work.

    A model that cannot be seen from here is left to the trials.
    """
    config = config_of(spec.model)
    if config is None:
        return
    check_code(spec.model, config)
    longest, most = max(spec.seq_lengths), positions_of(config)
    if most is not None and longest > most:
        raise ModelError("model.too-few-positions", model=spec.model, most=most, seq_len=longest)
    if wanted := list(_settings(spec, config)):
        kind = str(config.get("model_type"))
        raise ModelError("model.needs-settings", model=spec.model, kind=kind, settings=wanted)


def check_code(model: str, config: Mapping[str, Any]) -> None:
    """Raise ModelError for a model of an architecture that only code of its own knows, which is never run."""
    kind = str(config.get("model_type"))
    if "auto_map" in config and not _known(kind):
        raise ModelError("model.own-code", model=model, kind=kind)


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens a model reads at once: its table of positions, or what its rotary ones were made for.

    None where positions are relative alone, and nothing bounds them.
    """
    limit = config.get("max_position_embeddings")
    if not isinstance(limit, int) or config.get("position_biased_input") is False:
        return None
    if config.get("model_type") not in _AFTER_PADDING:
        return limit
    padding = config.get("pad_token_id")
    return limit - 1 - (1 if padding is None else int(padding))


def packs(spec: StudySpec, config: Mapping[str, Any] | None) -> bool:
    """Whether short documents are put into one sequence: wished for, and kept apart by the model's attention.

    `config` is the model's; None when it cannot be seen.
    """
    wished = spec.data.packing and spec.training.attention != "eager"
    return wished and (config is None or (_lean(config) and not config.get("conv_kernel_size", 0) > 0))


def tunes_positions(model: str) -> bool:
    """Whether a model has a range of relative positions to be tuned; one that cannot be seen is taken to have."""
    if model == KF_DEBERTA:
        return True
    config = config_of(model)
    return config is None or (_lean(config) and config.get("position_buckets", -1) > 0)


def left_out(spec: StudySpec) -> list[Message]:
    """Return what of a request's defaults the model has no use for, in sentences."""
    config = config_of(spec.model)
    if config is None:
        return []
    said: dict[str, Any] = {"model": spec.model, "kind": str(config.get("model_type"))}
    found = []
    if spec.data.packing and spec.task == "mentions" and not packs(spec, config):
        found.append(Message("model.not-packed", said))
    if not tunes_positions(spec.model):
        found.append(Message("model.no-position-range", said))
    if (most := positions_of(config)) is not None:
        found.append(Message("model.reads", {**said, "most": most}))
    return found


def _lean(config: Mapping[str, Any]) -> bool:
    """Whether attention keeps packed documents apart, and the range of relative positions can be tuned."""
    return config.get("model_type") == LEAN


def _settings(spec: StudySpec, config: Mapping[str, Any]) -> list[Message]:
    """Return what the request must say otherwise for this model, each as a setting to write."""
    if _lean(config):
        return []
    found = []
    spaces = (spec.search.space, *spec.search.space_by_length.values())
    ranges = [space["position_range"] for space in spaces if "position_range" in space]
    if any(set(one.choices or ()) != {"clamp"} for one in ranges):
        found.append(Message.verbatim("search.space.position_range: {choices: [clamp]}"))
    if spec.training.attention in ("blocked", "flash"):
        found.append(Message.verbatim("training.attention: auto"))
    return found


def _known(kind: str) -> bool:
    """Tell whether transformers knows an architecture; taken to be so where transformers is not installed."""
    if find_spec("transformers") is None:
        return True
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES
