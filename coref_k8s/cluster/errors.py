"""What the API server can refuse, as errors that callers tell apart by class, never by text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from coref_k8s.errors import ClusterError
from coref_k8s.wording import Message


class UnreachableError(ClusterError):
    """Raised when no answer came: connection refused, cut or timed out. The request may have been done."""


class ApiRefusal(ClusterError):  # noqa: N818 - the family name of the errors below
    """An answer with an error status; `reason` is the API's own word for it, `said` its own sentence."""

    def __init__(
        self, action: str, said: str, *, code: int, reason: str = "", retry_after: float | None = None
    ):
        super().__init__(
            "cluster.refused", action=action, status=code, said=said or Message.of("cluster.no-message")
        )
        self.code, self.reason, self.said, self.retry_after = code, reason, said, retry_after


class NotFound(ApiRefusal):
    """The object, its namespace or its kind does not exist (404)."""


class AlreadyExists(ApiRefusal):
    """An object of that name is already there (409)."""


class Conflict(ApiRefusal):
    """The object changed meanwhile, or a field has another manager, or a precondition failed (409)."""


class Expired(ApiRefusal):
    """The resourceVersion or page token was compacted away (410): list again."""


class Forbidden(ApiRefusal):
    """The caller's role does not allow it (401, 403)."""

    def __init__(self, action: str, said: str, **more: Any):
        super().__init__(action, said, **more)
        nobody = self.code == 401 or "system:anonymous" in said
        self.remedy = Message.of("cluster.log-in-again" if nobody else "cluster.ask-for-role")


class Invalid(ApiRefusal):
    """The object does not fit its schema or its rules (400, 422)."""


class Unavailable(ApiRefusal):
    """The server is overloaded or broken (429, 5xx): try again later."""


@contextmanager
def unless_replaced() -> Iterator[None]:
    """Let a write that named an object's uid go by when that object is gone, or another has its name.

    A delete then answers 409; a patch 422, the uid being immutable (Kubernetes 1.36).
    """
    try:
        yield
    except (NotFound, Conflict):
        return
    except Invalid as error:
        if "metadata.uid" not in error.said:
            raise


_BY_CODE = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: Unavailable,
}


def refusal(code: int, status: dict[str, Any], retry_after: str | None, action: str) -> ApiRefusal:
    """The error for a `Status` answer; `action` says what was asked, for the message."""
    reason = status.get("reason") or ""
    kind = (
        AlreadyExists
        if reason == "AlreadyExists"
        else _BY_CODE.get(code, Unavailable if code >= 500 else ApiRefusal)
    )
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return kind(action, status.get("message") or "", code=code, reason=reason, retry_after=seconds)
