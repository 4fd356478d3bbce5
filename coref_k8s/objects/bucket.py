"""The objects of one address: a thin layer over obstore, whose errors become one sentence each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s.errors import MissingDependencyError, ObjectStoreError, RequestError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

#: Schemes of the addresses that are understood: AWS S3 and what speaks like it, Google, Azure, a folder.
SCHEMES = ("s3", "gs", "az", "abfss", "file")
#: Size of the pieces that a file is sent and fetched in (bytes); each is tried again by itself.
PIECE = 16 * 2**20
#: Pieces that are on their way at once.
AT_ONCE = 4
#: What obstore does by itself about a server that does not answer or says 5xx; whoever waits longer, asks again.
_RETRIES: Any = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=5), "base": 2},
}
#: The same for one who holds what others wait for.
_ONE_TRY: Any = {"max_retries": 0, "retry_timeout": timedelta(seconds=5)}
#: A piece may take this long: 16 MiB in ten minutes are 28 kB/s.
_PIECE_TIME = timedelta(minutes=10)


class Bucket:
    """The objects below one address."""

    def __init__(self, uri: str, secret: Path | None = None) -> None:
        self.uri = uri
        self._secret = secret

    def open(self, *, once: bool = False) -> ObjectStore:
        """Return a new connection, with the credentials as they are now: a Secret that was renewed is read anew.

        `once`: a request is made once, and given up after ten seconds.

        Raises RequestError for an address that cannot be one, MissingDependencyError without obstore.
        """
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            raise MissingDependencyError("objects.needs-package") from error
        scheme, found, _ = self.uri.partition("://")
        if not found or scheme not in SCHEMES:
            raise RequestError("objects.no-address", uri=self.uri)
        # an address of the administrator's own may be plain HTTP; the clouds' are not
        client: Any = {"allow_http": True, "timeout": _PIECE_TIME, "connect_timeout": timedelta(seconds=5)}
        if bundle := os.environ.get("SSL_CERT_FILE"):
            client["root_certificate"] = Path(bundle).read_bytes()
        if once:
            client["timeout"] = timedelta(seconds=10)
        options: Any = {
            "config": self._credentials(),
            "client_options": client,
            "retry_config": _ONE_TRY if once else _RETRIES,
        }
        if scheme == "file":
            options = {"mkdir": True, "automatic_cleanup": True}
        try:
            return from_url(self.uri, **options)
        except (BaseError, ValueError, OSError) as error:
            raise RequestError("objects.cannot-be-opened", uri=self.uri, why=_words(error)) from error

    def _credentials(self) -> dict[str, str]:
        """Return what the mounted Secret holds, a file a variable; what it lacks comes from the environment."""
        if self._secret is None or not self._secret.is_dir():
            return {}
        # Kubernetes keeps the versions of a mounted Secret in folders beside its files
        files = (path for path in self._secret.iterdir() if path.is_file() and not path.name.startswith("."))
        return {path.name.lower(): path.read_text(encoding="utf-8").strip() for path in files}

    @contextmanager
    def asked(self, *, once: bool = False) -> Iterator[ObjectStore]:
        """Yield a connection, as `open` does; raise ObjectStoreError for whatever it fails with but a missing object."""
        from obstore import exceptions

        try:
            yield self.open(once=once)
        except exceptions.BaseError as error:
            if "kind: NotADirectory" in str(error):  # of a folder: a file is where the key has a folder
                raise FileNotFoundError from error
            # lists and deletions have no exceptions of their own for it
            refused = re.search(r"status code: 40[13]|AccessDenied", str(error))
            code = "objects.refused" if refused else "objects.no-answer"
            raise ObjectStoreError(code, uri=self.uri, why=_words(error)) from error

    def read(self, key: str) -> bytes | None:
        """Return an object, or None when there is none."""
        try:
            with self.asked() as store:
                return bytes(store.get(key).bytes())
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes | Path, *, once: bool = False) -> None:
        """Write an object, which is there whole or not at all; `once` as in `open`."""
        with self.asked(once=once) as store:
            try:
                store.put(key, content, chunk_size=PIECE, max_concurrency=AT_ONCE)
            except FileNotFoundError as error:
                raise ObjectStoreError("objects.no-bucket", uri=self.uri) from error

    def fetch(self, key: str, file: Path, size: int) -> bool:
        """Write an object of a known size (bytes) to a file; return whether there is one."""
        with file.open("wb") as out, self.asked() as store:
            for first in range(0, size, PIECE * AT_ONCE):
                starts = range(first, min(size, first + PIECE * AT_ONCE), PIECE)
                ends = [min(size, start + PIECE) for start in starts]
                try:
                    # joined pieces would be one request: coalescing is for small ones
                    pieces = store.get_ranges(key, starts=list(starts), ends=ends, coalesce=0)
                except FileNotFoundError:
                    return False
                for piece in pieces:
                    out.write(piece)
        return True

    def below(self, prefix: str) -> dict[str, ObjectMeta]:
        """Return what is known of the objects below a prefix, by key."""
        with self.asked() as store:
            try:
                return {
                    one["path"]: one for some in store.list(f"{prefix}/" if prefix else None) for one in some
                }
            except FileNotFoundError:
                return {}

    def about(self, key: str) -> dict[str, ObjectMeta]:
        """Return what is known of an object, by its key; nothing of one that is not there."""
        with self.asked() as store:
            try:
                return {key: store.head(key)}
            except FileNotFoundError:
                return {}

    def delete(self, keys: list[str]) -> None:
        """Delete objects; those that are gone already do not count."""
        with self.asked() as store:
            for key in keys:
                try:
                    store.delete(key)
                except FileNotFoundError:
                    continue


def _words(error: Exception) -> str:
    """Return what a store has to say, on one line and without what obstore adds for its developers."""
    text = str(error).split("\n\nDebug source", 1)[0]
    code = re.search(r"<Code>(\w+)</Code>(?:.*?<Message>(.*?)</Message>)?", text, re.DOTALL)
    if code:
        return f"{code[1]}: {code[2]}" if code[2] else code[1]
    return re.sub(r"\s+", " ", text.rsplit(" - ", 1)[-1]).strip()
