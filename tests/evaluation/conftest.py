"""Documents, a tokeniser trained on them, and the items made of both."""

from __future__ import annotations

from typing import Any

import pytest

from coref_k8s.evaluation.items import ItemSet, build_items
from coref_k8s.text.document import Document
from tests.evaluation.scripted import SEQ_LEN, planted, train_tokenizer


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return [planted(number) for number in range(24)]


@pytest.fixture(scope="session")
def tokenizer(documents: list[Document]) -> Any:
    # Small enough that names need several pieces.
    return train_tokenizer([document.text for document in documents], 400)


@pytest.fixture(scope="session")
def items(documents: list[Document], tokenizer: Any) -> ItemSet:
    return build_items(documents, tokenizer, SEQ_LEN, max_items=40, seed=0)
