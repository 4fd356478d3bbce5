"""The one place where an error becomes a sentence: the project's own, the command line's, and what nobody expected."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from coref_k8s.cli.framework import sentence
from coref_k8s.cli.speech import lang, say
from coref_k8s.errors import CorefError, no_room, reason
from coref_k8s.wording import Message

#: Where a bug report's traceback is written: beside nothing that belongs to the user.
_REPORT = "coref-k8s-error-{pid}.txt"
#: What the system refuses to this user, and not to others.
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def answer(error: BaseException) -> int:
    """Say what was wrong, on stderr, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # the reader has gone, as `| head` does: nothing more to say, at exit neither
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2  # the help, printed already, is the answer
    print(f"coref-k8s: {_said(error)}", file=sys.stderr)
    return error.exit_code if isinstance(error, CorefError | typer.TyperException) else 1


def _said(error: BaseException) -> str:
    if isinstance(error, CorefError):
        said = error.message.say(lang())
        remedy = Message.load(error.remedy) if isinstance(error.remedy, str) else error.remedy
        return say("cli.remedy", said=said, remedy=remedy) if remedy else said
    if isinstance(error, typer.TyperException):
        return sentence(error)
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return say("cli.stopped")
    if isinstance(error, MemoryError):
        return say("cli.out-of-memory")
    if no_room(error):
        return say("cli.disk-full", place=getattr(error, "filename", None) or Path.cwd())
    if isinstance(error, OSError) and error.filename is not None:
        code = "cli.may-not-use-file" if error.errno in _NOT_ALLOWED else "cli.cannot-use-file"
        return say(code, place=error.filename, why=reason(error))
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return say("cli.no-working-folder")
    return _unexpected(error)


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _unexpected(error: BaseException) -> str:
    why = next(iter(str(error).strip().splitlines()), "") or "–"
    about = {"kind": type(error).__name__, "why": why}
    file = Path(tempfile.gettempdir()) / _REPORT.format(pid=os.getpid())
    try:
        file.write_text(
            "".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace"
        )
    except OSError:
        return say("cli.unexpected-unsaved", **about)
    return say("cli.unexpected", **about, file=file)
