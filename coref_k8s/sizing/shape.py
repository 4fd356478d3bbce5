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


@dataclass(frozen=True)
class ModelShape:
    """A DeBERTa-v2 masked language model in numbers."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    position_buckets: int
    share_attention_key: bool
    assumed: bool = False
    """True when the model's own config could not be read and kf-deberta-base's shape stands in."""

    @property
    def parameters(self) -> int:
        """Number of trainable parameters, the tied word embedding counted once."""
        h, i = self.hidden, self.intermediate
        attention = 4 * (h * h + h) + (0 if self.share_attention_key else 2 * (h * h + h))
        layer = attention + 2 * h * i + i + h + 4 * h
        embeddings = self.vocabulary * h + 2 * h + 2 * self.position_buckets * h + 2 * h
        head = h * h + h + 2 * h + self.vocabulary
        return embeddings + self.layers * layer + head


#: How long the hub may take to send a config.json (seconds).
FETCH_SECONDS = 3.0

KF_DEBERTA_BASE = ModelShape(12, 768, 12, 3072, 130_000, 256, True)


def shape_of(model: str) -> ModelShape:
    """Return the shape of a local folder or of a hub model.

    A model that cannot be seen from here (the hub is not reached, or it lies on a cluster's volume) gets
    kf-deberta-base's shape, marked `assumed`, unless it is that model. Raises ModelError when a folder's config.json
    is missing or damaged.
    """
    config = config_of(model)
    if config is None:
        return replace(KF_DEBERTA_BASE, assumed=model != "kakaobank/kf-deberta-base")
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
    fetched = None if model == "kakaobank/kf-deberta-base" else _fetched_config(model)
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

    def size(key: str, least: int = 1, default: int | None = None) -> int:
        value = config.get(key, default)
        if not isinstance(value, int) or value < least:
            raise ModelError("sizing.no-encoder", path=model, key=repr(key))
        return value

    return ModelShape(
        layers=size("num_hidden_layers"),
        hidden=size("hidden_size"),
        heads=size("num_attention_heads"),
        intermediate=size("intermediate_size"),
        vocabulary=size("vocab_size"),
        position_buckets=max(size("position_buckets", -1, 256), 1),
        share_attention_key=bool(config.get("share_att_key", False)),
    )
