"""`coref-k8s`: the table of commands.

A command's module is imported only when that command runs, so `--help` and shell completion stay fast.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from coref_k8s.cli.completing import COMPLETING, ready
from coref_k8s.cli.console import SpokenWarnings
from coref_k8s.cli.lazy import LazyGroup, Verb
from coref_k8s.cli.mistakes import answer
from coref_k8s.cli.speech import speak, take_language
from coref_k8s.errors import RequestError
from coref_k8s.wording.commands import place_commands

RUN, READ, CHANGE, DATA, SYSTEM = (f"help.panel-{one}" for one in ("run", "read", "change", "data", "system"))

#: Every verb in the order of `--help`: name, module of its function, panel.
COMMANDS = (
    Verb("init", "coref_k8s.cli.beginning", RUN),
    Verb("plan", "coref_k8s.cli.submitting", RUN),
    Verb("calibrate", "coref_k8s.cli.calibrating", RUN),
    Verb("submit", "coref_k8s.cli.submitting", RUN),
    Verb("train", "coref_k8s.cli.deriving", RUN),
    Verb("ensemble", "coref_k8s.cli.deriving", RUN),
    Verb("list", "coref_k8s.cli.reading", READ),
    Verb("status", "coref_k8s.cli.reading", READ),
    Verb("watch", "coref_k8s.cli.watching", READ),
    Verb("ui", "coref_k8s.cli.browsing", READ),
    Verb("report", "coref_k8s.cli.moving", READ),
    Verb("results", "coref_k8s.cli.reading", READ),
    Verb("best", "coref_k8s.cli.reading", READ),
    Verb("logs", "coref_k8s.cli.reading", READ),
    Verb("cancel", "coref_k8s.cli.changing", CHANGE),
    Verb("resume", "coref_k8s.cli.submitting", CHANGE),
    Verb("extend", "coref_k8s.cli.extending", CHANGE),
    Verb("export", "coref_k8s.cli.moving", CHANGE),
    Verb("import", "coref_k8s.cli.moving", CHANGE),
    Verb("delete", "coref_k8s.cli.changing", CHANGE),
    Verb("resolve", "coref_k8s.cli.resolving", DATA),
    Verb("prepare", "coref_k8s.cli.data", DATA),
    Verb("data", "coref_k8s.cli.data", DATA),
    Verb("evaluate", "coref_k8s.cli.models", DATA),
    Verb("compare", "coref_k8s.cli.models", DATA),
    Verb("doctor", "coref_k8s.cli.system", SYSTEM),
    Verb("controller", "coref_k8s.cli.system", SYSTEM),
    Verb("completion", "coref_k8s.cli.completing", SYSTEM),
    Verb("version", "coref_k8s.cli.system", SYSTEM),
    Verb("help", "coref_k8s.cli.system", SYSTEM),
)


_WARNINGS = SpokenWarnings(logging.WARNING)


def app() -> LazyGroup:
    """Return the root command."""
    return LazyGroup("coref-k8s", COMMANDS)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr."""
    speak(None)
    place_commands("")
    try:
        chosen, rest = take_language(sys.argv[1:] if arguments is None else arguments)
        speak(chosen)
        _check_utf8(rest)
        logging.getLogger("coref_k8s.model").addHandler(_WARNINGS)
        if os.environ.get(COMPLETING):
            ready()
        result = app().main(args=rest, prog_name="coref-k8s", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("COREF_DEBUG") == "1":
            raise
        return answer(error)
    return result if isinstance(result, int) else 0


def _check_utf8(arguments: Sequence[str]) -> None:
    """Refuse an argument whose bytes are no UTF-8, such as the name of an old file: nothing could print or store it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise RequestError("cli.argument-no-utf8", argument=ascii(argument)) from None


def main() -> None:
    """Entry point of the `coref-k8s` program."""
    sys.exit(run())
