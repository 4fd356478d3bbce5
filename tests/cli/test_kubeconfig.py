"""A kubeconfig that leads nowhere: one sentence, whatever is wrong with it, and an exit code that is not 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    # a port on which nobody can listen
    "clusters": [{"name": "lab", "cluster": {"server": "http://127.0.0.1:0"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me"}}],
    "current-context": "lab",
}


def without(key: str) -> str:
    return yaml.safe_dump({name: value for name, value in CONFIG.items() if name != key})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("hello", "no cluster connection"),
        ("not: [yaml", "no cluster connection"),
        ("[1, 2]", "no cluster connection"),
        ("clusters: 7", "no cluster connection"),
        (without("contexts"), "no cluster connection"),
        (without("clusters"), "no cluster connection"),
        (without("current-context"), "no cluster connection"),
        (yaml.safe_dump({**CONFIG, "current-context": "office"}), "office"),
        (yaml.safe_dump(CONFIG), "no answer from the API server at http://127.0.0.1:0"),
    ],
)
@pytest.mark.parametrize("verb", [("submit", "--name", "korean"), ("status", "korean", "-n", "lab")])
def test_is_told_in_one_sentence(
    text: str,
    words: str,
    verb: tuple[str, ...],
    coref: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "config"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    answer = coref(*verb)
    assert (answer.code, answer.out) == (1, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1, answer.err
    assert answer.err.startswith("coref-k8s: ")


def test_a_kubeconfig_that_is_not_there_is_named(
    coref: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    answer = coref("submit", "--name", "korean")
    assert (answer.code, answer.out) == (1, "")
    assert f"KUBECONFIG names {tmp_path / 'none'}, which is not there" in answer.err
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "no Kubernetes cluster is configured here" in coref("submit", "--name", "korean").err
