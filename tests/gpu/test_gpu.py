"""The checks of `python -m tests.gpu`, on a card where there is one (`make test-gpu`), and small ones without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.gpu.checks import CHECKS, Setting, run


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    made = Setting(tmp_path_factory.mktemp("gpu"), small=False)
    made.create()
    return made


@pytest.mark.gpu
@pytest.mark.parametrize("name", CHECKS)
def test_on_a_gpu(setting: Setting, name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip(f"torch {torch.__version__} finds no GPU on this machine")
    found = CHECKS[name](setting)
    assert found["pass"], found


def test_the_script_runs_small_without_one(tmp_path: Path) -> None:
    """What is cheap; all of it is `python -m tests.gpu`."""
    found = run(Setting(tmp_path, small=True), ["out-of-memory"])
    assert found["pass"], found
    assert found["out-of-memory"]["fitted"] < found["out-of-memory"]["asked"]
    assert found["on"]["torch"] == torch.__version__
