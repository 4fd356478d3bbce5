"""A hub on loopback: the part of the Hugging Face API that `datasets` and `transformers` use, over HTTP.

Repositories are dictionaries of path -> bytes; a repository can also be gated (403), private (401) or broken (500).
"""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    repositories: dict  # name -> {path: bytes} or an HTTP status
    requests: list
    token: str | None = None

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.requests.append((self.command, path))
        found = re.match(r"/(?:api/)?(?:datasets/|models/)?([^/]+/[^/]+)(/.*)?$", path)
        files = self.repositories.get(found[1]) if found else None
        if files is None:
            return self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        if isinstance(files, tuple):
            status, files = files
            # as on the real hub, everybody may read what is said about a gated repository
            public = status == 403 and path.startswith("/api/")
            if not public and self.headers.get("Authorization") != f"Bearer {self.token}":
                return self.answer(
                    status, b"{}", X_Error_Code="GatedRepo" if status == 403 else "RepoNotFound"
                )
        rest = found[2] or ""
        if path.startswith("/api/"):
            return self.api(found[1], rest, files)
        name = re.match(r"/resolve/[^/]+/(.*)", rest)
        if not name or name[1] not in files:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        body, status = files[name[1]], 200
        ranged = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        more = {}
        if ranged:
            start, end = int(ranged[1]), int(ranged[2] or len(body) - 1)
            more = {"Content_Range": f"bytes {start}-{min(end, len(body) - 1)}/{len(body)}"}
            body, status = body[start : end + 1], 206
        return self.answer(
            status, body, ETag=f'"{name[1]}"', X_Repo_Commit=COMMIT, Accept_Ranges="bytes", **more
        )

    do_HEAD = do_POST = do_GET

    def api(self, name, rest, files):
        kind = rest.split("/")[1] if rest else "revision"
        if kind == "revision":
            siblings = [{"rfilename": path, "size": len(body)} for path, body in files.items()]
            return self.json(
                {
                    "id": name,
                    "sha": COMMIT,
                    "siblings": siblings,
                    "tags": [],
                    "private": False,
                    "downloads": 0,
                }
            )
        entries = [{"type": "file", "path": path, "size": len(b), "oid": path} for path, b in files.items()]
        if kind == "tree":
            under = "/".join(rest.split("/")[3:])
            inside = [entry for entry in entries if not under or entry["path"].startswith(under + "/")]
            if "recursive=true" not in self.path.lower():
                deep = {e["path"]: e["path"][len(under) + bool(under) :].partition("/") for e in inside}
                folders = {e.removesuffix("/".join(["", deep[e][2]])) for e in deep if deep[e][1]}
                inside = [entry for entry in inside if not deep[entry["path"]][1]]
                inside += [{"type": "directory", "path": path, "oid": path} for path in sorted(folders)]
            return self.json(inside) if inside else self.answer(404, b"{}", X_Error_Code="EntryNotFound")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        wanted = (
            json.loads(body)["paths"]
            if body.startswith("{")
            else [unquote(p[6:]) for p in body.split("&") if p.startswith("paths=")]
        )
        return self.json([entry for entry in entries if entry["path"] in wanted])

    def json(self, value):
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json", X_Repo_Commit=COMMIT)

    def log_message(self, *_):
        pass


@contextmanager
def local_hub(repositories, token=None):
    """Serve repositories; yield (endpoint, list of the requests seen)."""
    seen = []
    handler = type("Handler", (Hub,), {"repositories": repositories, "requests": seen, "token": token})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()
