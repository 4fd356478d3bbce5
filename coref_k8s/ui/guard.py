"""Who may see the pages: who has the token; without one, who asks this machine by its own name."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from coref_k8s.wording import Message

_TOKEN = "token"
#: Names by which this machine calls itself.
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: What everybody sees.
_OPEN = ("/healthz", "/static/")

#: Makes a page that says one sentence: request, status, sentence, HTML below it.
Refuse = Callable[[Request, int, Message, str], Response]


class Guard:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, token: str | None, refuse: Refuse) -> None:
        self._app = app
        self._token = token
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        refusal = None
        if scope["type"] == "http" and not scope["path"].startswith(_OPEN):
            request = Request(scope)
            refusal = self._by_token(request, self._token) if self._token else self._by_name(request)
        await (refusal or self._app)(scope, receive, send)

    def _by_name(self, request: Request) -> Response | None:
        """Refuse a foreign name that leads here: a page of that site would read along (DNS rebinding)."""
        name = (request.url.hostname or "").strip("[]")
        return (
            None
            if name in _OWN_NAMES
            else self._refuse(request, 403, Message.of("ui.other-name", name=name), "")
        )

    def _by_token(self, request: Request, token: str) -> Response | None:
        given = request.query_params.get(_TOKEN)
        if given is not None and _equal(given, token):
            # out of the address, so that it stands in no history and on no picture of the screen
            rest = request.url.remove_query_params(_TOKEN)
            path = f"/{rest.path.lstrip('/')}"  # two slashes would be another host
            answer = RedirectResponse(f"{path}?{rest.query}" if rest.query else path, 303)
            answer.set_cookie(_TOKEN, token, httponly=True, samesite="lax", secure=rest.scheme == "https")
            return answer
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if any(_equal(one, token) for one in (request.cookies.get(_TOKEN, ""), bearer)):
            return None
        form = (
            f'<form><input type="password" name="{_TOKEN}" autocomplete="off" autofocus aria-labelledby="problem">'
            "<button>→</button></form>"
        )
        return self._refuse(request, 401, Message.of("ui.wrong-token" if given else "ui.needs-token"), form)


def _equal(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())
