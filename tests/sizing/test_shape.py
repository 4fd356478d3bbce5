"""A model's shape from the hub: fetched once, kept on disk, assumed when the hub is not reached."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from coref_k8s.errors import ModelError
from coref_k8s.sizing import shape
from coref_k8s.sizing.estimate import estimate
from coref_k8s.sizing.shape import KF_DEBERTA_BASE, shape_of

CONFIG = {
    "num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16,
    "intermediate_size": 4096, "vocab_size": 128_100,
}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        known = {"/owner/large": json.dumps(CONFIG), "/owner/broken": "<html>"}
        text = known.get(self.path.removesuffix("/resolve/main/config.json"))
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    Hub.asked.clear()
    shape._fetched_config.cache_clear()
    yield Hub.asked
    shape._fetched_config.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_model_is_asked_for_once_and_kept_on_disk(hub: list[str], monkeypatch) -> None:
    found = shape_of("owner/large")
    assert (found.layers, found.hidden, found.assumed) == (24, 1024, False)
    shape._fetched_config.cache_clear()  # as in another process
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert shape_of("owner/large") == found
    assert hub == ["/owner/large/resolve/main/config.json"]


def test_what_the_hub_does_not_have_is_assumed(hub: list[str]) -> None:
    assert shape_of("owner/nothing").assumed
    assert shape_of("owner/broken").assumed


def test_offline_nobody_is_asked(hub: list[str], monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert shape_of("owner/large").assumed
    assert shape_of("kakaobank/kf-deberta-base") == KF_DEBERTA_BASE
    assert not hub


def test_the_optimiser_decides_what_is_kept_for_each_weight() -> None:
    found = {
        name: estimate(KF_DEBERTA_BASE, 1024, 4, checkpointing=False, optimiser=name)
        for name in ("adamw", "adamw8bit", "sgd")
    }
    weights = found["adamw"].weights
    assert found["adamw"].optimiser == 2 * weights
    assert found["adamw8bit"].optimiser == weights // 2
    assert found["adamw"].total - found["sgd"].total == 2 * weights


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        shape_of(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as a model"):
        shape_of(str(tmp_path))
