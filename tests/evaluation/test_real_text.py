"""Items of real Korean documents: the shipped ones, and the novels where COREF_CORPUS_DIR has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from coref_k8s.corpus.shipped import shipped_documents, shipped_tokenizer
from coref_k8s.evaluation.coref_items import bucket
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.items import build_items
from coref_k8s.text.document import Document
from tests.evaluation.scripted import constant, copier


@pytest.fixture(scope="module")
def small_tokenizer():
    return AutoTokenizer.from_pretrained(shipped_tokenizer())


@pytest.fixture(scope="module")
def real_documents() -> list[Document]:
    """Nine documents with gold chains: long novels of another source where the folder is named, else shipped dev."""
    folder = os.environ.get("COREF_CORPUS_DIR")
    if folder and (path := Path(folder) / "novels.jsonl").exists():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:6]]
        return [
            Document(
                row["doc_id"],
                row["text"],
                {label: sorted(map(tuple, spans)) for label, spans in row["clusters"].items()},
            )
            for row in rows
        ]
    return [document for document in shipped_documents() if document.split == "dev"]


def test_real_documents_give_real_items(real_documents, small_tokenizer):
    items = build_items(real_documents, small_tokenizer, 2048, max_items=60)
    assert items.counts["usable_runs"] > 0.5 * items.counts["runs"]
    assert len(items.coref) >= 25
    # gold entities that are first named by a noun not read before are few
    assert 15 <= len(items.pairs) == len(items.firsts) <= len(items.coref)
    assert not any(first.entity.startswith("=") for first in items.firsts)
    assert len(items.lambada) >= 25
    assert {bucket(item.distance) for item in items.coref} > {0}
    gold = {document.doc_id: document for document in real_documents}
    for item in items.coref:
        document = gold[items.tables[item.document].doc_id]
        start, end = map(int, item.id.rsplit(":", 1)[1].split("-"))
        assert document.text[start:end] == item.string
        # a mention that carries its particle is cut to the noun in it
        assert any(first <= start and end <= last for first, last in document.clusters[item.entity])

    copied = evaluate(copier(small_tokenizer, items), small_tokenizer, items)
    assert copied.metrics["coref_top1"] >= 0.95
    assert copied.metrics["coref_top1_removed"] == 0
    assert copied.metrics["coref_f1"] >= 0.95
    assert copied.metrics["lbd_top1_sentence"] == 0
    fixed = evaluate(constant(small_tokenizer, items.frequent), small_tokenizer, items)
    assert fixed.metrics["coref_top5_gain"] == 0
    assert fixed.score < 0.1 < copied.score
    # The founding way rewards a list that never looks at the text.
    assert fixed.metrics["baseline_seed_coref_top5"] > 0
