"""More text for a study that follows another: what was tuned or tested on there is trained on nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.prepared import documents_path, read_documents
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.study.reading import build_spec
from coref_k8s.text.document import Split


def written(folder: Path, count: int) -> Path:
    path = folder / f"{count}.jsonl"
    texts = [f"철수가 {n}번 학교에 갔다. 철수가 집에 왔다. " * (3 + n) for n in range(count)]
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))
    return path


def prepared(source: Path, root: Path, tokenizer: Any, **more: Any) -> Path:
    sources = [{"source": str(source), "min_length": 1}]
    data = {"sources": sources, "deduplicate": False, "train_limit": None}
    spec = build_spec(seq_lengths=[64], any_length=True, data=data)
    return prepare(spec, root, tokenizer, workers=1, **more).path


def places(folder: Path) -> dict[str, Split]:
    splits: tuple[Split, ...] = ("dev", "test")
    return {d.text: s for s in splits for d in read_documents(documents_path(folder, s))}


def test_what_is_held_out_stays_held_out_whatever_it_would_draw(tmp_path: Path, tokenizer: Any) -> None:
    source = written(tmp_path, 40)
    first = prepared(source, tmp_path, tokenizer)
    drawn = places(first)
    texts = [json.loads(line)["text"] for line in source.read_text().splitlines()]
    trained = [text for text in texts if text not in drawn]
    chosen: dict[str, Split] = {trained[0]: "test", trained[1]: "dev"}
    again = prepared(source, tmp_path, tokenizer, held_out=chosen)
    assert places(again) == drawn | chosen
    assert again != first, "the data of the one would be taken for those of the other"


def test_no_copy_of_what_is_held_out_elsewhere_is_trained_on(tmp_path: Path, tokenizer: Any) -> None:
    texts = [document.text for document in shipped_documents()[:12]]
    other, half = shipped_documents()[20].text, len(shipped_documents()[20].text) // 2
    path = tmp_path / "texts.jsonl"
    rows = [{"text": text, "split": ("test", "dev", "train")[min(n, 2)]} for n, text in enumerate(texts)]
    rows.append({"text": "머리말. " + other[half:], "split": "train"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = build_spec(seq_lengths=[512], data={"sources": [{"source": str(path), "min_length": 1}]})
    alone = prepare(spec, tmp_path, tokenizer, workers=1).statistics
    beside = prepare(
        spec, tmp_path, tokenizer, workers=1, held_out={other: "test", texts[0]: "test"}
    ).statistics
    assert alone["documents"] == {"train": 11, "dev": 1, "test": 1}
    assert beside["documents"] == {"train": 10, "dev": 1, "test": 1}
    assert beside["filters"]["near_duplicate"] == 1
