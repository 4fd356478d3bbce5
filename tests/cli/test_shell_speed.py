"""What the shell waits for: CPU time of whole commands, as ratios to what no command can do without."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import insert

from coref_k8s.search.storage import open_storage
from coref_k8s.search.stored import STUDIES, TRIALS, USER
from coref_k8s.store import Phase, Store
from coref_k8s.study.reading import build_spec
from tests.timing import least

ROOT = Path(__file__).parents[2]
#: A help of the size of ours by the libraries alone: 25 commands in panels.
HELP = """
import typer
app = typer.Typer(add_completion=False)
def verb(number):
    def command(name: str = "x"): ...
    command.__doc__ = f"Do what verb {number} does, and say so in a sentence of this length or so."
    return command
for number in range(25):
    app.command(f"verb-{number}", rich_help_panel=f"Panel {number // 6}")(verb(number))
app()
"""
#: What every command that reads a study imports that is not ours.
LIBRARIES = "import typer, rich.table, sqlalchemy, sqlalchemy.dialects.sqlite, pydantic, yaml; from typer import rich_utils"


def cpu_seconds(*command: str) -> float:
    """Return the CPU time of a command (seconds)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cost(command: Sequence[str], libraries: Sequence[str], at_most: float) -> float:
    """Return what a command of ours costs, as a ratio to what Python code that uses the libraries alone does."""
    ours, theirs = least(
        lambda: cpu_seconds(sys.executable, "-m", "coref_k8s", *command),
        lambda: cpu_seconds(sys.executable, "-c", *libraries),
        until=lambda ours, theirs: ours < at_most * theirs,
    )
    return ours / theirs


@pytest.mark.quiet
def test_help_takes_at_most_twice_what_the_libraries_take() -> None:
    """1.3 times, measured 30 November 2026: 0.276 and 0.209 s on one busy core."""
    assert cost(["--help"], [HELP, "--help"], 2.0) < 2


@pytest.fixture
def big(here: str) -> str:
    """A study of 2 x 100 complete trials in the data folder of the working directory."""
    store = Store(here)
    store.create_study("", "big", build_spec(seq_lengths=[512, 1024], trials=100))
    store.set_phase("", "big", Phase.SUCCEEDED)
    open_storage(here)  # makes the tables
    params = {f"parameter_{n}": 0.1 * n for n in range(12)}
    metrics = {f"metric_{n}": 0.01 * n for n in range(30)}
    with store.engine.begin() as connection:
        for study_id, length in ((1, 512), (2, 1024)):
            connection.execute(insert(STUDIES).values(study_id=study_id, study_name=f"big/{length}"))
            for number in range(100):
                one = 100 * study_id + number
                connection.execute(
                    insert(TRIALS).values(trial_id=one, number=number, study_id=study_id, state="COMPLETE")
                )
                made = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')"
                connection.exec_driver_sql(made, (one, number / 100))
                for key, value in (("params", params), ("metrics", metrics)):
                    connection.execute(
                        insert(USER).values(trial_id=one, key=key, value_json=json.dumps(value))
                    )
    store.close()
    return "big"


@pytest.mark.quiet
@pytest.mark.parametrize("command", [("status", "big"), ("results", "big"), ("list",)])
def test_a_study_of_200_trials_is_shown_at_once(big: str, command: tuple[str, ...]) -> None:
    """0.87 to 0.96 s of CPU on one busy core where the libraries alone take 0.55, 30 November 2026; 1.7 to 1.9 s before."""
    assert cost(command, [LIBRARIES], 2.2) < 2.2


def test_reading_imports_neither_optuna_nor_the_loop(big: str) -> None:
    code = (
        "import sys; from coref_k8s.cli.main import run; run(['status', 'big'])\n"
        "print(sorted({'optuna', 'alembic', 'numpy', 'torch', 'coref_k8s.controller.loop'} & sys.modules.keys()))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert said.stdout.splitlines()[-1] == "[]"
    assert "100" in said.stdout
