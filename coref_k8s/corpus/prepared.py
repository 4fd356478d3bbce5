"""Reads prepared data: memory-mapped rows or whole documents to train on, dev and test documents, statistics."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from coref_k8s.corpus.fingerprint import tokenizer_fingerprint
from coref_k8s.corpus.show import read_statistics
from coref_k8s.errors import DataError
from coref_k8s.study.paths import STATISTICS_FILE
from coref_k8s.study.tasks import TASKS
from coref_k8s.text.document import Document, Split
from coref_k8s.text.words import Words


def rows_path(folder: Path, seq_len: int) -> Path:
    """Return the file of a length's training rows."""
    return folder / str(seq_len) / "train.arrow"


def items_path(folder: Path, seq_len: int, split: str) -> Path:
    """Return the file of a length's evaluation items."""
    return folder / str(seq_len) / f"items-{split}.json"


def documents_path(folder: Path, split: str) -> Path:
    """Return the file of a split's documents; all lengths share it. Those of `train` are kept for task coreference only."""
    return folder / f"documents-{split}.jsonl"


class Prepared:
    """Prepared data of one sequence length."""

    def __init__(self, path: Path, seq_len: int) -> None:
        self.path = path
        self.seq_len = seq_len

    @cached_property
    def train(self) -> Any:
        """Training rows: a memory-mapped `datasets.Dataset`. Columns, each a list per row:

        input_ids (with [CLS] and [SEP] around each packed document, at most seq_len); segments (number of the
        packed document a token belongs to); word_starts (whether a token begins a word); and, one entry a
        mention of an entity that has two or more in its document: mention_start, mention_end (tokens, end
        exclusive), mention_entity (number within the row), mention_distance (tokens between it and the mention
        before, -1 for the first).
        """
        import datasets

        return datasets.Dataset.from_file(str(rows_path(self.path, self.seq_len)))

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """What the preparation counted; `coref_k8s.corpus.show` prints it."""
        return read_statistics(self.path)

    @property
    def task(self) -> str:
        """The task that the data are for."""
        return str(self.statistics.get("task", TASKS[0]))

    def documents(self, split: str) -> list[Document]:
        """Return the documents of a split: `dev`, `test`, and `train` of task coreference."""
        path = documents_path(self.path, split)
        if not path.is_file():
            raise DataError("corpus.split-not-kept", split=split)
        return read_documents(path)

    def eval_items(self, split: str) -> Path:
        """Return the path of the item file that evaluation wrote for `dev` or `test`."""
        return items_path(self.path, self.seq_len, split)

    def check_tokenizer(self, tokenizer: Any) -> None:
        """Raise DataError when the data were made with another tokeniser; whole documents serve any."""
        if (
            self.task == "mentions"
            and tokenizer_fingerprint(tokenizer) != self.statistics["tokenizer"]["fingerprint"]
        ):
            raise DataError("corpus.other-tokeniser", folder=str(self.path))


def open_prepared(path: Path, seq_len: int, task: str | None = None) -> Prepared:
    """Open prepared data for one length; whole documents serve any.

    Raises DataError when they are missing, damaged, of other lengths, or for another task than `task`, where given.
    """
    path = Path(path)
    if not (path / STATISTICS_FILE).is_file():
        raise DataError("corpus.not-prepared", folder=str(path))
    prepared = Prepared(path, seq_len)
    if task not in (None, prepared.task):
        raise DataError("corpus.other-task", folder=str(path), found=prepared.task, task=task)
    if prepared.task == "mentions" and not rows_path(path, seq_len).is_file():
        found = sorted(int(entry.name) for entry in path.iterdir() if entry.name.isdecimal())
        raise DataError("corpus.other-lengths", folder=str(path), found=found, seq_len=seq_len)
    return prepared


def write_documents(path: Path, documents: Iterable[Document], split: Split) -> None:
    """Write documents, one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for document in documents:
            row = {
                "doc_id": document.doc_id,
                "text": document.text,
                "clusters": {name: list(spans) for name, spans in document.clusters.items()},
                "title": document.title,
                "domain": document.domain,
                "source": document.source,
                "split": split,
                "weight": document.weight,
                "answer": document.answer,
                "group": document.group,
            }
            if document.words:
                row["words"] = document.words.to_dict()
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_documents(path: Path) -> list[Document]:
    """Read what write_documents wrote."""
    documents = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            row["clusters"] = {name: [(s, e) for s, e in spans] for name, spans in row["clusters"].items()}
            if "words" in row:
                row["words"] = Words.from_dict(row["words"])
            row["answer"] = row.get("answer") and tuple(row["answer"])
            documents.append(Document(**row))
    return documents
