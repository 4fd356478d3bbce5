"""What people type who know other tools, or the project's first report: commands and options of ours that do the same."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from coref_k8s.wording import Message

_COMMANDS: Mapping[str, Sequence[str]] = {
    "submit": ("tune", "run", "start", "search", "optimize", "optimise", "launch", "create", "apply"),
    "ui": ("dashboard", "web", "browse", "serve"),
    "status": ("show", "describe", "get", "info"),
    "list": ("ls", "studies"),
    "cancel": ("stop", "kill", "abort"),
    "delete": ("rm", "remove"),
    "resume": ("continue", "restart"),
    "resolve": ("predict", "infer", "annotate", "coref"),
    "evaluate": ("eval", "test", "score"),
    "train": ("fit", "finetune", "fine-tune"),
    "results": ("trials", "history"),
    "prepare": ("preprocess", "tokenize"),
}
_OPTIONS: Mapping[str, Sequence[str]] = {
    "--epoch-choices": ("--epochs", "--epoch", "--num-epochs", "--num-train-epochs"),
    "--seq-lengths": (
        "--seq-len",
        "--seq-length",
        "--length",
        "--lengths",
        "--max-length",
        "--max-seq-length",
    ),
    "--trials": ("--n-trials", "--num-trials", "--max-trials"),
    "--data": (
        "--dataset",
        "--datasets",
        "--text",
        "--texts",
        "--train-data",
        "--train-file",
        "--source",
        "--sources",
    ),
    "--model": ("--model-name", "--model-name-or-path", "--base-model", "--encoder"),
    "--gpus": ("--gpu", "--num-gpus", "--n-gpus"),
    "--max-steps": ("--steps", "--num-steps"),
    "--batch-size": ("--batch", "--bs", "--per-device-train-batch-size"),
    "--parallelism": ("--workers", "--jobs", "--n-jobs", "--parallel", "--concurrency"),
    "--data-dir": ("--output-dir", "--out-dir", "--workdir", "--dir"),
    "--max-duration": ("--timeout", "--time-limit", "--max-time"),
    "--file": ("--config", "--yaml"),
    "--finalists": ("--top", "--top-k"),
    "--gpu-memory-gb": ("--gpu-memory", "--memory", "--available-memory-gb"),
}
#: Short names of tuned parameters.
_PARAMETERS = {"lr": "learning_rate", "wd": "weight_decay", "warmup": "warmup_ratio"}


def command_meant(typed: str, known: Collection[str]) -> str | None:
    """Return the command that was meant: one that does it under another name, or one spelled alike."""
    other = next((ours for ours, theirs in _COMMANDS.items() if typed in theirs and ours in known), None)
    return other or next(iter(get_close_matches(typed, known)), None)


def option_meant(typed: str, known: Collection[str]) -> list[str]:
    """Return the option that does it under another name."""
    return [ours for ours, theirs in _OPTIONS.items() if typed in theirs and ours in known]


def option_alike(typed: str, known: Collection[str]) -> list[str]:
    """Return the option that is spelled most alike."""
    return get_close_matches(typed, sorted(known), n=1)


def parameter_meant(typed: str, known: Collection[str]) -> Message | None:
    """Return how a tuned parameter is set, for one that was typed as an option of a request."""
    if "--set" not in known or "--seq-lengths" not in known:
        return None
    from coref_k8s.study.parameters import PARAMETERS

    name = typed.lstrip("-").replace("-", "_")
    name = _PARAMETERS.get(name, name)
    if name not in PARAMETERS:
        return None
    found = PARAMETERS[name]
    return Message.of("cli.is-tuned", option=typed, name=name, value=found.default)


def request_meant(arguments: Sequence[str], local: bool) -> str | None:
    """Return the command that options without a command were meant for, whole; None where they are no request's."""
    from coref_k8s.cli.spec_options import OPTIONS

    ours = {flag for one in OPTIONS for flag in one.flags.split("/")} | {
        "--file",
        "-f",
        "--set",
        "--name",
        "--local",
    }
    ours |= {theirs for others in _OPTIONS.values() for theirs in others} - {"--dir"}
    if not any(word.partition("=")[0] in ours for word in arguments):
        return None
    here = ["--local"] if local and "--local" not in arguments else []
    return shlex.join(["coref-k8s", "submit", *here, *arguments])
