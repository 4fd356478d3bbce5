"""Data sets of a Hugging Face hub, through `datasets`.

`HF_ENDPOINT` names another hub, `HF_TOKEN` opens gated data sets. Small data sets are downloaded (resumed
after an interruption, kept in the data root for the next study); large ones are streamed, in shuffled order,
so that a part of them is not their alphabetical beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coref_k8s.corpus.extractors import HUB_NAMES
from coref_k8s.errors import HubError, MissingDependencyError
from coref_k8s.settings import Settings
from coref_k8s.study.spec import DatasetConfig
from coref_k8s.wording import Message

#: Data sets above this size are streamed (bytes).
STREAM_ABOVE = 512 * 2**20
_SHUFFLE_BUFFER = 10_000
_TIMEOUT = 30.0


def hub_id(source: str) -> str:
    """Return the id under which a data set is found today: bare names no longer resolve."""
    return HUB_NAMES.get(source, source)


def resolve(config: DatasetConfig) -> str | None:
    """Return the commit that a source's revision names now, or None when the hub does not tell."""
    try:
        return str(_info(config).sha)
    except MissingDependencyError:
        raise
    except Exception:  # reading the source will fail for the same cause, and there it is reported
        return None


def open_hub(
    config: DatasetConfig, *, cache_dir: Path | None, seed: int, revision: str | None
) -> tuple[str, str, Iterator[Mapping[str, Any]]]:
    """Return (hub id, commit, rows). Raises HubError, or whatever `datasets` raises, when it cannot be had."""
    datasets = _datasets()
    name = hub_id(config.source)
    try:
        info = _info(config, revision)
    except Exception as error:
        raise HubError(_explain(error, name)) from error
    size = sum(
        file.size or 0
        for file in info.siblings or []
        if config.subset is None or config.subset in file.rfilename
    )
    arguments: dict[str, Any] = {
        "path": name,
        "name": config.subset,
        "split": config.split,
        "revision": info.sha,
        "token": Settings.from_env().hf_token,
    }
    try:
        if size > STREAM_ABOVE:
            rows = datasets.load_dataset(**arguments, streaming=True)
            return name, str(info.sha), iter(rows.shuffle(seed=seed, buffer_size=_SHUFFLE_BUFFER))
        rows = datasets.load_dataset(**arguments, cache_dir=str(cache_dir) if cache_dir else None)
        return name, str(info.sha), iter(rows)
    except Exception as error:
        raise HubError(_explain(error, name)) from error


def _info(config: DatasetConfig, revision: str | None = None) -> Any:
    _datasets()
    from huggingface_hub import HfApi

    return HfApi(token=Settings.from_env().hf_token).dataset_info(
        hub_id(config.source), revision=revision or config.revision, files_metadata=True, timeout=_TIMEOUT
    )


def _explain(error: Exception, name: str) -> Message:
    """Say in one sentence what the hub's error means for the user."""
    text = str(error)
    kind = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if kind == "GatedRepoError" or "gated dataset" in text:
        return Message.of("corpus.hub-gated", name=name)
    if status == 401 or kind in ("RepositoryNotFoundError", "DatasetNotFoundError"):
        return Message.of("corpus.hub-missing", name=name)
    if status == 403:
        return Message.of("corpus.hub-refused", name=name)
    if kind == "OfflineModeIsEnabled":
        return Message.of("corpus.hub-offline", name=name)
    if "Bearer" in text:  # a header that cannot be sent, token and all
        return Message.of("corpus.hub-token-odd")
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return Message.of("corpus.hub-failed", name=name, kind=kind, why=line[:200])


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError("corpus.needs-package", package="datasets") from error
    datasets.disable_progress_bars()
    return datasets
