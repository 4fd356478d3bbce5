"""Reads the sources of a request into documents; a source that fails is left out, and said so."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from coref_k8s.corpus.extractors import extractor_for
from coref_k8s.corpus.generator import generate
from coref_k8s.corpus.local import files_of, is_local, read_file
from coref_k8s.corpus.registry import Extracted, Extractor, get_extractor
from coref_k8s.errors import DataError, HubError, MissingDependencyError
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.text.document import Document

GAPS = "gaps:"
_log = logging.getLogger(__name__)


class Emitter(Protocol):
    """What is needed of the bus."""

    def emit(self, section: str, **fields: Any) -> Any:
        """Write one event."""


@dataclass(frozen=True)
class SkippedSource:
    """A source that failed: what was lost, and why."""

    source: str
    reason: str
    documents: int
    """Documents that had been read from it before it failed; they are kept."""


@dataclass
class Loaded:
    """What became of the sources; filled while documents are read."""

    documents: dict[str, int] = field(default_factory=dict)
    """Documents read, by source."""
    revisions: dict[str, str] = field(default_factory=dict)
    """Commit of each hub source."""
    skipped: list[SkippedSource] = field(default_factory=list)
    lost: dict[int, int] = field(default_factory=dict)
    """Sources, by place in the request, that may give more another time, and the documents they gave."""
    commits: dict[int, str] = field(default_factory=dict)
    """Commit of each hub source that was opened, by place in the request."""


def load_documents(
    spec: DataSpec,
    *,
    lengths: Sequence[int] = (512,),
    seed: int = 0,
    char_budget: int | None = None,
    cache_dir: Path | None = None,
    bus: Emitter | None = None,
    loaded: Loaded | None = None,
    revisions: Mapping[int, str] | None = None,
) -> Iterator[tuple[Document, str]]:
    """Yield (document, split group) from every source of `spec`, source by source.

    `lengths` (tokens) size generated documents. `char_budget` bounds what is read of each source
    (characters). `revisions` are the commits of hub sources by their place in the request.
    `loaded` is filled on the way. Raises DataError when no source gave a document.
    """
    loaded = loaded if loaded is not None else Loaded()
    for place, config in enumerate(spec.sources):
        name = source_name(config)
        if name in loaded.documents:
            name = f"{name}#{place}"
        loaded.documents[name] = 0
        if spec.domains and config.domain not in spec.domains and not is_local(config.source):
            continue
        characters = 0
        try:
            rows = _open(
                config, lengths, seed, spec, cache_dir, (revisions or {}).get(place), place, name, loaded
            )
            for document, group in rows:
                yield replace(document, source=name, weight=document.weight * config.quality_weight), group
                loaded.documents[name] += 1
                characters += len(document.text)
                if char_budget is not None and characters >= char_budget:
                    break
            if not loaded.documents[name]:
                raise DataError("it holds no documents")
        except MissingDependencyError:
            raise
        except Exception as error:  # whatever a hub, a proxy or a file does, the others go on
            if not _lasting(error):
                loaded.lost[place] = loaded.documents[name]
            skipped = SkippedSource(name, _reason(error, name), loaded.documents[name])
            loaded.skipped.append(skipped)
            if place == len(spec.sources) - 1 and not any(loaded.documents.values()):
                break  # the error below says it
            _log.warning("source %s is left out: %s", name, skipped.reason)
            if bus:
                bus.emit("warning", message=f"source {name} is left out: {skipped.reason}", source=name)
    if not any(loaded.documents.values()):
        reasons = "; ".join(
            lost.reason if lost.source in lost.reason else f"{lost.source}: {lost.reason}"
            for lost in loaded.skipped
        )
        raise DataError(f"no source gave a document ({reasons or 'no domain matches'})")


def source_name(config: DatasetConfig) -> str:
    """Return the name under which a source is reported."""
    return f"{config.source}:{config.subset}" if config.subset else config.source


def _open(
    config: DatasetConfig,
    lengths: Sequence[int],
    seed: int,
    spec: DataSpec,
    cache_dir: Path | None,
    revision: str | None,
    place: int,
    name: str,
    loaded: Loaded,
) -> Iterator[tuple[Document, str]]:
    if config.source.startswith(GAPS):
        count = config.source.removeprefix(GAPS)
        if not count.isdigit() or not int(count):
            raise DataError(f"{config.source!r} must be gaps:N with a number of documents N")
        documents = generate(
            int(count), lengths=lengths, dev_share=spec.dev_share, test_share=spec.test_share, seed=seed
        )
        for document in documents:
            yield document, ""
        return
    if is_local(config.source):
        extractor = get_extractor(config.extractor or "auto")
        for file in files_of(config.source):
            for number, item in enumerate(read_file(file)):
                if isinstance(item, Document):
                    own = file.name.endswith(".coref.txt") and config.domain == "general"
                    yield (item if own else replace(item, domain=config.domain)), ""
                else:
                    where = f"{file}: row {number + 1}"
                    yield from _extract(extractor, item, config, f"{file.stem}-{number}", where)
        return
    from coref_k8s.corpus.hub import open_hub

    hub_id, commit, rows = open_hub(config, cache_dir=cache_dir, seed=seed, revision=revision)
    loaded.revisions[name] = loaded.commits[place] = commit
    extractor = get_extractor(config.extractor or extractor_for(hub_id, config.subset))
    for number, row in enumerate(rows):
        doc_id = f"{hub_id}-{config.subset or 'all'}-{number}"
        yield from _extract(extractor, row, config, doc_id, f"row {number + 1}")


def _extract(
    extractor: Extractor, row: Mapping[str, Any], config: DatasetConfig, doc_id: str, where: str
) -> Iterator[tuple[Document, str]]:
    try:
        found = extractor(row)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    if found is None:
        return
    if isinstance(found, str):
        found = Extracted(found)
    # Gold offsets count characters of the text as it came.
    text = found.text if found.clusters else unicodedata.normalize("NFC", found.text).replace("\r\n", "\n")
    clusters = {label: list(spans) for label, spans in found.clusters.items()}
    document = Document(found.doc_id or doc_id, text, clusters, title=found.title, domain=config.domain)
    yield document, found.group


def _lasting(error: Exception) -> bool:
    """Tell whether the same content would fail again: a network, a token or a user's extractor may be mended."""
    return isinstance(error, DataError) and not isinstance(error, HubError)


def _reason(error: Exception, name: str) -> str:
    """Say in one line why a source failed; its name stands beside it."""
    if isinstance(error, DataError):
        return re.sub(rf"^{re.escape(name)}:(\d+): ", r"line \1: ", str(error).removeprefix(f"{name}: "))
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line}"[:300]
