"""What a model cannot do is found out from its config and files, in one sentence, before anything is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from coref_k8s.client.checks import check_model
from coref_k8s.client.planning import as_data, plan_study
from coref_k8s.errors import ModelError
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.small import create_small_model
from coref_k8s.search.space import space_for
from coref_k8s.sizing.shape import config_of
from coref_k8s.sizing.suitable import check_suitable, left_out, packs, positions_of
from coref_k8s.study.reading import build_spec
from coref_k8s.trial.models import load_tokenizer

SIZES = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
}
DEBERTA = {
    **SIZES,
    "model_type": "deberta-v2",
    "position_biased_input": False,
    "max_position_embeddings": 512,
}
BERT = {**SIZES, "model_type": "bert", "max_position_embeddings": 512}


def asked(tmp_path: Path, config: dict, **request):
    (tmp_path / "config.json").write_text(json.dumps(config))
    return build_spec(model=str(tmp_path), **request)


@pytest.fixture(scope="module")
def small(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("small")
    create_small_model(folder, tokenizer, hidden=32, layers=1, intermediate=64)
    return folder


@pytest.fixture
def copied(small, tmp_path):
    return shutil.copytree(small, tmp_path / "model")


def test_a_deberta_with_relative_positions_alone_suits_every_length(tmp_path):
    check_suitable(asked(tmp_path, DEBERTA, seq_lengths=[512, 2048]))


MODERNBERT = {**SIZES, "model_type": "modernbert", "max_position_embeddings": 16384}
RESCALED = {"space": {"position_range": {"choices": ["clamp", "rescale"]}}}


@pytest.mark.parametrize(
    ("config", "request_", "said"),
    [
        (BERT, {"seq_lengths": [512, 1024]}, "reads at most 512 tokens at once, and 1024 are asked for"),
        ({**DEBERTA, "position_biased_input": True}, {"seq_lengths": [1024]}, "at most 512 tokens"),
        ({**MODERNBERT, "max_position_embeddings": 1024}, {"seq_lengths": [2048]}, "at most 1024 tokens"),
        (
            MODERNBERT,
            {"seq_lengths": [1024], "search": RESCALED, "training": {"attention": "blocked"}},
            "is a modernbert and cannot be trained as asked; set search.space.position_range: "
            ".* and training.attention: auto, or",
        ),
        (
            {**DEBERTA, "model_type": "my-deberta", "auto_map": {"AutoModel": "my.Model"}},
            {"seq_lengths": [512]},
            "needs code of its own",
        ),
    ],
)
def test_what_a_model_cannot_do_is_said(tmp_path, config, request_, said):
    with pytest.raises(ModelError, match=said) as caught:
        check_suitable(asked(tmp_path, config, **request_))
    assert caught.value.message.say("ko") != str(caught.value)


@pytest.mark.parametrize(
    ("config", "packed", "tuned"),
    [
        (DEBERTA, True, True),
        ({**DEBERTA, "position_buckets": 256}, True, True),
        ({**DEBERTA, "conv_kernel_size": 3}, False, True),
        (MODERNBERT, False, False),
        ({**BERT, "max_position_embeddings": 2048}, False, False),
        ({**DEBERTA, "model_type": "deberta"}, False, False),
    ],
)
def test_what_is_a_debertas_alone_is_left_out_and_said(tmp_path, config, packed, tuned):
    spec = asked(tmp_path, {"position_buckets": 32, **config}, seq_lengths=[1024])
    check_suitable(spec)
    assert packs(spec, config_of(spec.model)) is packed
    assert ("position_range" in space_for(spec, 1024)) is tuned
    said = " ".join(map(str, left_out(spec)))
    assert ("not packed" in said) is not packed
    assert ("position_range is not tuned" in said) is not tuned
    assert as_data(spec, plan_study(spec))["leftOut"] == [str(one) for one in left_out(spec)]


def test_the_plan_tells_what_a_model_reads(tmp_path):
    spec = asked(tmp_path, MODERNBERT, seq_lengths=[2048])
    assert any("reads up to 16384 tokens at once" in str(one) for one in left_out(spec))
    assert left_out(asked(tmp_path, {**DEBERTA, "position_buckets": 32})) == []


def test_packed_documents_need_the_blocked_attention(tmp_path):
    spec = asked(tmp_path, DEBERTA, training={"attention": "eager"})
    assert not packs(spec, config_of(spec.model))


def test_a_range_that_is_asked_for_stays_in_the_space(tmp_path):
    clamped = {"space": {"position_range": {"choices": ["clamp"]}}}
    spec = asked(tmp_path, MODERNBERT, seq_lengths=[1024], search=clamped)
    check_suitable(spec)
    assert space_for(spec, 1024)["position_range"].choices == ("clamp",)


def test_a_model_that_is_elsewhere_is_left_to_the_trials(tmp_path):
    check_suitable(build_spec(model=str(tmp_path / "on-the-volume"), seq_lengths=[512]))


def test_some_architectures_count_positions_after_the_padding():
    assert positions_of({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}) == 512
    assert positions_of({"model_type": "mpnet", "max_position_embeddings": 514}) == 512
    assert positions_of(BERT) == 512
    assert positions_of(MODERNBERT) == 16384
    assert positions_of(DEBERTA) is None


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_known(copied, name):
    (copied / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:7\nsize 735000000\n")
    for opened in (
        lambda: load_masked_lm(str(copied), seq_len=512),
        lambda: load_tokenizer(str(copied), None),
    ):
        with pytest.raises(ModelError, match=f"{name} is a pointer of git-lfs"):
            opened()


def test_a_folder_without_weights_is_refused_before_anything_starts(copied):
    check_model(str(copied))
    for file in copied.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ModelError, match=r"has a config\.json but no weights"):
        check_model(str(copied))


@pytest.mark.parametrize("damage", ["cut", "cut_bin", "page", "index", "none", "tokeniser"])
def test_damaged_files_are_one_sentence(copied, damage):
    weights = copied / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if damage == "cut":
        weights.write_bytes(content[:5000])
    elif damage == "cut_bin":
        (copied / "pytorch_model.bin").write_bytes(content[:3000])
    elif damage == "page":
        (copied / "pytorch_model.bin").write_bytes(b"not found")
    elif damage == "index":
        index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
        (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    elif damage == "tokeniser":
        (copied / "tokenizer.json").write_text('{"version": "1.0", "model": {}}')
        with pytest.raises(ModelError, match=r"the tokeniser of .* cannot be opened \("):
            load_tokenizer(str(copied), None)
        return
    with pytest.raises(ModelError, match=r"cannot be opened \(.+\); give a hub id") as caught:
        load_masked_lm(str(copied), seq_len=512)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value), "no advice to run what a file holds"


def test_code_of_a_models_own_is_neither_run_nor_asked_for(copied, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question at the terminal"))
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "my-deberta", "auto_map": {"AutoConfig": "my.C", "AutoModelForMaskedLM": "my.M"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "my.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(ModelError, match="cannot be opened"):
        load_masked_lm(str(copied), seq_len=512)
    with pytest.raises(ModelError, match="needs code of its own"):
        load_tokenizer(str(copied), None)


def test_tokens_beyond_the_embedding_are_found_before_training(copied, tokenizer):
    more = type(tokenizer).from_pretrained(copied)
    more.add_tokens(["에서", "했다"])
    more.save_pretrained(copied)
    rows = len(tokenizer)
    with pytest.raises(ModelError, match=rf"has {rows + 2:,} tokens and the model embeds {rows:,}"):
        load_tokenizer(str(copied), None)
