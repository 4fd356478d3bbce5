"""Fixtures that more than one package needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Answer:
    """What a command line said."""

    code: int
    out: str
    err: str


@pytest.fixture
def coref(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Run `coref-k8s` in this process, on a wide terminal, and return what a user would have seen."""
    from coref_k8s.cli import console
    from coref_k8s.cli.main import run

    monkeypatch.setenv("COLUMNS", "160")
    for screen in (console.out, console.err):  # a console keeps the width it found when it was made
        monkeypatch.setattr(screen, "width", 160)
    for name in ("COREF_DEBUG", "LC_ALL", "LC_MESSAGES", "LANG"):  # tables follow the locale
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call
