"""Every error a user can meet. The CLI prints the message, without a traceback, and exits non-zero.

An error carries a `Message`: `raise RequestError("study.name-taken", study=name)`. In words it is one sentence that says what
is wrong, where, and what to do; `str(error)` is that sentence in English, `error.message.say("ko")` in Korean.
"""

from __future__ import annotations

import errno
from typing import Any

from coref_k8s.wording.catalogue import has
from coref_k8s.wording.message import Message

#: Exit code of a trial whose request is wrong: retrying cannot help (Job policy FailJob).
EXIT_INVALID = 42
#: Exit code of a trial that ran out of GPU memory at batch 1: the next memory tier may help.
EXIT_OUT_OF_MEMORY = 43
#: Exit code after SIGTERM, with a checkpoint written: 128 + 15, never 0.
EXIT_TERMINATED = 143


class CorefError(Exception):
    """Root of all errors of this project."""

    exit_code = 1
    #: What the reader can do, where the message, which may be a server's, does not say it.
    remedy: Message | str = ""

    def __init__(self, message: Message | str, **values: Any) -> None:
        # a code has no blanks; what has is words of another program
        if isinstance(message, str):
            message = Message.verbatim(message) if " " in message else Message(message, values)
        super().__init__(message)
        self.message = message
        """What is wrong, as a code with values."""

    def __str__(self) -> str:
        return self.message.say()


def reason(error: OSError) -> Message:
    """Return why the operating system refuses something, for the sentence that says what and where."""
    code = f"system.{errno.errorcode.get(error.errno or 0, '').lower()}"
    return Message.of(code) if has(code) else Message.verbatim(error.strerror or str(error))


def no_room(error: BaseException) -> bool:
    """Whether a file could not grow: the disk is full, or a limit of this user or process is reached."""
    # libraries in Rust (safetensors, tokenizers) have the number in their words
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return getattr(error, "errno", None) in numbers or any(f"(os error {n})" in str(error) for n in numbers)


class RequestError(CorefError):
    """Raised when a request (flags, YAML, custom resource) is wrong; nothing was started."""

    exit_code = 2


class UnknownKeyError(RequestError):
    """Raised when a request has a key that this version does not know."""


class NotFoundError(CorefError):
    """Raised when a study, trial, file or model that was named does not exist."""


class StorageError(CorefError):
    """Raised when the database cannot be reached, opened or understood."""


class ObjectStoreError(StorageError):
    """Raised when the object storage that `storage.uri` names cannot be reached, or refuses."""


class DataError(CorefError):
    """Raised when no usable text is left, or prepared data is missing or damaged."""


class UnusableTextError(DataError):
    """Raised when the text that was asked for leaves nothing to train or to evaluate on: another start finds the same."""


class HubError(DataError):
    """Raised when a hub does not give what it was asked for; it may, another time or with another token."""


class ModelError(CorefError):
    """Raised when a model or tokeniser cannot be loaded or does not suit the request."""


class SizingError(RequestError):
    """Raised when no batch fits: names the GPU memory, the length and what would fit."""


class OutOfMemoryError(CorefError):
    """Raised when the GPU's memory does not hold a single sequence."""

    exit_code = EXIT_OUT_OF_MEMORY


class TrialError(CorefError):
    """Raised when a trial cannot be run as ordered: retrying cannot help."""

    exit_code = EXIT_INVALID


class SupersededError(CorefError):
    """Raised when a newer start of the same work has taken over: this process must write nothing more, and end."""

    exit_code = EXIT_TERMINATED


class ClusterError(CorefError):
    """Raised when the Kubernetes API refuses or cannot be reached."""


class MissingDependencyError(CorefError):
    """Raised when an optional package is needed; the message has the pip line."""
