"""The sizes of a model that memory depends on, read from its `config.json` without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from coref_k8s.errors import ModelError

#: The architecture that runs on the project's own engine.
LEAN = "deberta-v2"
#: Architectures whose feed-forward layers are gated: two projections up.
_GATED = ("modernbert", "nomic_bert", "eurobert")
#: Architectures without biases.
_PLAIN = ("modernbert", "nomic_bert", "eurobert")


#: Architectures whose Hugging Face code cannot compute layers again in the backward pass.
_KEEPING = ("albert", "mpnet")


@dataclass(frozen=True)
class ModelShape:
    """An encoder with its masked-LM head in numbers."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    position_buckets: int
    """Half the rows of a table of relative positions; 0 without one."""
    share_attention_key: bool
    assumed: bool = False
    """True when the model's own config could not be read and kf-deberta-base's shape stands in."""
    kind: str = LEAN
    """Architecture, as `model_type` of a config."""
    positions: int = 0
    """Rows of tables beside the words': absolute positions, segments."""
    embedding: int = 0
    """Width of the tables where it is not that of the layers (ELECTRA, ALBERT), else 0."""
    distinct: int = 0
    """Layers with weights of their own where others share them (ALBERT), else 0."""
    drops: bool = True
    """Whether layers have dropout in training."""
    drops_attention: bool = True
    """Whether attention has, too; PyTorch's own then keeps the probabilities on a CPU."""
    windowed: bool = False
    """Whether some layers see a window only, which takes a mask."""

    @property
    def gated(self) -> bool:
        """Whether feed-forward layers have a gate: two projections up."""
        return self.kind in _GATED

    @property
    def windows(self) -> int:
        """Layers that see a window only: all but every third."""
        return self.layers - -(-self.layers // 3) if self.windowed else 0

    @property
    def recomputes(self) -> bool:
        """Whether layers can be computed again in the backward pass instead of being kept."""
        return self.kind not in _KEEPING

    @property
    def width(self) -> int:
        """Width of the table of words."""
        return self.embedding or self.hidden

    @property
    def layer_parameters(self) -> int:
        """Number of trainable parameters of one layer."""
        h, i = self.hidden, self.intermediate
        if self.kind in _PLAIN:
            return 4 * h * h + 3 * h * i + 2 * h
        relative = 0 if self.share_attention_key or not self.position_buckets else 2 * (h * h + h)
        return 4 * (h * h + h) + relative + 2 * h * i + i + h + 4 * h

    @property
    def encoder_parameters(self) -> int:
        """Number of trainable parameters without the masked-LM head."""
        h, e = self.hidden, self.width
        tables = (self.vocabulary + self.positions + 2) * e + (e * h + h if e != h else 0)
        relative = (2 * self.position_buckets + 2) * h if self.position_buckets else 0
        return tables + relative + (self.distinct or self.layers) * self.layer_parameters

    @property
    def parameters(self) -> int:
        """Number of trainable parameters, the tied word embedding counted once."""
        return self.encoder_parameters + self.hidden * self.width + 3 * self.width + self.vocabulary


#: The default model, whose shape is known without looking.
KF_DEBERTA = "kakaobank/kf-deberta-base"
KF_DEBERTA_BASE = ModelShape(12, 768, 12, 3072, 130_000, 256, True)


#: How long the hub may take to send a config.json (seconds).
FETCH_SECONDS = 3.0

#: The default model, whose shape is known without looking.
KF_DEBERTA = "kakaobank/kf-deberta-base"
KF_DEBERTA_BASE = ModelShape(12, 768, 12, 3072, 130_000, 256, True)


def shape_of(model: str) -> ModelShape:
    """Return the shape of a local folder or of a hub model.

    A model that cannot be seen from here (the hub is not reached, or it lies on a cluster's volume) gets
    kf-deberta-base's shape, marked `assumed`, unless it is that model. Raises ModelError when a folder's config.json
    is missing or damaged.
    """
    config = config_of(model)
    if config is None:
        return replace(KF_DEBERTA_BASE, assumed=model != KF_DEBERTA)
    return _shape(config, model)


def config_of(model: str) -> Mapping[str, Any] | None:
    """Return the config.json of a local folder or of a hub model; None when it cannot be seen from here.

    A hub model's comes from the hub client's cache, else from the hub, and is then kept in
    `~/.cache/coref-k8s/configs`. Raises ModelError when a folder's is missing or damaged.
    """
    if os.path.isdir(model):
        return _parsed(_content(Path(model) / "config.json"), model)
    if looks_like_path(model):
        return None
    cached = cached_config(model)
    if cached is not None:
        return _parsed(_content(cached), model)
    # the default model's shape is known: nobody waits for the hub
    fetched = None if model == KF_DEBERTA else _fetched_config(model)
    return None if fetched is None else _parsed(fetched, model)


def looks_like_path(text: str) -> bool:
    """Whether a name can only be meant as a path: a hub id is `name` or `owner/name`."""
    return text.startswith((".", "/", "~")) or text.count("/") > 1 or text.endswith("/")


def hub_is_forbidden() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask the hub, spelt in any of the ways that the hub's library takes."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def cached_config(model: str) -> Path | None:
    """Return a hub model's config.json in the hub client's cache; None without one.

    Raises ModelError for a name that no hub model can have.
    """
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # the controller image has no hub client
        return None
    try:
        found = try_to_load_from_cache(model, "config.json")
    except ValueError as error:
        raise ModelError("sizing.no-such-model", model=model) from error
    return Path(found) if isinstance(found, str) else None


@lru_cache(maxsize=64)
def _fetched_config(model: str) -> bytes | None:
    """The hub's config.json of a model, kept on disk; None when the hub cannot be asked or has none."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if cache.startswith("~"):  # a user without a home keeps nothing
        cache = os.devnull
    kept = Path(cache, "coref-k8s", "configs", f"{model.replace('/', '--')}.json")
    try:
        return kept.read_bytes()
    except OSError:
        pass
    if hub_is_forbidden():
        return None
    import urllib.request  # 30 ms, for those only who need it
    from http.client import HTTPException
    from urllib.parse import quote

    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        with urllib.request.urlopen(
            f"{hub}/{quote(model)}/resolve/main/config.json", timeout=FETCH_SECONDS
        ) as answer:
            config: bytes = answer.read()
        json.loads(config)  # a proxy's greeting is no config
    except (OSError, ValueError, HTTPException):
        return None
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_bytes(config)
        partial.replace(kept)
    except OSError:
        pass  # a read-only disk, as in the controller's pod: asked again by the next process
    return config


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError("sizing.no-model-in", folder=str(path.parent)) from error
    except OSError as error:
        raise ModelError("sizing.config-unreadable", path=str(path), error=str(error)) from error


def _parsed(text: bytes, model: str) -> Mapping[str, Any]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ModelError("sizing.config-unreadable", path=model, error=str(error)) from error
    return config if isinstance(config, dict) else {}


def _shape(config: Mapping[str, Any], model: str) -> ModelShape:

    def size(*keys: str, default: int | None = None) -> int:
        value = next((config[key] for key in keys if key in config), default)
        if not isinstance(value, int) or value < 1:
            raise ModelError("sizing.no-encoder", path=model, key=repr(keys[0]))
        return value

    kind = str(config.get("model_type", LEAN))
    hidden, relative = size("hidden_size", "dim"), kind == LEAN or bool(config.get("relative_attention"))
    dropout = config.get("hidden_dropout_prob", config.get("dropout", config.get("mlp_dropout", 0.1)))
    attention = config.get("attention_probs_dropout_prob", config.get("attention_dropout", 0.1))
    absolute = kind not in _PLAIN and config.get("position_biased_input", True) and kind != LEAN
    return ModelShape(
        layers=size("num_hidden_layers", "n_layers"),
        hidden=hidden,
        heads=size("num_attention_heads", "n_heads"),
        intermediate=size("intermediate_size", "hidden_dim"),
        vocabulary=size("vocab_size"),
        position_buckets=_buckets(config) if relative else 0,
        share_attention_key=bool(config.get("share_att_key", False)),
        kind=kind,
        positions=(size("max_position_embeddings", default=512) if absolute else 0)
        + (2 if kind == "nomic_bert" else int(config.get("type_vocab_size") or 0)),
        embedding=0 if (width := config.get("embedding_size", hidden)) == hidden else int(width),
        distinct=int(config.get("num_hidden_groups", 1)) if kind == "albert" else 0,
        drops=bool(dropout),
        drops_attention=bool(attention),
        windowed=kind == "modernbert",
    )


def _buckets(config: Mapping[str, Any]) -> int:
    """Half the rows of the table of relative positions: DeBERTa-v2's buckets, else every distance."""
    for key in ("position_buckets", "max_relative_positions", "max_position_embeddings"):
        value = config.get(key, 256 if key == "position_buckets" and config.get("model_type") == LEAN else -1)
        if isinstance(value, int) and value > 0:
            return value
    return 1
