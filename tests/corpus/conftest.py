"""What corpus tests share: the shipped tokeniser and small requests."""

import pytest

from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.study.spec import DatasetConfig, DataSpec, StudySpec


@pytest.fixture(scope="session")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shipped_tokenizer())


@pytest.fixture(scope="session")
def request_for():
    """A request of 512 and 1024 tokens for some sources."""

    def build(*sources, seq_lengths=(512, 1024), seed=0, min_length=0, **data):
        configs = [
            source
            if isinstance(source, DatasetConfig)
            else DatasetConfig(source=str(source), min_length=min_length)
            for source in sources
        ]
        return StudySpec(seq_lengths=seq_lengths, seed=seed, data=DataSpec(sources=configs, **data))

    return build
