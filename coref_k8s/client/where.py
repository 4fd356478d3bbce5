"""Where studies live, and which backend that is.

A named study is looked for on this machine first, then in the cluster, unless something says where.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coref_k8s.errors import ClusterError, NotFoundError, RequestError

if TYPE_CHECKING:
    from coref_k8s.client.backend import Backend
    from coref_k8s.client.cluster import ClusterBackend
    from coref_k8s.client.local import LocalBackend
    from coref_k8s.controller.view import StudyView


#: What the reader calls an argument: `seq_len` in Python, `--seq-len` on the command line.
Spelled = Callable[[str], str]


@dataclass(frozen=True)
class Where:
    """What says where studies live; nothing of it leaves every place open."""

    local: bool = False
    data_dir: Path | None = None
    storage: str | None = None
    namespace: str | None = None
    context: str | None = None

    @property
    def here(self) -> bool:
        """Whether this machine is meant."""
        return bool(self.local or self.data_dir or self.storage)

    @property
    def there(self) -> bool:
        """Whether a cluster is meant."""
        return bool(self.namespace or self.context)

    def check(self, spelled: Spelled = str) -> None:
        """Raise RequestError for a machine and a cluster at once."""
        given = [name for name, value in vars(self).items() if value]
        if self.here and self.there:
            first, last = spelled(given[0]), spelled(given[-1])
            raise RequestError("client.contradict", first=first, last=last)


def cluster_configured() -> bool:
    """Whether a kubeconfig or a service account says where a cluster is; asks nobody."""
    named = os.environ.get("KUBECONFIG")
    files = named.split(os.pathsep) if named else [os.path.expanduser("~/.kube/config")]
    return any(Path(file).is_file() for file in files if file) or "KUBERNETES_SERVICE_HOST" in os.environ


def open_cluster(where: Where) -> ClusterBackend:
    """Return a cluster's backend. Raises ClusterError when none is configured."""
    if not cluster_configured():
        named = os.environ.get("KUBECONFIG")
        raise ClusterError("client.no-kubeconfig", file=named) if named else ClusterError("client.no-cluster")
    from coref_k8s.client.cluster import ClusterBackend

    return ClusterBackend(where.namespace, where.context)


def open_local(where: Where) -> LocalBackend:
    """Return this machine's backend."""
    from coref_k8s.client.local import LocalBackend
    from coref_k8s.settings import Settings

    return LocalBackend(Settings.from_env(data_dir=where.data_dir, storage_url=where.storage))


def open_place(where: Where) -> Backend:
    """Return the place for something new: this machine when that is meant, else the cluster."""
    return open_local(where) if where.here else open_cluster(where)


def open_backends(where: Where) -> list[Backend]:
    """Return every place that is left open: this machine first, then a configured cluster.

    Raises ClusterError when a cluster is asked for and there is none.
    """
    if where.there:
        return [open_cluster(where)]
    places: list[Backend] = [open_local(where)]
    if not where.here and cluster_configured():
        places.append(open_cluster(where))
    return places


def find_study(where: Where, name: str, *, whole: bool = True) -> tuple[Backend, StudyView]:
    """Return a study and the place where it is; `whole` as for `Backend.get`. Raises NotFoundError when it is in none of them."""
    return find_in(open_backends(where), name, whole=whole)


def find_in(places: Iterable[Backend], name: str, *, whole: bool = True) -> tuple[Backend, StudyView]:
    """Return a study and which of the places it is in, the first that has it. Raises NotFoundError."""
    missing: NotFoundError | None = None
    for backend in places:
        try:
            return backend, backend.get(name, whole=whole)
        except NotFoundError as error:
            # the last place that knows a name like it answers, else the last: a cluster that was asked, not this machine
            if missing is None or "near" in error.message.values or "near" not in missing.message.values:
                missing = error
    assert missing is not None
    raise missing
