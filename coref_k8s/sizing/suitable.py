"""Whether a model can do what a request asks, read from its config.json before anything is prepared or trained."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from coref_k8s.errors import ModelError
from coref_k8s.sizing.shape import config_of
from coref_k8s.study.parameters import space_for
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message

#: The architecture whose attention keeps packed documents apart and whose range of positions can be tuned.
LEAN = "deberta-v2"
#: Architectures that count positions from the padding token's id on, and so have as many fewer.
_AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "data2vec-text")


def check_suitable(spec: StudySpec) -> None:
    """Raise ModelError when the model's config says that no trial of the request could work.

    A model that cannot be seen from here is left to the trials.
    """
    config = config_of(spec.model)
    if config is None:
        return
    check_code(spec.model, config)
    kind, longest = str(config.get("model_type")), max(spec.seq_lengths)
    most = positions_of(config)
    if most is not None and longest > most:
        raise ModelError("model.too-few-positions", model=spec.model, most=most, seq_len=longest)
    if wanted := list(_settings(spec, config, kind)):
        raise ModelError("model.needs-settings", model=spec.model, kind=kind, settings=wanted)


def check_code(model: str, config: Mapping[str, Any]) -> None:
    """Raise ModelError for a model of an architecture that only code of its own knows, which is never run."""
    kind = str(config.get("model_type"))
    if "auto_map" in config and not _known(kind):
        raise ModelError("model.own-code", model=model, kind=kind)


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens a table of absolute positions has room for; None without such a table."""
    limit = config.get("max_position_embeddings")
    if not isinstance(limit, int) or config.get("position_biased_input") is False:
        return None
    skipped = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in _AFTER_PADDING else 0
    return limit - skipped


def _settings(spec: StudySpec, config: Mapping[str, Any], kind: str) -> list[Message]:
    """Return what the request must say for this model, each as a setting to write."""
    found = []
    if spec.data.packing and (kind != LEAN or config.get("conv_kernel_size", 0) > 0):
        found.append(Message.verbatim("data.packing: false"))
    if kind != LEAN:
        ranges = [space_for(spec, length).get("position_range") for length in spec.seq_lengths]
        if any(one is not None and set(one.choices or ()) != {"clamp"} for one in ranges):
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
