"""The program itself: fast to start, helpful when mistyped."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from coref_k8s.cli import console
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


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("verb", COMMANDS, ids=lambda verb: verb.name)
def test_help_fits_the_terminal(coref: Any, monkeypatch: pytest.MonkeyPatch, verb: Any, width: int) -> None:
    monkeypatch.setattr(console.out, "width", width)
    for lang in LANGUAGES:
        told = coref(verb.name, "--help-all", "--lang", lang).out
        assert "…" not in told
        assert "<bool>" not in told
        assert max(map(cell_len, told.splitlines())) <= width
        assert verb.name == "help" or told == coref("help", verb.name, "--help-all", "--lang", lang).out


def test_the_help_of_a_request_is_short_and_grouped_and_says_how_to_see_the_rest(
    coref: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "width", 80)
    short, whole = (coref("submit", option).out for option in ("--help", "--help-all"))
    groups = ["What", "Data", "Model", "Search", "Training", "Limits", "Where", "On a cluster", "Others"]
    for told in (short, whole):
        assert [line for line in told.splitlines() if line in groups] == groups
    for option in ("--seq-lengths", "--data", "--model", "--max-steps", "--gpus", "--local"):
        assert f"  {option} " in short
    for option in ("--sampler", "--[no-]warm-start", "--queue", "--set"):
        assert f"  {option} " in whole.replace("\n", " \n")
        assert f"  {option} " not in short.replace("\n", " \n")
    hidden = re.search(r"(\d+) more options: coref-k8s submit --help-all", short)
    assert hidden
    listed = [
        set(re.findall(r"^  (--\S+?),? ", f"{told}".replace("\n", " \n"), re.M)) for told in (short, whole)
    ]
    assert len(listed[1] - listed[0]) == int(hidden[1])
    assert len(short.splitlines()) < 85


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("tune", "Did you mean 'submit'?"),
        ("run", "Did you mean 'submit'?"),
        ("dashboard", "Did you mean 'ui'?"),
        ("predict x", "Did you mean 'resolve'?"),
        ("submit --epochs 3", "Did you mean --epoch-choices?"),
        ("submit --n-trials 3", "Did you mean --trials?"),
        ("plan --seq-len 512", "Did you mean --seq-lengths?"),
        ("plan --trails 3", "Did you mean --trials?"),
        ("plan --seqlengths 512", "Did you mean --seq-lengths?"),
        ("submit --lr 1e-5", "learning_rate is tuned; a value that stays: --set search.space.learning_rate='{choices: ["),
        ("submit --learning-rate 1e-5", "--set search.space.learning_rate="),
        ("submit --warmup-ratio 0.1", "warmup_ratio is tuned"),
        # fields of a request that have no option of their own
        ("submit --evaluations 3", "Did you mean --set training.evaluations=4?"),
        ("plan --eval_items 50", "Did you mean --set data.evalItems=200?"),
        ("submit --deduplicate", "Did you mean --set data.deduplicate=true?"),
        # as the Trainer of transformers, Katib, NNI, Optuna and Ray call them
        ("submit --num_train_epochs 3", "Did you mean --epoch-choices?"),
        ("submit --per_device_train_batch_size 4", "Did you mean --batch-size?"),
        ("submit --model_name_or_path x", "Did you mean --model?"),
        ("submit --output_dir out", "Did you mean --data-dir?"),
        ("submit --gradient_accumulation_steps 4", "accumulation is tuned"),
        ("submit --bf16", "Did you mean --set training.precision=bf16?"),
        ("submit --no_cuda", "Did you mean --gpus 0?"),
        ("submit --maxTrialNumber 3", "Did you mean --trials?"),
        ("submit --parallel-trial-count 4", "Did you mean --parallelism?"),
        ("submit --algorithm-name tpe", "Did you mean --sampler?"),
        ("create-study --study-name x", "Did you mean 'submit'?"),
        ("best-trial x", "Did you mean 'best'?"),
        # in Korean
        ("제출", "Did you mean 'submit'?"),
        ("submit --데이터 ./texts", "Did you mean --data?"),
        ("submit --학습률 1e-4", "learning_rate is tuned"),
        # what has no name here
        ("init --data ./texts", "--data is no option of this command; give its value alone, as PATH|HUB_ID"),
        # nothing of the kind is no guess either
        ("submit --direction maximize", "No such option: --direction; see"),
        # as the project's first report had it
        ("--model kakaobank/kf-deberta-base --trials 20 --train-limit 50000",
         "type: coref-k8s submit --local --model kakaobank/kf-deberta-base --trials 20 --train-limit 50000"),
        ("--seq-lengths 1024 1536 2048 --trials 20", "type: coref-k8s submit --local --seq-lengths 1024 1536 2048"),
        ("--frobnicate", "No such option: --frobnicate"),
    ],
)  # fmt: skip
def test_near_misses_are_answered_with_what_to_type(
    coref: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, typed: str, answer: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    found = coref(*typed.split())
    assert found.code == 2
    assert answer in found.err
    assert found.err.count("\n") == 1


def test_what_is_told_of_a_tuned_parameter_is_what_a_request_takes(coref: Any) -> None:
    (setting,) = re.findall(r"--set (search\.\S+='.*?')", coref("submit", "--lr", "1").err)
    answer = coref("plan", "--seq-lengths", "512", "--gpus", "1", "--set", setting.replace("'", ""))
    assert answer.code == 0, answer.err


def test_version_is_an_option_too(coref: Any) -> None:
    assert coref("--version").out == coref("version").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_options_and_names_of_studies(coref: Any, study: str, shell: str) -> None:
    script = coref("completion", shell)
    assert script.code == 0
    assert "_COREF_K8S_COMPLETE=" in script.out

    def completed(*words: str) -> str:
        asked = {"_COREF_K8S_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": " ".join(words)}
        asked |= {
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        done = subprocess.run(
            [sys.executable, "-m", "coref_k8s"], capture_output=True, text=True, env={**os.environ, **asked}
        )
        return done.stdout

    assert "submit" in completed("coref-k8s", "sub")
    assert "--seq-lengths" in completed("coref-k8s", "submit", "--seq")
    assert "--seq-lengths" not in completed("coref-k8s", "status", "--se")
    assert study in completed("coref-k8s", "status", study[:2])
    assert study not in completed("coref-k8s", "status", "x")
    Path("data").rename("elsewhere")
    assert study not in completed("coref-k8s", "results", "")
    assert study in completed("coref-k8s", "results", "--data-dir", "elsewhere", "")


def test_completion_is_installed_for_a_user(
    coref: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    answer = coref("completion", "bash", "--install")
    assert answer.code == 0, answer.err
    (written,) = tmp_path.rglob("*coref-k8s*")
    assert "coref-k8s" in written.read_text()
    assert str(written) in answer.err


@pytest.mark.parametrize("arguments", [["list", "--data-dir"], ["status"], ["evaluate", "model", "--data"]])
def test_a_name_that_is_no_utf8_is_one_sentence(coref: Any, arguments: list[str]) -> None:
    for lang, word in (("en", "convmv"), ("ko", "UTF-8이 아닙니다")):
        answer = coref(*arguments, os.fsdecode(b"caf\xe9"), "--lang", lang)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert "caf\\udce9" in answer.err
        assert word in answer.err


def test_local_means_what_the_command_does(coref: Any) -> None:
    for command in ("submit", "plan", "train", "ensemble"):
        assert "processes instead of pods" in " ".join(coref(command, "--help-all").out.split()), command
    for command in ("watch", "logs", "status", "list", "delete", "ui"):
        told = " ".join(coref(command, "--help").out.split())
        assert "Studies of this machine, not of a cluster." in told, command
        assert "processes instead of pods" not in told, command


def test_a_working_folder_that_was_removed_is_one_sentence(
    coref: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    answer = coref("list")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"coref-k8s: {say('cli.no-working-folder', 'en')}\n"


def test_a_terminal_without_a_size_loses_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "coref_k8s", "list", "--data-dir", str(tmp_path)]
    assert (
        "--trials"
        in python(
            "import os; os.environ['COLUMNS'] = '0'; from coref_k8s.cli.main import run; run(['plan', '--help'])"
        ).stdout
    )
    environment = os.environ | {"KUBECONFIG": os.devnull}
    sized, unsized = (
        subprocess.run(
            command, env=environment | {"COLUMNS": columns}, capture_output=True, text=True, check=True
        )
        for columns in ("80", "0")
    )
    assert unsized.stderr == sized.stderr != ""
