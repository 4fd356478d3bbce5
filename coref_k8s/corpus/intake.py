"""What is taken in of the documents read, one by one, and the splits that follow from all of them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from coref_k8s.corpus.filtering import Filters, text_key
from coref_k8s.corpus.sources import Loaded, named_sources
from coref_k8s.corpus.split import split_documents
from coref_k8s.corpus.works import Named, together, works_of
from coref_k8s.errors import DataError, UnusableTextError
from coref_k8s.study.spec import DataSpec
from coref_k8s.text.document import MIN_DOCUMENTS, SPLITS, Document, Split
from coref_k8s.wording import Message


class Intake:
    """Counts documents in. The lists have an entry for every document that passed the filters."""

    def __init__(self, data: DataSpec, filters: Filters, held_out: Mapping[str, Split]) -> None:
        """`held_out`: texts that have a split in other data."""
        self._data, self._filters = data, filters
        self._held_out = {text_key(text): split for text, split in held_out.items()}
        self._sources = named_sources(data)
        self._named: list[Named] = []
        self._keys: list[bytes] = []
        self._fixed: list[Split | None] = []
        self._passed: list[bool] = []
        self.texts: list[bytes] = []
        """Keys of the texts."""
        self.weights = array("d")
        self.characters = array("Q")
        self.works: list[str] = []
        """Work of each document, empty for a whole one; known after `splits`."""

    def add(self, document: Document, group: str) -> bool:
        """Take a document in; tell whether it passes what needs no analysis."""
        key = text_key(document.text)
        self._named.append(Named(document.source, document.doc_id, group))
        self._keys.append(key)
        self._fixed.append(document.split)
        passed = self._filters.before_analysis(document, self._sources[document.source])
        self._passed.append(passed)
        if passed:
            self.texts.append(key)
            self.weights.append(document.weight)
            self.characters.append(len(document.text))
        return passed

    def splits(self) -> tuple[list[Split], list[Message]]:
        """Split all documents, those that were left out too; return the splits of those that passed, and what is to be said."""
        works, notes = works_of(self._named)
        keys = [f"work {work}" if work else key.hex() for work, key in zip(works, self._keys, strict=True)]
        fixed, apart = together(keys, self._fixed, [self._held_out.get(key) for key in self._keys])
        if names := [work for work in dict.fromkeys(works) if f"work {work}" in apart]:
            notes.append(Message.of("corpus.works-apart", n=len(names), first=names[0]))
        drawn = split_documents(keys, fixed, dev_share=self._data.dev_share, test_share=self._data.test_share)
        self.works = [work for work, passed in zip(works, self._passed, strict=True) if passed]
        return [split for split, passed in zip(drawn, self._passed, strict=True) if passed], notes


def too_few(splits: Iterable[Split]) -> list[Message]:
    """Say what is tuned or tested on so few documents that nothing will be claimed of others."""
    counts = Counter(splits)
    return [
        Message.of("corpus.seen-too-few", split=split, n=counts[split], least=MIN_DOCUMENTS)
        for split in SPLITS[1:]
        if 0 < counts[split] < MIN_DOCUMENTS
    ]


def check_splits(
    data: DataSpec, filters: Filters, there: set[Split], loaded: Loaded, advice: Message | None = None
) -> None:
    """Raise DataError when a split that the request asks for has no documents; `advice` says what to do about it."""
    shares: dict[Split, float] = {"train": 1.0, "dev": data.dev_share, "test": data.test_share}
    if not there and filters.counts["no_chains"]:
        raise unusable("corpus.no-chains", filters, loaded)
    if missing := [split for split, share in shares.items() if share and split not in there]:
        code = "corpus.split-without-documents" if there else "corpus.nothing-to-train-on"
        chains = Message.of("corpus.more-chains", least=sum(share > 0 for share in shares.values()))
        advice = advice or (chains if filters.chains else Message.of("corpus.more-documents"))
        raise unusable(code, filters, loaded, splits=missing, advice=advice)


def unusable(code: str, filters: Filters, loaded: Loaded, **values: Any) -> DataError:
    """Return the error of missing text; unless a source was lost on the way, another start finds the same."""
    kind = DataError if loaded.lost else UnusableTextError
    read = sum(loaded.documents.values())
    return kind(code, read=read, removed=filters.removed() or [Message.of("corpus.removed-none")], **values)
