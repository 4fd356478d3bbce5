"""The folder of a model: what is in it, who can open it, and what is said when it is not whole."""

import json

import pytest
import torch

import coref_k8s
from coref_k8s.coref.model import load_model, new_model
from coref_k8s.errors import ModelError, NotFoundError, OutOfMemoryError, RequestError

TEXT = "김 첨지는 아내를 보았다.\n그는 아내의 손을 잡았다. 옆집 사람도 그를 보았다."


@pytest.fixture
def saved(model, tmp_path):
    with torch.no_grad():
        model.head.start[-1].bias.fill_(1.0)  # a model that finds something
        model.head.end[-1].bias.fill_(0.0)
    model.save(tmp_path / "model")
    return tmp_path / "model"


def test_transformers_opens_the_encoder(saved, model):
    from transformers import AutoModel

    plain = AutoModel.from_pretrained(saved).eval()
    ids = torch.tensor([model.tokenizer(TEXT)["input_ids"]])
    with torch.no_grad():
        wanted = model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
        assert torch.allclose(plain(input_ids=ids)[0], wanted, atol=1e-5)


def test_it_answers_after_loading_as_before(saved, model):
    before = coref_k8s.Resolver(model)(TEXT)
    after = coref_k8s.Resolver.from_pretrained(saved, device="cpu")(TEXT)
    assert before.to_dict() == after.to_dict()
    assert before.mentions


def test_the_config_names_what_head_and_encoder_need(encoders, tmp_path):
    new_model(str(encoders / "bert"), 100, trims=False, licences=["CC BY-SA 4.0"]).save(tmp_path)
    read = load_model(tmp_path).config
    assert (read.seq_len, read.trims, read.singletons, read.licences) == (100, False, True, ("CC BY-SA 4.0",))


def test_offsets_are_those_of_the_text_as_it_is_given(saved):
    import unicodedata

    resolver = coref_k8s.Resolver.from_pretrained(saved, device="cpu")
    composed = resolver(TEXT)
    for text in (unicodedata.normalize("NFD", TEXT), TEXT.replace("\n", "\r\n")):
        document = resolver(text)
        assert document.text == text
        assert all(text[m.start : m.end] == m.text for m in document.mentions)
        found = [unicodedata.normalize("NFC", m.text) for m in document.mentions]
        assert found == [m.text for m in composed.mentions]
        assert document.names == composed.names
        assert unicodedata.normalize("NFC", document.to_conllu()) == composed.to_conllu()


@pytest.mark.parametrize("text", ["", " \n ", "😀", "漢字 ᄒᆞᆫ글 \ud800 [MASK] \x00", "가" * 2000])
def test_any_text_is_answered(saved, text):
    document = coref_k8s.Resolver.from_pretrained(saved, device="cpu")(text)
    assert len(document.text) == len(text)
    for written in (
        document.to_conllu(),
        document.to_conll(),
        document.to_html(),
        document.to_text(),
        document.to_json(),
    ):
        written.encode("utf-8")


def test_what_is_no_text_is_one_sentence(saved):
    resolver = coref_k8s.Resolver.from_pretrained(saved, device="cpu")
    for given, kind in ((None, "NoneType"), (b"text", "bytes"), (["a", "b"], "list")):
        with pytest.raises(RequestError, match=rf"a text is a str.*not {kind}"):
            resolver(given)
    with pytest.raises(RequestError, match=r"resolver.stream\(\[\(name, text\)"):
        next(resolver.stream(["김 첨지는 아내를 보았다."]))


def test_singletons_are_left_out_where_the_data_have_none(saved, tmp_path):
    record = json.loads((saved / "coref.json").read_text())
    (saved / "coref.json").write_text(json.dumps({**record, "singletons": False}))
    document = coref_k8s.Resolver.from_pretrained(saved, device="cpu")(TEXT)
    assert all(len(chain) > 1 for chain in document.chains)


def cut(file):
    file.write_bytes(file.read_bytes()[:40])


BROKEN = {
    "no folder": (
        lambda folder: folder.rename(folder.with_name("gone")),
        NotFoundError,
        "there is no folder",
    ),
    "no head": (lambda folder: (folder / "coref.json").unlink(), ModelError, "no coreference head"),
    "no weights": (lambda folder: (folder / "coref_head.safetensors").unlink(), ModelError, "cannot be read"),
    "cut head": (lambda folder: cut(folder / "coref_head.safetensors"), ModelError, "cannot be read"),
    "cut encoder": (lambda folder: cut(folder / "model.safetensors"), ModelError, "cannot be opened"),
    "no tokeniser": (
        lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
        ModelError,
        "tokeniser",
    ),
    "odd config": (lambda folder: (folder / "coref.json").write_text("[]"), ModelError, "cannot be read"),
    "newer": (
        lambda folder: (folder / "coref.json").write_text('{"format": 9}'),
        ModelError,
        "newer version",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_not_whole_is_refused_in_one_sentence(saved, name):
    damage, error, words = BROKEN[name]
    damage(saved)
    with pytest.raises(error, match=words) as raised:
        load_model(saved)
    assert "\n" not in str(raised.value)
    assert raised.value.message.say("ko")


def test_what_an_encoder_cannot_read_at_once_is_refused(encoders):
    with pytest.raises(ModelError, match="reads at most 128 tokens at once, and 512 are asked for"):
        new_model(str(encoders / "bert"), 512)


def test_a_device_that_is_not_there_is_refused(saved):
    with pytest.raises(RequestError, match="no device"):
        coref_k8s.Resolver.from_pretrained(saved, device="banana")


def test_a_pass_that_does_not_fit_is_one_sentence(model, monkeypatch):
    def full(windows):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(model, "encode", full)
    with pytest.raises(OutOfMemoryError, match="use fewer with --windows") as raised:
        coref_k8s.Resolver(model)(TEXT)
    assert "\n" not in str(raised.value)
