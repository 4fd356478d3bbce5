"""The program itself: fast to start, helpful when mistyped."""

import os
import subprocess
import sys
from typing import Any

import pytest

from coref_k8s.cli.main import COMMANDS
from coref_k8s.wording import LANGUAGES, say

#: Packages that cost a tenth of a second or more each.
HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "kiwipiepy",
    "optuna",
    "kubernetes",
    "pydantic",
    "sqlalchemy",
    "numpy",
)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys; from coref_k8s.cli.main import run; run(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    assert python(code).stdout.strip().endswith("[]")


def test_help_costs_little_more_than_typer_and_rich() -> None:
    """A ratio, since machines differ: the project's own share of `--help` stays small."""

    def cpu(code: str) -> float:
        measured = (
            "import resource; u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"
        )
        return min(float(python(f"{code}\n{measured}").stdout.split()[-1]) for _ in range(5))

    framework = cpu("import typer, typer.rich_utils, rich.table")
    ours = cpu("from coref_k8s.cli.main import run; run(['--help'])")
    assert ours < 2 * framework


@pytest.mark.parametrize("verb", COMMANDS, ids=lambda verb: verb.name)
def test_every_command_has_help_that_begins_as_listed(coref: Any, verb: Any) -> None:
    for lang in LANGUAGES:
        answer = coref(verb.name, "--help", "--lang", lang)
        assert answer.code == 0
        assert say(f"help.{verb.name}", lang) in " ".join(answer.out.split())


def test_a_mistyped_command_is_one_sentence(coref: Any) -> None:
    answer = coref("sumbit")
    assert answer.code == 2
    assert "Did you mean 'submit'" in answer.err
    assert answer.err.count("\n") == 1


def test_the_installed_program_prints_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coref_k8s", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("coref-k8s ")
