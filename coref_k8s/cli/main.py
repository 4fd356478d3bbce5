"""`coref-k8s`: the table of commands and the one place where an error becomes a sentence.

A command's module is imported only when that command runs, so `--help` and shell completion stay fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from coref_k8s.cli.lazy import LazyGroup, Verb
from coref_k8s.errors import CorefError

RUN, READ, CHANGE, DATA, SYSTEM = "Run a study", "Look at it", "Steer it", "Data and models", "This program"

#: Every verb in the order of `--help`: name, module of its function, panel, one line of help.
COMMANDS = (
    Verb("plan", "coref_k8s.cli.submitting", RUN, "Show what a study would do, without doing it."),
    Verb(
        "submit", "coref_k8s.cli.submitting", RUN, "Start a study: prepare data, run trials, find the best."
    ),
    Verb(
        "train",
        "coref_k8s.cli.deriving",
        RUN,
        "Train the final model with the best parameters of a study, on more data if you like.",
    ),
    Verb(
        "ensemble",
        "coref_k8s.cli.deriving",
        RUN,
        "Join the best models of a study: averaged weights (uniform and greedy soup), averaged probabilities.",
    ),
    Verb("list", "coref_k8s.cli.reading", READ, "List studies, oldest first."),
    Verb(
        "status",
        "coref_k8s.cli.reading",
        READ,
        "Show how far a study is: trials by length, the best so far, what failed and why.",
    ),
    Verb("watch", "coref_k8s.cli.watching", READ, "Show a study live until it ends."),
    Verb("report", "coref_k8s.cli.reporting", READ, "Write a study as one HTML file that works offline."),
    Verb(
        "results",
        "coref_k8s.cli.reading",
        READ,
        "List the trials of a study, best first, with metrics and parameters; or put several studies side by side.",
    ),
    Verb(
        "best",
        "coref_k8s.cli.reading",
        READ,
        "Print the best trial of each length: metrics, parameters, files.",
    ),
    Verb("logs", "coref_k8s.cli.reading", READ, "Print the log of a trial, or of the whole study."),
    Verb("cancel", "coref_k8s.cli.changing", CHANGE, "End a study; what is finished stays."),
    Verb(
        "resume",
        "coref_k8s.cli.submitting",
        CHANGE,
        "Go on with a study that was interrupted, cancelled or has failed; finished trials are kept.",
    ),
    Verb(
        "extend",
        "coref_k8s.cli.extending",
        CHANGE,
        "Give a study more trials, finalists, time or patience, or run more of it at once.",
    ),
    Verb(
        "export",
        "coref_k8s.cli.moving",
        CHANGE,
        "Write a study to one file, to import it into another database.",
    ),
    Verb(
        "import",
        "coref_k8s.cli.moving",
        CHANGE,
        "Take a study from a file into a database: of this machine, or the one that --storage names.",
    ),
    Verb("delete", "coref_k8s.cli.changing", CHANGE, "Delete a study with its trials, models and logs."),
    Verb(
        "prepare",
        "coref_k8s.cli.data",
        DATA,
        "Prepare data without a study, to look at them or to choose among them.",
    ),
    Verb("data", "coref_k8s.cli.data", DATA, "Look at prepared data."),
    Verb(
        "evaluate",
        "coref_k8s.cli.models",
        DATA,
        "Score a model on text or prepared data: strict metrics, gains, intervals.",
    ),
    Verb(
        "compare",
        "coref_k8s.cli.models",
        DATA,
        "Say whether one model is better than another, and how sure that is.",
    ),
    Verb(
        "doctor",
        "coref_k8s.cli.doctor",
        SYSTEM,
        "Check a cluster: API, definition, controller, rights, GPUs, volume, database.",
    ),
    Verb(
        "controller",
        "coref_k8s.cli.controller",
        SYSTEM,
        "Run the controller: turns CorefStudy resources into Jobs.",
    ),
    Verb("version", "coref_k8s.cli.about", SYSTEM, "Print the version."),
)


def app() -> LazyGroup:
    """Return the root command."""
    return LazyGroup(
        name="coref-k8s",
        verbs=COMMANDS,
        help="Tune long-sequence DeBERTa for Korean coreference, on Kubernetes or on this machine.",
        epilog="First time: coref-k8s plan --seq-lengths 1024 2048, then the same with submit.",
    )


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr."""
    try:
        result = app().main(args=arguments, prog_name="coref-k8s", standalone_mode=False)
    except (CorefError, typer.TyperException) as error:
        if os.environ.get("COREF_DEBUG") == "1":
            raise
        # help that was asked for by giving no arguments has been printed already
        if type(error).__name__ != "NoArgsIsHelpError":
            print(f"coref-k8s: {_sentence(error)}", file=sys.stderr)
        return error.exit_code
    except typer.Abort:
        print("coref-k8s: stopped; nothing was changed", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def _sentence(error: Exception) -> str:
    format_message = getattr(error, "format_message", None)
    message = str(format_message() if format_message else error).strip()
    context = getattr(error, "ctx", None)
    if remedy := getattr(error, "remedy", ""):
        message = f"{message}; {remedy}"
    if context is not None:
        message = f"{message.rstrip('.')}; see {context.command_path} --help"
    return message


def main() -> None:
    """Entry point of the `coref-k8s` program."""
    sys.exit(run())
