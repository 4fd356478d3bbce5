"""Data of task coreference: whole documents with their gold chains, and nothing else."""

import json
import shutil

import pytest

from coref_k8s.corpus.fingerprint import data_hash
from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.prepared import open_prepared
from coref_k8s.corpus.shipped import korean_folder, shipped_documents
from coref_k8s.errors import DataError
from coref_k8s.study.spec import DatasetConfig, DataSpec, StudySpec
from coref_k8s.text.alignment import token_spans
from tests.corpus.test_coreference_formats import CONLL, conllu, novel

ENTITIES = """
1 소람은 2 Entity=(e1-person-1-)
2 왔다   0 _
"""
AGAIN = "1 그는 2 Entity=(e1-person-1-)\n2 갔다 0 _"


def asked(*sources, seq_lengths=(512, 1024), min_length=0, **data):
    configs = tuple(DatasetConfig(source=str(source), min_length=min_length) for source in sources)
    return StudySpec(task="coreference", seq_lengths=seq_lengths, data=DataSpec(sources=configs, **data))


def kept(ref, split="train"):
    return {document.doc_id: document for document in open_prepared(ref.path, 512).documents(split)}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory, tokenizer):
    """The shipped documents, prepared."""
    written = []
    root = tmp_path_factory.mktemp("whole")
    ref = prepare(
        asked(korean_folder() / "documents"),
        root,
        tokenizer,
        eval_writer=lambda *given: written.append(given),
        measure=lambda documents, _: {"documents": len(list(documents))},
    )
    assert not written, "whole documents are scored, no items"
    return ref


def test_documents_of_every_split_are_whole_and_serve_every_length(shipped):
    gold = {document.doc_id: document for document in shipped_documents()}
    found = {}
    for split in ("train", "dev", "test"):
        documents = open_prepared(shipped.path, 2048, "coreference").documents(split)
        assert documents
        assert {gold[document.doc_id].split for document in documents} == {split}
        found |= {document.doc_id: document for document in documents}
    assert found.keys() == gold.keys()
    assert all(found[name].text == gold[name].text for name in gold)
    assert all(found[name].clusters == gold[name].clusters for name in gold)
    assert {path.name for path in shipped.path.iterdir()} == {
        "documents-train.jsonl", "documents-dev.jsonl", "documents-test.jsonl", "statistics.json"
    }  # fmt: skip


def test_chains_are_counted_by_split(shipped, tokenizer):
    counts = shipped.statistics["chains"]["train"]
    train = [document for document in shipped_documents() if document.split == "train"]
    sizes = [len(token_spans(tokenizer, document.text)) for document in train]
    chains = [spans for document in train for spans in document.clusters.values()]
    assert counts == {
        "documents": len(train), "mentions": sum(map(len, chains)), "entities": len(chains),
        "singletons": sum(len(one) == 1 for one in chains), "tokens": sum(sizes), "longest": max(sizes),
    }  # fmt: skip
    assert shipped.statistics["representable"] == {"documents": len(train)}
    assert shipped.statistics["training_tokens"] == sum(sizes)
    assert shipped.statistics["task"] == "coreference"


def test_every_format_with_chains_is_read_and_text_without_is_left_out(tmp_path, tokenizer):
    texts = tmp_path / "texts"
    texts.mkdir()
    shutil.copy(korean_folder() / "documents" / "story-01.coref.txt", texts)
    (texts / "a.conllu").write_text(conllu(ENTITIES, AGAIN))
    (texts / "b.v4_gold_conll").write_text(CONLL)
    rows = [
        {"doc_id": "row", "text": "누리가 왔다. 그는 웃었다.", "clusters": {"1": [[0, 2], [8, 9]]}},
        {"doc_id": "bare", "text": "사슬이 없는 글이다."},
    ]
    (texts / "c.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    (texts / "d.txt").write_text("여기에도 없다.")
    novel(tmp_path / "KoCoNovel")
    ref = prepare(asked(texts, tmp_path / "KoCoNovel" / "data" / "jsonl", "people:20"), tmp_path, tokenizer)
    assert ref.statistics["filters"]["no_chains"] == 2
    documents = {name: one for split in ("train", "dev", "test") for name, one in kept(ref, split).items()}
    assert {"row", "d", "story/a_0", "story/a_1"} <= documents.keys()
    assert "bare" not in documents
    assert sum(name.startswith("people-") for name in documents) == 20
    assert sum(name.startswith("7") for name in documents) == 1
    assert [documents["d"].text[s:e] for s, e in documents["d"].clusters["e1"]] == ["소람은", "그는"]
    assert documents["d"].words is not None, "heads are matched where there is a tree"


def test_text_without_any_chain_is_refused_with_the_formats_that_have_them(tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("사슬이 없는 글이다.")
    with pytest.raises(DataError, match=r"none of the 1 documents read has gold chains .* \*\.conllu"):
        prepare(asked(tmp_path / "a.txt"), tmp_path, tokenizer)


def test_one_document_is_not_enough(tmp_path, tokenizer):
    row = {"text": "누리가 왔다. 그는 웃었다.", "clusters": {"1": [[0, 2], [8, 9]]}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(
        DataError, match=r"no document is left for .* read: 1; .* Give at least 3 documents with gold"
    ):
        prepare(asked(tmp_path / "a.jsonl"), tmp_path, tokenizer)


def test_a_source_without_chains_is_not_read_to_its_end(tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("\n".join(f"{number}번째 글에는 사슬이 없다." for number in range(3000)))
    spec = asked("people:20")
    lines = DatasetConfig(source=str(tmp_path / "a.txt"), extractor="lines", min_length=0)
    data = spec.data.model_copy(update={"sources": (lines, *spec.data.sources)})
    ref = prepare(spec.model_copy(update={"data": data}), tmp_path, tokenizer)
    (lost,) = ref.statistics["skipped_sources"]
    assert lost["reason"] == "its first 1,000 documents have no gold chains"
    assert ref.statistics["read"][lost["source"]] == 1000
    assert ref.statistics["documents"]["train"] > 0


def test_singletons_are_kept_or_dropped(tmp_path, tokenizer):
    clusters = {"1": [[0, 2], [8, 9]], "2": [[3, 4]]}
    rows = [{"doc_id": "two", "text": "누리가 왔다. 그는 웃었다.", "clusters": clusters},
            {"doc_id": "one", "text": "소람이 갔다.", "clusters": {"1": [[0, 2]]}}]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))

    def made(**data):
        ref = prepare(asked(tmp_path / "a.jsonl", "people:20", **data), tmp_path, tokenizer)
        return ref, {
            name: one for split in ("train", "dev", "test") for name, one in kept(ref, split).items()
        }

    (auto, all_), (keep, _), (drop, fewer) = made(), made(singletons="keep"), made(singletons="drop")
    assert auto.path == keep.path
    assert all_["two"].clusters.keys() == {"1", "2"}
    assert fewer["two"].clusters.keys() == {"1"}
    assert ("one" in all_, "one" in fewer) == (True, False)
    assert drop.statistics["filters"]["no_chains"] == 1
    assert sum(one["singletons"] for one in drop.statistics["chains"].values()) == 0


def test_the_training_limit_counts_tokens_and_cuts_no_document(tmp_path, tokenizer):
    ref = prepare(asked("people:40", seq_lengths=(512,), train_limit=4), tmp_path, tokenizer)
    counts = ref.statistics["chains"]["train"]
    assert 4 * 512 <= counts["tokens"] < 4 * 512 + counts["longest"]
    assert len(kept(ref)) == counts["documents"] < 32
    assert all("\n" in document.text for document in kept(ref).values())


def test_equal_documents_are_kept_once(tmp_path, tokenizer):
    row = {"text": "누리가 왔다. 그는 웃었다.", "clusters": [[[0, 2], [8, 9]]]}
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({**row, "doc_id": str(n)}) for n in range(3)))
    ref = prepare(asked(tmp_path / "a.jsonl", "people:20"), tmp_path, tokenizer)
    assert ref.statistics["filters"]["same_text"] == 2


def test_a_task_has_data_of_its_own(tmp_path, shipped, tokenizer, request_for):
    mentions, coreference = request_for("gaps:12"), asked("gaps:12")
    assert data_hash(mentions, tokenizer, {}) != data_hash(coreference, tokenizer, {})

    def of(task, **data):
        spec = request_for("gaps:12", **data).model_copy(update={"task": task})
        return data_hash(spec, tokenizer, {})

    # what only the other task reads is no reason to prepare anew
    assert of("mentions", singletons="drop") == of("mentions")
    assert of("coreference", packing=False, eval_items=3) == of("coreference")
    assert of("coreference", singletons="drop") != of("coreference")
    other = prepare(mentions, tmp_path, tokenizer)
    with pytest.raises(
        DataError, match=r"prepared for task mentions, not for coreference; .*--task coreference"
    ):
        open_prepared(other.path, 512, "coreference")
    with pytest.raises(DataError, match="prepared for task coreference, not for mentions"):
        open_prepared(shipped.path, 512, "mentions")
    with pytest.raises(DataError, match="do not keep the documents of 'train'"):
        open_prepared(other.path, 512).documents("train")


def test_whole_documents_serve_every_tokeniser(shipped):
    open_prepared(shipped.path, 512).check_tokenizer(object())


def test_rows_keep_the_split_and_the_group_that_they_name(tmp_path, tokenizer):
    def row(number, **more):
        text = f"누리가 {number}번 왔다. 그는 {number}번 웃었다."
        start = text.index("그")
        return json.dumps(
            {"doc_id": str(number), "text": text, "clusters": [[[0, 2], [start, start + 1]]], **more}
        )

    splits = ("train", "validation", "test")
    rows = [row(number, split=splits[number % 3]) for number in range(30)]
    rows += [row(number, group="one work") for number in range(30, 60)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    ref = prepare(asked(tmp_path / "a.jsonl", deduplicate=False), tmp_path, tokenizer)
    found = {split: set(kept(ref, split)) for split in ("train", "dev", "test")}
    for split, number in zip(found, range(3), strict=True):
        assert {str(n) for n in range(number, 30, 3)} <= found[split]
    together = {str(number) for number in range(30, 60)}
    assert [split for split, ids in found.items() if ids & together] == [
        split for split, ids in found.items() if together <= ids
    ]
