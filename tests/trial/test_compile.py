"""`training.compile`: the same numbers through a real compiler, and a word where there is none."""

import copy

import pytest
import torch

from coref_k8s.model.convert import convert
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.trial.models import compile_layers, missing_compiler


def make_model():
    from transformers import DebertaV2Config, DebertaV2ForMaskedLM

    torch.manual_seed(0)
    model = DebertaV2ForMaskedLM(
        DebertaV2Config(
            vocab_size=200,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            position_buckets=16,
            max_position_embeddings=32,
            relative_attention=True,
            position_biased_input=False,
            pos_att_type=["c2p", "p2c"],
            share_att_key=True,
            norm_rel_ebd="layer_norm",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    ).train()
    convert(model)
    return model


def batch_of(length: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 200, (2, length), generator=torch.Generator().manual_seed(length))
    labels = torch.where(ids % 5 == 0, ids, -100)
    return {"input_ids": ids, "labels": labels}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_layers_give_the_same_step(monkeypatch):
    if missing_compiler("cpu"):
        pytest.skip("no C++ compiler on this machine")
    plain = make_model()
    compiled = copy.deepcopy(plain)
    compile_layers(compiled, "cpu", pytest.fail)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for length in (40, 56):
        for model in (plain, compiled):
            model.zero_grad()
            masked_lm_loss(model, batch_of(length)).backward()
        for (name, ours), theirs in zip(compiled.named_parameters(), plain.parameters(), strict=True):
            if theirs.grad is not None:
                assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6), (length, name)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


@pytest.mark.parametrize(("device", "variable"), [("cpu", "CXX"), ("cuda", "CC")])
def test_without_a_compiler_training_goes_on_with_a_word(device, variable, monkeypatch):
    monkeypatch.setenv(variable, "no-such-compiler")
    model, said = make_model(), []
    compile_layers(model, device, said.append)
    assert len(said) == 1
    assert str(said[0]).startswith("training.compile needs")
    assert str(said[0]).endswith("set training.compile to false")
    assert all(module._compiled_call_impl is None for module in model.modules())
