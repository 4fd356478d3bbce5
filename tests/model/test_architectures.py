"""Every encoder and masked LM of the hub, through its own Hugging Face code, for both tasks."""

import pytest
import torch
from architectures import ARCHITECTURES, create
from reference import make_batch
from transformers import AutoModel, AutoModelForMaskedLM

from coref_k8s.client.resolver import Resolver
from coref_k8s.coref.encoded import encode_documents
from coref_k8s.coref.model import load_model, new_model
from coref_k8s.coref.training import Batches, loss
from coref_k8s.corpus.people import generate_people
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.errors import ModelError
from coref_k8s.model.load import load_encoder, load_masked_lm
from coref_k8s.model.loss import masked_lm_loss, masked_logits
from coref_k8s.sizing.shape import shape_of
from coref_k8s.trial.optimiser import Rates, build_optimiser


@pytest.fixture(scope="module", params=ARCHITECTURES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp(kind)
    create(kind, folder, tokenizer)
    return str(folder)


def test_loss_and_logits_are_the_models_own(folder):
    model = load_masked_lm(folder, seq_len=128)
    plain = AutoModelForMaskedLM.from_pretrained(folder).eval()
    batch = make_batch([50, 64])
    expected = plain(**batch)
    found = masked_lm_loss(model, batch)
    assert found.item() == pytest.approx(expected.loss.item(), rel=1e-5)
    positions = torch.tensor([[0, 1], [1, 63], [0, 1]])
    logits = masked_logits(model, batch["input_ids"], batch["attention_mask"], positions)
    assert torch.allclose(logits, expected.logits[positions[:, 0], positions[:, 1]], atol=1e-4)
    found.backward()
    expected.loss.backward()
    ours = model.get_input_embeddings().weight.grad
    assert torch.allclose(ours, plain.get_input_embeddings().weight.grad, atol=1e-5)


def test_a_batch_without_labels_costs_nothing(folder):
    model = load_masked_lm(folder, seq_len=128).train()
    ids = torch.full((2, 8), 7)
    found = masked_lm_loss(model, {"input_ids": ids, "labels": torch.full_like(ids, -100)})
    found.backward()
    assert found.item() == 0


def test_the_encoder_is_the_masked_lms(folder):
    batch = make_batch([50, 64])
    del batch["labels"]
    with torch.no_grad():
        states = load_encoder(folder, seq_len=128)(**batch)[0]
        expected = AutoModel.from_pretrained(folder).eval()(**batch)[0]
    real = batch["attention_mask"] > 0
    assert torch.allclose(states[real], expected[real], atol=1e-5)


@pytest.mark.parametrize("opened", [load_masked_lm, load_encoder])
def test_more_tokens_than_a_model_reads_are_refused(kind, folder, opened):
    if kind.startswith("deberta"):
        opened(folder, seq_len=192)  # relative positions alone
        return
    with pytest.raises(ModelError, match="reads at most 128 tokens at once, and 129 are asked for"):
        opened(folder, seq_len=129)


def test_layers_are_recomputed_when_asked(kind, folder):
    if not shape_of(folder).recomputes:
        assert kind in ("albert", "mpnet"), "these cannot, and learn as they are"
    batch = make_batch([50, 64])
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = load_masked_lm(folder, seq_len=128, checkpointing=checkpointing).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.config.attention_dropout = 0.0
        masked_lm_loss(model, batch).backward()
        gradients.append(model.get_input_embeddings().weight.grad)
    assert torch.allclose(*gradients, atol=1e-5)


def test_the_shape_counts_its_parameters(folder):
    model = load_masked_lm(folder, seq_len=128)
    assert shape_of(folder).parameters == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.02)


def test_a_range_of_positions_says_nothing_to_others(kind, folder, caplog):
    model = load_masked_lm(folder, seq_len=128, position_range="rescale")
    assert (
        kind == "deberta-v2" or model.config.to_dict() == load_masked_lm(folder, seq_len=128).config.to_dict()
    )


def test_a_coreference_head_learns_over_it(kind, tmp_path):
    from transformers import AutoTokenizer

    create(
        kind, tmp_path / "encoder", AutoTokenizer.from_pretrained(shipped_tokenizer()), initializer_range=0.02
    )
    torch.manual_seed(0)
    model = new_model(str(tmp_path / "encoder"), 128).train()
    documents, _ = encode_documents(
        generate_people(4, lengths=[120], test_share=0.0, dev_share=0.0, seed=1),
        model.tokenizer,
        model.longest_sentence,
    )
    (batch, *_) = Batches(documents, window=model.window, windows=4).of_pass(0)
    optimiser = build_optimiser(model, Rates(1e-3, head_learning_rate=1e-3), torch.device("cpu"))
    losses = []
    for _ in range(12):
        total = loss(model, batch).total
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        losses.append(total.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(parameter.grad is not None for parameter in model.head.parameters())
    model.eval().save(tmp_path / "model")
    text = documents[0].text
    again = Resolver(load_model(tmp_path / "model"))
    assert Resolver(model)(text).to_dict() == again(text).to_dict()
