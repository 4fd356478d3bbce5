"""Preparation from end to end: what is written, that it is found again, and that it is whole or absent."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from coref_k8s.corpus.fingerprint import data_hash
from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.prepared import open_prepared
from coref_k8s.corpus.shipped import korean_folder, shipped_documents
from coref_k8s.errors import DataError
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.sizing.table import MEMORY_TABLE
from coref_k8s.study.spec import DatasetConfig
from coref_k8s.trial.batches import StepPlan


@pytest.fixture(scope="module")
def shipped(tmp_path_factory, tokenizer, request_for):
    """The shipped documents, prepared."""
    root = tmp_path_factory.mktemp("shipped")
    return prepare(request_for(korean_folder() / "documents"), root, tokenizer)


def test_rows_hold_whole_documents_and_repeated_mentions(shipped, tokenizer):
    for seq_len in (512, 1024):
        rows = open_prepared(shipped.path, seq_len).train
        for row in rows:
            ids = row["input_ids"]
            assert len(ids) <= seq_len
            assert len(ids) == len(row["segments"]) == len(row["word_starts"])
            assert ids[0] == tokenizer.cls_token_id
            assert ids[-1] == tokenizer.sep_token_id
            assert ids.count(tokenizer.cls_token_id) == row["segments"][-1] + 1
            seen = {}
            for start, end, entity, distance in zip(
                row["mention_start"],
                row["mention_end"],
                row["mention_entity"],
                row["mention_distance"],
                strict=True,
            ):
                assert row["word_starts"][start]
                assert row["segments"][start] == row["segments"][end - 1]
                before = seen.get(entity)
                assert distance == (-1 if before is None else max(0, start - before))
                seen[entity] = max(end, before or 0)
            counts = [row["mention_entity"].count(entity) for entity in seen]
            assert all(count > 1 for count in counts)


def test_all_training_text_is_there_and_no_other(shipped, tokenizer):
    train = [document for document in shipped_documents() if document.split == "train"]
    expected = sum(len(tokenizer(document.text, add_special_tokens=False)["input_ids"]) for document in train)
    for seq_len in (512, 1024):
        rows = open_prepared(shipped.path, seq_len).train
        assert sum(len(row["input_ids"]) - 2 * (row["segments"][-1] + 1) for row in rows) == expected
    for split in ("dev", "test"):
        kept = open_prepared(shipped.path, 512).documents(split)
        assert {d.doc_id for d in kept} == {d.doc_id for d in shipped_documents() if d.split == split}
        assert kept[0].clusters


def test_packing_leaves_less_than_five_percent_padding(shipped):
    for counts in shipped.statistics["lengths"].values():
        assert counts["padding"] < 0.05


def test_of_the_positions_trained_on_less_than_five_percent_are_padding(tmp_path, tokenizer, request_for):
    documents = korean_folder() / "documents"
    ref = prepare(request_for(documents, seq_lengths=tuple(MEMORY_TABLE)), tmp_path, tokenizer)
    for seq_len, row in MEMORY_TABLE.items():
        lengths = np.array([len(one["input_ids"]) for one in open_prepared(ref.path, seq_len).train])
        plan = StepPlan(lengths, row.batch * row.accumulation, seed=0)
        real = padded = 0
        for step in range(32):
            for batch in lengths[plan.rows(step)].reshape(row.accumulation, row.batch):
                real += batch.sum()
                padded += len(batch) * math.ceil(batch.max() / 8) * 8
        assert 1 - real / padded < 0.05, seq_len


def test_the_same_request_is_found_again(tmp_path, tokenizer, request_for, monkeypatch):
    first = prepare(request_for("gaps:12"), tmp_path, tokenizer)
    monkeypatch.setattr(
        "coref_k8s.corpus.building.Preparation.run", lambda self: pytest.fail("prepared twice")
    )
    second = prepare(request_for("gaps:12"), tmp_path, tokenizer)
    assert second == first


def test_the_hash_follows_content_request_and_tokenizer(tmp_path, tokenizer, request_for):
    source = tmp_path / "text"
    source.mkdir()
    for number, document in enumerate(shipped_documents()[:6]):
        (source / f"{number}.txt").write_text(document.text, encoding="utf-8")
    base = prepare(request_for(source), tmp_path, tokenizer).hash
    assert prepare(request_for(source, seed=1), tmp_path, tokenizer).hash != base
    assert prepare(request_for(source, packing=False), tmp_path, tokenizer).hash != base
    assert prepare(request_for(source, seq_lengths=(512,)), tmp_path, tokenizer).hash != base
    (source / "0.txt").write_text(shipped_documents()[7].text, encoding="utf-8")
    assert prepare(request_for(source), tmp_path, tokenizer).hash != base


def test_the_hash_follows_the_commit_of_a_hub_source(tokenizer, request_for):
    spec = request_for("some/thing")
    hashes = {data_hash(spec, tokenizer, revisions) for revisions in ({}, {0: "a"}, {0: "b"})}
    assert len(hashes) == 3


def test_the_same_request_gives_the_same_bytes(tmp_path, tokenizer, request_for):
    folders = [prepare(request_for("gaps:12"), tmp_path / name, tokenizer).path for name in "ab"]
    for name in ("512/train.arrow", "1024/train.arrow", "documents-dev.jsonl", "statistics.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_concurrent_preparations_agree(tmp_path, tokenizer, request_for):
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: prepare(request_for("gaps:12"), tmp_path, tokenizer), range(3)))
    assert len({result.path for result in results}) == 1
    assert [entry.name for entry in (tmp_path / "prepared").iterdir() if entry.is_dir()] == [results[0].hash]


def test_an_interrupted_preparation_leaves_nothing(tmp_path, tokenizer, request_for):
    def stop(progress):
        if progress.stage == "encode":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(request_for("gaps:12"), tmp_path, tokenizer, progress=stop)
    assert [entry for entry in (tmp_path / "prepared").iterdir() if entry.is_dir()] == []
    assert prepare(request_for("gaps:12"), tmp_path, tokenizer).statistics["documents"]["train"] == 10


def test_item_files_are_written_once_and_whole(tmp_path, tokenizer, request_for):
    calls = []

    def write(documents, given, seq_len, split, path):
        assert given is tokenizer
        calls.append((seq_len, split, len(documents)))
        path.write_text(json.dumps([document.doc_id for document in documents]))

    prepare(request_for("gaps:12"), tmp_path, tokenizer)
    ref = prepare(request_for("gaps:12"), tmp_path, tokenizer, eval_writer=write)
    prepare(request_for("gaps:12"), tmp_path, tokenizer, eval_writer=write)
    assert calls == [(512, "dev", 1), (512, "test", 1), (1024, "dev", 1), (1024, "test", 1)]
    assert json.loads(open_prepared(ref.path, 512).eval_items("test").read_text()) == ["gap-000000"]


def test_nothing_left_is_an_error_that_says_why(tmp_path, tokenizer, request_for):
    with pytest.raises(
        DataError, match=r"no document is left to train on; documents read: 12; .*: 12 shorter than"
    ):
        prepare(request_for("gaps:12", min_length=100_000), tmp_path, tokenizer)
    with pytest.raises(DataError, match=r"no source gave a document \(/nowhere/a\.txt does not exist\)"):
        prepare(request_for("/nowhere/a.txt"), tmp_path, tokenizer)


def test_one_text_is_not_enough_to_train_and_to_evaluate_on(tmp_path, tokenizer, request_for):
    (tmp_path / "corpus.txt").write_text("\n".join(document.text for document in shipped_documents()[:9]))
    with pytest.raises(
        DataError, match=r"no document is left for train and dev; documents read: 1; .*extractor: lines"
    ):
        prepare(request_for(tmp_path / "corpus.txt"), tmp_path, tokenizer)
    lines = DatasetConfig(source=str(tmp_path / "corpus.txt"), extractor="lines", min_length=0)
    assert min(prepare(request_for(lines), tmp_path, tokenizer).statistics["documents"].values()) > 0


def test_opening_what_is_not_prepared(tmp_path, shipped):
    with pytest.raises(DataError, match="holds no prepared data"):
        open_prepared(tmp_path, 512)
    with pytest.raises(DataError, match="prepared for 512 and 1024 tokens, not for 2048"):
        open_prepared(shipped.path, 2048)


def test_another_tokenizer_is_refused(shipped, tokenizer):
    prepared = open_prepared(shipped.path, 512)
    prepared.check_tokenizer(tokenizer)
    other = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer, mask_token="<mask>", unk_token="[UNK]"
    )
    with pytest.raises(DataError, match="another tokeniser"):
        prepared.check_tokenizer(other)


def test_how_a_tokenizer_was_used_does_not_make_it_another(shipped, tokenizer):
    from transformers import AutoTokenizer

    used = AutoTokenizer.from_pretrained(korean_folder() / "tokenizer")
    used("가나다라", truncation=True, max_length=3, padding="max_length")
    open_prepared(shipped.path, 512).check_tokenizer(used)
    assert Vocabulary(used).sha256 == Vocabulary(tokenizer).sha256
