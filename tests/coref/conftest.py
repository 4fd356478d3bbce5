"""A small coreference model that has learnt nothing, and documents with reference."""

import pytest
import torch

from coref_k8s.coref.model import new_model
from coref_k8s.corpus.people import generate_people
from coref_k8s.corpus.shipped import shipped_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shipped_tokenizer())


@pytest.fixture(scope="session")
def encoders(tokenizer, tmp_path_factory):
    """Folders of small encoders: the project's own kind, and one with absolute positions."""
    from transformers import BertConfig, BertModel

    from coref_k8s.model.small import create_small_model

    root = tmp_path_factory.mktemp("encoders")
    create_small_model(root / "deberta", tokenizer, layers=2, hidden=64, intermediate=128)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=128, **sizes)).save_pretrained(
        root / "bert"
    )
    tokenizer.save_pretrained(root / "bert")
    return root


@pytest.fixture
def model(encoders):
    """A model of the project's own kind in evaluation mode, windows of 96 tokens."""
    torch.manual_seed(0)
    return new_model(str(encoders / "deberta"), 96).eval()


@pytest.fixture(scope="session")
def people():
    """Sixty generated documents; the first ten are not to be trained on."""
    return list(generate_people(60, lengths=[200], test_share=1 / 6, dev_share=0.0, seed=3))
