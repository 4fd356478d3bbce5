"""The controller's small web server: health, metrics, results. Reads only; nothing in it can change anything."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from coref_k8s.errors import CorefError, NotFoundError
from coref_k8s.wording import say

log = logging.getLogger(__name__)

#: Answers from this size on are compressed (bytes) when the reader can read that.
COMPRESSED_FROM = 4096


class Answer(NamedTuple):
    """What a page says."""

    body: bytes | str
    content_type: str = "text/plain; charset=utf-8"
    code: int = 200


#: A page gets what follows its prefix in the address.
Page = Callable[[str], Answer]


class WebServer:
    """Serves `pages` by the longest prefix of the path; lives between `start` and `stop`."""

    def __init__(self, port: int, pages: dict[str, Page], *, host: str = "") -> None:
        handler = type("Handler", (_Handler,), {"pages": pages})
        self._server = _Server((host, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port, also when 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> WebServer:
        """Begin to serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self.close()

    def close(self) -> None:
        """Give the port back; for a server that was never started."""
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        # who asked may have given up waiting, as Prometheus does; no news for the terminal that a study runs in
        log.debug("a client went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, Page] = {}
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        path = self.path
        prefix = max((p for p in self.pages if path.startswith(p)), key=len, default=None)
        answer = Answer(f"{say('controller.no-such-page')}\n", code=404)
        if prefix is not None:
            answer = self._page(self.pages[prefix], path[len(prefix) :])
        self._send(answer)

    def _page(self, page: Page, rest: str) -> Answer:
        try:
            return page(rest)
        except NotFoundError as error:
            return Answer(f"{error}\n", code=404)
        except CorefError as error:
            return Answer(f"{error}\n", code=503)
        except Exception:
            log.exception("page %s", self.path)
            return Answer(f"{say('controller.page-failed')}\n", code=500)

    def _send(self, answer: Answer) -> None:
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        packed = len(body) >= COMPRESSED_FROM and "gzip" in self.headers.get("Accept-Encoding", "")
        if packed:
            body = gzip.compress(body, 5)
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)
