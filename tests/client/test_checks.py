"""What is looked at before a study starts: the hub with every kind of token and spelling, names of all sorts, home."""

from __future__ import annotations

import pytest

from coref_k8s.client.checks import Hub, check_model, localised
from coref_k8s.errors import ModelError
from coref_k8s.study.reading import build_spec
from tests.corpus.local_hub import local_hub

REPOSITORIES = {"some/private": (401, {"config.json": b"{}"}), "some/open": {"config.json": b"{}"}}
PRIVATE = "datasets/some/private/resolve/main/config.json"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HF_TOKEN_FILE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with local_hub(REPOSITORIES, token="secret") as (endpoint, requests):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        yield requests


def test_without_a_token_a_private_file_is_refused(hub):
    assert "HF_TOKEN" in str(Hub().problem(PRIVATE))


@pytest.mark.parametrize("kind", ["variable", "file", "login"])
def test_a_token_is_taken_from_wherever_it_is_kept(hub, tmp_path, monkeypatch, kind):
    if kind == "variable":
        monkeypatch.setenv("HF_TOKEN", "secret")
    elif kind == "file":
        (tmp_path / "mounted").write_text("secret\n")
        monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / "mounted"))
    else:  # as `hf auth login` leaves it
        (tmp_path / "token").write_text("secret")
    assert Hub().problem(PRIVATE) is None


@pytest.mark.parametrize("token", ["sec\nret", "sec ret", "sec비밀ret"])
def test_a_token_that_no_header_takes_is_said_and_not_shown(hub, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    said = str(Hub().problem(PRIVATE))
    assert "set it again" in said
    assert "sec" not in said
    assert hub == []


@pytest.mark.parametrize("endpoint", [" ", "hub.example", "http://127.0.0.1:9", "http://127.0.0.1:99999"])
def test_a_hub_that_cannot_be_asked_is_one_sentence(hub, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "cannot be reached" in str(Hub().problem(PRIVATE))


@pytest.mark.parametrize("spelt", ["1", "true", "TRUE", "yes", "ON"])
def test_offline_means_offline_however_it_is_spelt(hub, monkeypatch, spelt):
    monkeypatch.setenv("HF_HUB_OFFLINE", spelt)
    assert "HF_HUB_OFFLINE" in str(Hub().problem(PRIVATE))
    assert hub == []


@pytest.mark.parametrize(
    "name", ["내모델", "my model", "a--b", "모델/기본", "owner/na me", "model?x=1", "a%b", "a\nb"]
)
def test_a_name_that_no_model_has_is_one_sentence(hub, name):
    with pytest.raises(ModelError) as caught:
        check_model(name)
    assert repr(name) in str(caught.value)
    assert Hub().problem(f"api/datasets/{name}") is not None


def test_a_home_folder_is_written_out(tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = localised(build_spec(data={"sources": [{"source": "~/texts"}, {"source": "~/nothing"}]}))
    assert [one.source for one in spec.data.sources] == [str(tmp_path / "texts"), "~/nothing"]
