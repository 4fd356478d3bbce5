"""Parts of one work: in one split, whatever the format and however it is said, and once in every interval."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.prepared import open_prepared
from coref_k8s.corpus.shipped import shipped_documents

WORKS, PARTS = 15, 4


def parts() -> list[tuple[int, int, str]]:
    """Return (work, part, text) of shipped documents, cut into parts."""
    found = []
    for work, document in enumerate(shipped_documents()[:WORKS]):
        size = len(document.text) // PARTS
        found += [(work, part, document.text[part * size : (part + 1) * size]) for part in range(PARTS)]
    return found


def rows(folder: Path, fields: Callable[[int, int], dict[str, Any]]) -> Path:
    path = folder / "parts.jsonl"
    path.write_text("".join(json.dumps({"text": text, **fields(w, p)}) + "\n" for w, p, text in parts()))
    return path


def conllu(folder: Path, name: Callable[[int, int], str], more: Callable[[int], str] = lambda _: "") -> Path:
    path = folder / "parts.conllu"
    with path.open("w") as file:
        for work, part, text in parts():
            file.write(f"# newdoc id = {name(work, part)}\n{more(work)}")
            for number, word in enumerate(text.split(), 1):
                file.write(f"{number}\t{word}" + "\t_" * 8 + "\n")
            file.write("\n")
    return path


def conll2012(folder: Path) -> Path:
    path = folder / "parts.v4_gold_conll"
    with path.open("w") as file:
        for work, part, text in parts():
            file.write(f"#begin document (bc/cctv/00/cctv_{work:04d}); part {part:03d}\n")
            for number, word in enumerate(text.split()):
                file.write(f"bc/cctv/00/cctv_{work:04d} {part} {number} {word} - -\n")
            file.write("\n#end document\n")
    return path


def ontonotes(work: int, part: int) -> dict[str, Any]:
    text = next(text for w, p, text in parts() if (w, p) == (work, part))
    return {"doc_key": f"bn/kbs/00/kbs_{work:04d}_{part}", "sentences": [text.split()], "clusters": []}


def texts(folder: Path, name: Callable[[int, int], str]) -> Path:
    for work, part, text in parts():
        path = folder / "own" / f"{name(work, part)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "own"


WAYS: dict[str, Callable[[Path], Path]] = {
    "a column": lambda folder: rows(folder, lambda w, p: {"id": f"{w * PARTS + p}", "group": f"work {w}"}),
    "a column of numbers": lambda folder: rows(folder, lambda w, p: {"id": f"{w * PARTS + p}", "group": w}),
    "rows of one id": lambda folder: rows(folder, lambda w, p: {"doc_id": f"work-{w}"}),
    "#": lambda folder: rows(folder, lambda w, p: {"doc_id": f"work-{w}#{p}"}),
    "OntoNotes rows": lambda folder: rows(folder, ontonotes),
    "newdoc": lambda folder: conllu(folder, lambda w, p: f"work{w}-part{p}"),
    "a comment": lambda folder: conllu(
        folder, lambda w, p: f"{w * PARTS + p}", lambda w: f"# group = w{w}\n"
    ),
    "CoNLL-2012": conll2012,
    "episodes": lambda folder: texts(folder, lambda w, p: f"소설 {w}번/{p + 1}화"),
    "files": lambda folder: texts(folder, lambda w, p: f"work{w}_part_{p}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_work_is_in_two_splits(way: str, tmp_path: Path, tokenizer: Any, request_for: Any) -> None:
    spec = request_for(WAYS[way](tmp_path), seq_lengths=(512,), dev_share=0.25, test_share=0.25)
    ref = prepare(spec, tmp_path, tokenizer, workers=1)
    assert sum(ref.statistics["documents"].values()) == WORKS * PARTS
    found: dict[str, set[str]] = defaultdict(set)
    for split in ("dev", "test"):
        documents = open_prepared(ref.path, 512).documents(split)
        assert documents
        assert len(documents) % PARTS == 0, "a part of a work is elsewhere"
        for document in documents:
            found[document.group].add(split)
    assert all(len(splits) == 1 for splits in found.values())
    assert len(found) * PARTS == sum(ref.statistics["documents"][split] for split in ("dev", "test"))
    said = " ".join(str(one) for one in ref.statistics["left_out"])
    assert ("corpus.parts" in said) == (
        way in ("rows of one id", "#", "newdoc", "episodes", "files", "OntoNotes rows")
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (lambda w, p: f"minutes#{w * PARTS + p}", "one series"),
        (lambda w, p: f"{'notes' if w < 9 else 'letters'}-part{w * PARTS + p}", "two series"),
    ],
)
def test_a_series_is_no_work(name: Any, why: str, tmp_path: Path, tokenizer: Any, request_for: Any) -> None:
    path = rows(tmp_path, lambda w, p: {"doc_id": name(w, p)})
    ref = prepare(request_for(path, seq_lengths=(512,)), tmp_path, tokenizer, workers=1)
    documents = [one for split in ("dev", "test") for one in open_prepared(ref.path, 512).documents(split)]
    assert documents, why
    assert not any(one.group for one in documents)
    assert "corpus.perhaps-parts" in str(ref.statistics["left_out"])


def test_names_that_only_end_in_numbers_are_left_alone(
    tmp_path: Path, tokenizer: Any, request_for: Any
) -> None:
    path = rows(tmp_path, lambda w, p: {"doc_id": f"ud-kaist-{w}_{p}"})
    ref = prepare(request_for(path, seq_lengths=(512,)), tmp_path, tokenizer, workers=1)
    assert not ref.statistics["left_out"]
    assert not any(one.group for one in open_prepared(ref.path, 512).documents("test"))


def test_parts_without_a_split_go_with_those_that_name_one(
    tmp_path: Path, tokenizer: Any, request_for: Any
) -> None:
    def fields(work: int, part: int) -> dict[str, Any]:
        named = {0: "test", 1: "train"} if work == 0 else {0: "dev"} if work == 1 else {0: "train"}
        return {"group": f"w{work}", **({"split": named[part]} if part in named else {})}

    ref = prepare(request_for(rows(tmp_path, fields), seq_lengths=(512,)), tmp_path, tokenizer, workers=1)
    # of the work whose parts name two splits all others go where they are not trained on
    assert ref.statistics["documents"] == {"train": (WORKS - 2) * PARTS + 1, "dev": PARTS, "test": PARTS - 1}
    assert "corpus.works-apart" in str(ref.statistics["left_out"])


def test_a_marked_text_names_its_work() -> None:
    from coref_k8s.corpus.marked import parse_marked

    assert parse_marked("id: a\ngroup: 한 작품\n\n{1|철수}가 왔다.\n", where="a").group == "한 작품"
