"""What people type who know other tools, or the project's first report: commands and options of ours that do the same."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from coref_k8s.wording import Message

_FILE = Path(__file__).with_suffix(".toml")
#: How much alike a slip of the fingers is to what was meant.
_ALIKE = 0.75


def _named(kind: str) -> Mapping[str, Sequence[str]]:
    """Return what others call commands, options or parameters, by what they are called here."""
    found: Mapping[str, Sequence[str]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))[kind]
    return found


def _plain(typed: str) -> str:
    """Return a name as options are written: `--maxTrialNumber` and `max_trial_number` as `max-trial-number`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", typed.lstrip("-")).replace("_", "-").lower()


def command_meant(typed: str, known: Collection[str]) -> str | None:
    """Return the command that was meant: one that does it under another name, or one spelled alike."""
    other = next(
        (ours for ours, theirs in _named("commands").items() if typed in theirs and ours in known), None
    )
    return other or next(iter(get_close_matches(typed, known)), None)


def option_meant(typed: str, known: Collection[str]) -> list[str]:
    """Return the option that does it under another name, or how the field of a request is set that is called so."""
    name = _plain(typed)
    found = [
        ours
        for ours, theirs in _named("options").items()
        if name in theirs and ours.partition(" ")[0] in known
    ]
    if f"--{name}" in known:
        found.insert(0, f"--{name}")
    if not found and _of_request(known):
        from coref_k8s.study.spec import StudySpec  # only a mistake needs it

        found = [
            f"--set {path}={value}"
            for path, value in _fields(StudySpec)
            if _plain(path.rpartition(".")[2]) == name
        ]
    return found[:1]


def option_alike(typed: str, known: Collection[str]) -> list[str]:
    """Return the option that is spelled most alike."""
    return get_close_matches(f"--{_plain(typed)}", sorted(known), n=1, cutoff=_ALIKE)


def _of_request(known: Collection[str]) -> bool:
    return {"--set", "--seq-lengths"} <= set(known)


def _fields(model: Any, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a request that hold one value, with their default."""
    for name, field in model.model_fields.items():
        path, default = f"{above}{field.alias or name}", field.get_default()
        if hasattr(type(default), "model_fields"):
            yield from _fields(type(default), f"{path}.")
        elif isinstance(default, bool | int | float | str):
            yield path, str(default).lower() if isinstance(default, bool) else str(default)


def parameter_meant(typed: str, known: Collection[str]) -> Message | None:
    """Return how a tuned parameter is set, for one that was typed as an option of a request."""
    if not _of_request(known):
        return None
    from coref_k8s.study.parameters import PARAMETERS

    plain = _plain(typed)
    named = (ours for ours, theirs in _named("parameters").items() if plain in theirs)
    name = next(named, plain.replace("-", "_"))
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
    theirs = {name for others in _named("options").values() for name in others} - {"dir"}
    typed = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    if not any(word in ours or _plain(word) in theirs for word in typed):
        return None
    here = ["--local"] if local and "--local" not in arguments else []
    return shlex.join(["coref-k8s", "submit", *here, *arguments])
