"""The pages by their addresses, who may see them, and what a browser may do with them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from coref_k8s.errors import CorefError, NotFoundError
from coref_k8s.report.page import report
from coref_k8s.study.names import Kind
from coref_k8s.ui.guard import Guard
from coref_k8s.ui.reader import Reader
from coref_k8s.ui.studies import compare, studies
from coref_k8s.ui.study import TABS, study
from coref_k8s.ui.trial import folder_of, of_study, trial
from coref_k8s.ui.trials import trials
from coref_k8s.ui.visit import PLACES, Outside, Page, Visit, framed
from coref_k8s.wording import LANGUAGES, Lang, Message, locale_lang

log = logging.getLogger(__name__)

_LANG = "lang"
_STATIC = {
    "page.css": ("coref_k8s.report", "text/css"),
    "page.js": ("coref_k8s.report", "text/javascript"),
    "ui.css": ("coref_k8s.ui", "text/css"),
    "ui.js": ("coref_k8s.ui", "text/javascript"),
}
#: Whatever a study's texts hold, no script but ours runs, and nothing comes from elsewhere.
_POLICY = {
    "default-src": "'none'",
    "style-src": "'self' 'unsafe-inline'",
    "script-src": "'self'",
    "connect-src": "'self'",
    "img-src": "data:",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {whence}" for what, whence in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: Files that a browser shows.
_SHOWN = (".json", ".txt", ".md")

Endpoint = Callable[[Request], Awaitable[Response]]


def application(
    reader: Reader, *, lang: Lang | None = None, token: str | None = None, outside: Outside | None = None
) -> Starlette:
    """Return the server's application. With a `token` only who has it sees anything; without, only this machine does.

    `lang` wins over what the browser asks for, a choice in the page over both.
    """
    pages = _Pages(reader, lang, outside or Outside())
    addresses: dict[str, Callable[..., str | Response]] = {
        "/": studies,
        "/compare": compare,
        "/studies/{name}": partial(study, tab="overview"),
        "/studies/{name}/trials": trials,
        **{f"/studies/{{name}}/{tab}": partial(study, tab=tab) for tab, sections in TABS.items() if sections},
        "/studies/{name}/report.html": _report,
    }
    ends: dict[str, Callable[..., str | Response]] = {
        "": trial, "/log": _log, "/files/{path:path}": _file,
    }  # fmt: skip
    for kind, place in PLACES.items():
        one = f"/studies/{{name}}/{place}/{{seq_len:int}}/{{number:int}}"
        for end, make in ends.items():
            addresses[one + end] = partial(make, kind=kind)
    addresses["/{rest:path}"] = _nothing
    routes = [Route("/healthz", lambda _: PlainTextResponse("ok\n")), Route("/static/{name}", _static)]
    routes += [Route(address, pages.endpoint(make)) for address, make in addresses.items()]
    guard = Middleware(Guard, token=token, refuse=pages.sentence)
    return Starlette(routes=routes, middleware=[guard, Middleware(GZipMiddleware, minimum_size=2048)])


class _Pages:
    """Makes pages of requests."""

    def __init__(self, reader: Reader, lang: Lang | None, outside: Outside) -> None:
        self._reader = reader
        self._lang = lang
        self._outside = outside

    def endpoint(self, make: Callable[..., str | Response]) -> Endpoint:
        """Return what answers with a page: `make` gets the visit and the parts of the address by name."""

        async def answer(request: Request) -> Response:
            visit = self._visit(request)
            try:
                found = await run_in_threadpool(make, visit, **request.path_params)
            except CorefError as error:
                return self.sentence(request, 404 if isinstance(error, NotFoundError) else 503, error.message)
            except Exception:
                log.exception("page %s", request.url.path)
                return self.sentence(request, 500, Message.of("ui.page-failed"))
            if isinstance(found, Response):
                found.headers.update(_HEADERS)
                return found
            tag = f'"{hashlib.sha256(found.encode()).hexdigest()[:32]}"'
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=_HEADERS | {"ETag": tag})
            page = _html(found, 200, {"ETag": tag})
            if request.query_params.get(_LANG) in LANGUAGES:
                page.set_cookie(_LANG, visit.lang, max_age=365 * 86_400, samesite="lax", httponly=True)
            return page

        return answer

    def sentence(self, request: Request, code: int, message: Message, more: str = "") -> Response:
        """Return a page that says one sentence; `more` is HTML below it."""
        visit = self._visit(request)
        title = visit.plain(f"ui.code-{code}")
        said = f'<p class="note" id="problem">{escape(message.say(visit.lang))}</p>'
        home = f'<p><a href="/">{visit.say("ui.studies")}</a></p>'
        return _html(framed(visit, Page(title, f"<h1>{escape(title)}</h1>{said}{more or home}")), code)

    def _visit(self, request: Request) -> Visit:
        query = [(key, value) for key, value in request.query_params.multi_items() if key != _LANG]
        return Visit(self._reader, self._language(request), request.url.path, query, self._outside)

    def _language(self, request: Request) -> Lang:
        """Return the language: of the address, of a choice before, of `--lang`, of the browser, of the locale."""
        accepted = request.headers.get("accept-language", "").split(",")
        browser = (part.partition(";")[0].strip()[:2].lower() for part in accepted)
        asked = (request.query_params.get(_LANG), request.cookies.get(_LANG), self._lang, *browser)
        return next((lang for one in asked for lang in LANGUAGES if one == lang), locale_lang())


def _html(text: str, code: int, more: dict[str, str] | None = None) -> Response:
    return Response(text, code, _HEADERS | (more or {}), media_type="text/html; charset=utf-8")


def _report(visit: Visit, name: str) -> Response:
    # the file runs its own script: opened from the disk, not from here
    text = report(visit.reader.study(name).view, visit.lang)
    held = {"Content-Disposition": f'attachment; filename="{name}.html"'}
    return _html(text, 200, held)


def _log(visit: Visit, name: str, seq_len: int, number: int, kind: Kind) -> Response:
    _, _, found = of_study(visit, name, kind, seq_len, number)
    return PlainTextResponse("".join(f"{line}\n" for line in visit.reader.log(name, found)))


def _file(visit: Visit, name: str, seq_len: int, number: int, path: str, kind: Kind) -> Response:
    """Return a file of a trial's folder. Raises NotFoundError for every other."""
    seen, _, one = of_study(visit, name, kind, seq_len, number)
    folder = seen.backend.folder(folder_of(seen, one))
    found = None if folder is None or "\0" in path else (folder / path).resolve()
    if folder is None or found is None or not _is_in(found, folder):
        raise NotFoundError("ui.no-file", file=path, which=kind.numbered(number), study=name)
    if found.suffix in _SHOWN:
        return FileResponse(found, media_type="text/plain; charset=utf-8")
    return FileResponse(found, media_type="application/octet-stream", filename=found.name)


def _is_in(file: Path, folder: Path) -> bool:
    return file.is_relative_to(folder.resolve()) and file.is_file()


def _nothing(visit: Visit, rest: str) -> str:
    raise NotFoundError("ui.no-such-page", page=f"/{rest}")


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        return PlainTextResponse("\n", 404)
    package, kind = _STATIC[name]
    held: Any = _HEADERS | {"Cache-Control": "max-age=3600"}
    return Response((files(package) / name).read_bytes(), headers=held, media_type=f"{kind}; charset=utf-8")
