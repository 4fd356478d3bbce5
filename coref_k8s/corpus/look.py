"""A first look at a request's own text, before a study is made: how many documents, and what would keep it from working."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coref_k8s.corpus.filtering import Filters
from coref_k8s.corpus.intake import Intake, check_splits, too_few
from coref_k8s.corpus.local import TEXT_UNITS, files_of, is_there
from coref_k8s.corpus.sources import Loaded, load_documents, named_sources
from coref_k8s.errors import DataError
from coref_k8s.study import yaml12
from coref_k8s.study.spec import DatasetConfig, StudySpec
from coref_k8s.text.document import Document
from coref_k8s.wording import Message

#: How long a look takes at most (seconds): more text than this is not counted to its end.
PATIENCE = 3.0
#: Documents from which nobody is asked whether a txt file is really one, and lines from which somebody is.
_MANY, _LINES = 10, 10


@dataclass
class Seen:
    """What a first look found."""

    sources: list[Message] = field(default_factory=list)
    """A sentence for every source that was looked at, and remarks on what was found in them."""
    warnings: list[Message] = field(default_factory=list)


def look(spec: StudySpec) -> Seen:
    """Look at the files and folders of a request that are on this machine; sources of a hub and generated ones are not read.

    Raises DataError when nothing can be read, or too little to train, tune and test on.
    """
    seen = Seen()
    here = tuple(one for one in spec.data.sources if is_there(one.source))
    if not here:
        return seen
    data = spec.data.model_copy(update={"sources": here})
    own = named_sources(data)
    files = {name: files_of(one.source) for name, one in own.items()}
    loaded = Loaded()
    filters = Filters(data, chains=spec.task == "coreference")
    intake = Intake(data, filters, {})
    characters: Counter[str] = Counter()
    chained = 0
    single: list[Document] = []  # txt files that are one document, while documents are few
    # what is found is returned, not logged
    quiet = logging.getLogger("coref_k8s.corpus")
    quiet.addHandler(silence := logging.NullHandler())
    began, whole = time.monotonic(), True
    try:
        for document, group in load_documents(data, loaded=loaded):
            intake.add(document, group)
            characters[document.source] += len(document.text)
            chained += bool(document.clusters)
            if len(single) < _MANY and f"{document.doc_id}.txt" in files.get(document.source, ()):
                single.append(document)
            if time.monotonic() - began > PATIENCE:
                whole = False
                break
    finally:
        quiet.removeHandler(silence)
    last = next(reversed(loaded.documents))
    for name, count in loaded.documents.items():
        if not count:
            continue
        kinds = Counter(file.suffix.lower() for file in files[name].values())
        seen.sources.append(
            Message.of(
                "corpus.seen" if whole or name != last else "corpus.seen-part",
                source=name,
                documents=count,
                files=len(files[name]),
                kinds=[Message.of("corpus.seen-kind", n=n, suffix=suffix) for suffix, n in kinds.items()],
                characters=characters[name],
            )
        )
    if chained and spec.task == "mentions":
        seen.sources.append(Message.of("corpus.seen-chains", n=chained))
    removed = filters.removed()
    splits, notes = intake.splits()
    lost = [
        Message.of("corpus.source-left-out", source=one.source, why=one.message) for one in loaded.skipped
    ]
    remarks = [*lost, *loaded.left_out]
    filtered = [Message.of("corpus.filtered", removed=removed)] if removed else []
    seen.warnings = [*remarks, *filtered, *notes]
    advice = _one_document(single, own) if sum(loaded.documents.values()) < _MANY else None
    if whole and len(here) == len(spec.data.sources):
        try:
            check_splits(data, filters, set(splits), loaded, advice)
        except DataError as error:  # what was remarked on the way may be the cause
            raise type(error)(_with(error.message, remarks)) from error
        seen.sources += too_few(splits)
    if advice:
        seen.warnings.append(advice)
    return seen


def _with(what: Message, remarks: Sequence[Message]) -> Message:
    """Say a fault, and beside it what was remarked."""
    return Message.of("corpus.and-remarks", what=what, remarks=list(remarks)) if remarks else what


def _one_document(found: list[Document], sources: Mapping[str, DatasetConfig]) -> Message | None:
    """Ask what a document is in the longest txt file that is one document of many lines."""
    lines = [
        (sum(bool(line.strip()) for line in one.text.splitlines()), one.doc_id, sources[one.source])
        for one in found
    ]
    asked = [
        (n, name, source) for n, name, source in lines if n >= _LINES and source.extractor not in TEXT_UNITS
    ]
    if not asked:
        return None
    n, name, config = max(asked, key=lambda one: one[0])
    # as it stands in YAML on one line, between the quotes of a shell
    plain = yaml12.write([config.source], inline=True, width=10_000).strip()[1:-1] == config.source
    source = config.source if plain else json.dumps(config.source, ensure_ascii=False)
    return Message.of("corpus.one-document", file=f"{name}.txt", lines=n, source=source)
