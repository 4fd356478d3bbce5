"""What a result rests on: the versions and revisions it was made with, and the items behind its numbers."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s import __version__
from coref_k8s.evaluation.given import not_given
from coref_k8s.trial.files import read_json

if TYPE_CHECKING:
    from torch import nn

#: Libraries whose version can change a result.
_LIBRARIES = ("torch", "transformers", "datasets", "optuna")


def versions() -> dict[str, str]:
    """Return the version of everything that can change a result; a library that is not installed is left out."""
    return {"coref-k8s": __version__, "python": platform.python_version(), **installed(_LIBRARIES)}


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of these packages; one that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def config_of_encoder(model: nn.Module) -> Any:
    """Return the Hugging Face configuration of a model: its own, or its encoder's where it has a head of ours."""
    return getattr(getattr(model, "encoder", model), "config", None)


def model_commit(model: nn.Module, asked: str | None) -> str | None:
    """Return the hub commit that a model was loaded from, or what was asked for; None for a folder."""
    commit = getattr(config_of_encoder(model), "_commit_hash", None)
    return str(commit) if commit else asked


def evidence(items: Path) -> dict[str, Any]:
    """Return what lies behind the metrics of a full evaluation, by its file; empty before there is one.

    `counts` of items by kind, `buckets` with their number of items (the scores of a bucket are metrics named
    `..._to<up_to>`), `warnings`, `items_sha256`, the metrics `not_given` for want of items, and the `sample` of a coreference model. Small, since it is stored with every trial.
    """
    result: Mapping[str, Any] | None = read_json(items)
    if result is None:
        return {}
    buckets = [{name: bucket[name] for name in ("above", "up_to", "n")} for bucket in result["buckets"]]
    kept = {
        name: result[name]
        for name in ("counts", "warnings", "items_sha256", "sample")
        if result.get(name) is not None
    }
    hidden = not_given(result["metrics"], result["counts"], result["weights"])
    return {**kept, **({"not_given": hidden} if hidden else {}), "buckets": buckets}
