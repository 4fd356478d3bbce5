"""Reads the sources of a request into documents.

A source that fails, or a file or row of one that cannot be read, is left out alone, and said so.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Protocol

from coref_k8s.corpus.columns import column_text
from coref_k8s.corpus.extractors import auto, extractor_for, get_extractor
from coref_k8s.corpus.generated import generator_of, is_generated
from coref_k8s.corpus.koconovel import VERSIONS, check_version, chosen, of_koconovel
from coref_k8s.corpus.licences import Licensed, licence_of_source
from coref_k8s.corpus.local import LeftOut, files_of, is_local, read_file
from coref_k8s.corpus.registry import Extracted, Extractor
from coref_k8s.corpus.suspect import suspicions
from coref_k8s.errors import DataError, HubError, MissingDependencyError, UnusableTextError
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.telemetry.bus import said
from coref_k8s.text.clean import clean
from coref_k8s.text.document import Document, Split
from coref_k8s.wording import Message

#: Where in a source (file, line or row), an id made of that, and the document or row that stands there.
Item = tuple[str, str, Document | Mapping[str, Any]]
#: Rows without a document after which a source is given up: its extractor does not suit it.
_HOPELESS = 100
#: Documents without gold chains after which a source is given up that is read for its chains.
_CHAINLESS = 1000
_log = logging.getLogger(__name__)

#: What rows call the split that they belong to.
_SPLITS: Mapping[str, Split] = {
    "train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "test": "test"
}  # fmt: skip


class Emitter(Protocol):
    """What is needed of the bus."""

    def emit(self, section: str, **fields: Any) -> Any:
        """Write one event."""


@dataclass(frozen=True)
class SkippedSource:
    """A source that failed: what was lost, and why."""

    source: str
    message: Message
    documents: int
    """Documents that had been read from it before it failed; they are kept."""

    @property
    def reason(self) -> str:
        """Why, in English."""
        return str(self.message)


@dataclass
class Loaded:
    """What became of the sources; filled while documents are read."""

    documents: dict[str, int] = field(default_factory=dict)
    """Documents read, by source."""
    revisions: dict[str, str] = field(default_factory=dict)
    """Commit of each hub source."""
    licences: dict[str, Licensed] = field(default_factory=dict)
    """What each source's licence asks for."""
    skipped: list[SkippedSource] = field(default_factory=list)
    left_out: list[Message] = field(default_factory=list)
    """Files and rows of sources that were read otherwise, a sentence for each kind."""
    lost: dict[int, int] = field(default_factory=dict)
    """Sources, by place in the request, that may give more another time, and the documents they gave."""
    commits: dict[int, str] = field(default_factory=dict)
    """Commit of each hub source that was opened, by place in the request."""

    def note(self, message: Message, bus: Emitter | None = None, source: str = "") -> None:
        """Keep and say how something was read."""
        self.left_out.append(message)
        _warn(message, source, bus)


def named_sources(spec: DataSpec) -> dict[str, DatasetConfig]:
    """Return the sources of a request in their order, by the names under which they are reported."""
    found: dict[str, DatasetConfig] = {}
    for place, config in enumerate(spec.sources):
        name = f"{config.source}:{config.subset}" if config.subset else config.source
        found[f"{name}#{place}" if name in found else name] = config
    return found


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
    chains: bool = False,
) -> Iterator[tuple[Document, str]]:
    """Yield (document, group that it was given) from every source of `spec`, source by source; no two have one id.

    `lengths` (tokens) size generated documents. `char_budget` bounds what is read of each source
    (characters). `revisions` are the commits of hub sources by their place in the request.
    With `chains` a source is given up whose first documents have no gold chains.
    `loaded` is filled on the way. Raises DataError when no source gave a document.
    """
    loaded = loaded if loaded is not None else Loaded()
    reader = _Reader(spec, lengths, seed, cache_dir, revisions or {}, loaded)
    known: set[str] = set()
    before, run = "", 1  # the name of the row before, and how many in a row have it
    for place, (name, config) in enumerate(named_sources(spec).items()):
        loaded.documents[name] = 0
        loaded.licences[name] = licence_of_source(config.source)
        if spec.domains and config.domain not in spec.domains and not is_local(config.source):
            continue
        left_out = LeftOut()
        beyond: Counter[str] = Counter()
        characters = gold = 0
        try:
            for own_id, document in reader.read(place, name, config, left_out):
                run = run + 1 if document.doc_id == before else 1
                before = document.doc_id
                # rows of one name that follow each other are parts of a work; those of other files only share it
                doc_id = _unique(before, f"{before}#{run}" if run > 1 else own_id, known)
                weight = document.weight * config.quality_weight
                yield replace(document, doc_id=doc_id, source=name, weight=weight), document.group
                loaded.documents[name] += 1
                beyond.update(document.beyond)
                characters += len(document.text)
                gold += bool(document.clusters)
                if chains and not gold and loaded.documents[name] >= _CHAINLESS:
                    raise DataError("corpus.source-without-chains", n=_CHAINLESS)
                if char_budget is not None and characters >= char_budget:
                    break
            if not loaded.documents[name]:
                raise DataError(left_out.first() or Message.of("corpus.no-documents"))
        except MissingDependencyError:
            raise
        except Exception as error:  # whatever a hub, a proxy or a file does, the others go on
            if not isinstance(error, DataError) or isinstance(error, HubError):
                # a network, a token or a user's extractor may be mended; the same content fails again
                loaded.lost[place] = loaded.documents[name]
            skipped = SkippedSource(name, _reason(error), loaded.documents[name])
            loaded.skipped.append(skipped)
            if place < len(spec.sources) - 1 or any(
                loaded.documents.values()
            ):  # else the error below says it
                _warn(Message.of("corpus.source-left-out", source=name, why=skipped.message), name, bus)
        if loaded.documents[name]:
            for message in (*left_out.messages(name), *_beyond(name, beyond)):
                loaded.note(message, bus, name)
    if not any(loaded.documents.values()):
        reasons = [
            one.message
            if one.source in one.reason
            else Message.of("corpus.at", place=one.source, what=one.message)
            for one in loaded.skipped
        ]
        kind = DataError if loaded.lost else UnusableTextError
        raise kind("corpus.no-source", reasons=reasons or [Message.of("corpus.no-domain")])


class _Reader:
    """Reads one source after the other, as it came, into clean documents."""

    def __init__(
        self,
        spec: DataSpec,
        lengths: Sequence[int],
        seed: int,
        cache_dir: Path | None,
        revisions: Mapping[int, str],
        loaded: Loaded,
    ) -> None:
        self._spec, self._lengths, self._seed = spec, lengths, seed
        self._cache_dir, self._revisions, self._loaded = cache_dir, revisions, loaded

    def read(
        self, place: int, name: str, config: DatasetConfig, left_out: LeftOut
    ) -> Iterator[tuple[str, Document]]:
        """Yield (an id by the document's place in the source, document)."""
        if is_generated(config.source):
            items, extractor = self._generated(config), None
        elif is_local(config.source):
            items, extractor = _local(config, left_out), get_extractor(config.extractor or "auto")
        else:
            items, extractor = self._hub(place, name, config)
        read = 0
        for where, own_id, item in items:
            try:
                found = _read(item, extractor, config, own_id)
                cleaned = found and clean(found)
            except MissingDependencyError:
                raise
            except Exception as error:  # of a row, or of a user's extractor
                if not isinstance(error, DataError):
                    self._loaded.lost[place] = self._loaded.documents[name]
                left_out.row(where, _reason(error))
                if not read and left_out.rows >= _HOPELESS:
                    raise DataError(left_out.first() or "") from error
                continue
            if found is not None and cleaned is not None:
                if extractor is auto and isinstance(item, Mapping):
                    at = where if is_local(config.source) else f"{name}, {where}"
                    left_out.notice(suspicions(item, found, at))
                read += 1
                yield own_id, cleaned

    def _generated(self, config: DatasetConfig) -> Iterator[Item]:
        generate, number = generator_of(config.source)
        for document in generate(
            number,
            lengths=self._lengths,
            dev_share=self._spec.dev_share,
            test_share=self._spec.test_share,
            seed=self._seed,
        ):
            yield config.source, document.doc_id, document

    def _hub(self, place: int, name: str, config: DatasetConfig) -> tuple[Iterator[Item], Extractor]:
        from coref_k8s.corpus.hub import open_hub

        hub_id, commit, rows = open_hub(
            config, cache_dir=self._cache_dir, seed=self._seed, revision=self._revisions.get(place)
        )
        self._loaded.revisions[name] = self._loaded.commits[place] = commit
        prefix = f"{hub_id}-{config.subset or 'all'}"
        items = ((f"row {number + 1}", f"{prefix}-{number}", row) for number, row in enumerate(rows))
        return items, get_extractor(config.extractor or extractor_for(hub_id, config.subset))


def _local(config: DatasetConfig, left_out: LeftOut) -> Iterator[Item]:
    """Yield what every file of a source holds."""
    files = files_of(config.source, left_out)
    version = None
    if any(map(of_koconovel, files.values())):
        version = check_version(config.subset)
        files = chosen(files, version)
        others = [one for one in VERSIONS if one != version]
        left_out.notes.append(
            Message.of("coref_data.version", source=config.source, version=version, others=others)
        )
    for name, file in files.items():
        for number, (where, item) in enumerate(
            read_file(file, name, left_out, config.extractor or "auto", version)
        ):
            yield where, f"{name.removesuffix(file.suffix)}-{number}", item


def _read(
    item: Document | Mapping[str, Any], extractor: Extractor | None, config: DatasetConfig, own_id: str
) -> Document | None:
    """Return a document with its offsets as they came, or None for a row to leave out."""
    if isinstance(item, Document):
        # marked text and generated documents name their domain themselves
        own = item.domain != "general" and config.domain == "general"
        return item if own else replace(item, domain=config.domain)
    assert extractor is not None
    found = extractor(item)
    if found is None:
        return None
    if isinstance(found, Document):
        document = found
    else:
        row = Extracted(found) if isinstance(found, str) else found
        document = Document(
            row.doc_id, row.text, row.clusters, title=row.title, answer=row.answer, group=row.group
        )
    return replace(
        document,
        doc_id=document.doc_id or own_id,
        domain=config.domain,
        group=document.group or column_text(item, "group"),
        split=document.split or _SPLITS.get(column_text(item, "split").lower()),
    )


def _unique(doc_id: str, own_id: str, known: set[str]) -> str:
    """Return an id that no document before has: its own, else that of its place, which other sources may share."""
    names = chain((doc_id, own_id), (f"{own_id}#{number}" for number in count(2)))
    name = next(name for name in names if name not in known)
    known.add(name)
    return name


def _beyond(source: str, counts: Counter[str]) -> Iterator[Message]:
    """Say what a source's annotation has that is not used."""
    if counts:
        kinds = [Message.of(f"coref_data.beyond-{kind}", n=n) for kind, n in sorted(counts.items())]
        yield Message.of("coref_data.beyond", source=source, kinds=kinds)


def _warn(message: Message, source: str, bus: Emitter | None) -> None:
    if bus:  # whose events stand in the log too
        bus.emit("warning", **said(message), source=source)
    else:
        _log.warning("%s", message)


def _reason(error: Exception) -> Message:
    """Say in one line why a source or row failed."""
    if isinstance(error, DataError):
        return error.message
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return Message.verbatim(f"{type(error).__name__}: {line}"[:300])
