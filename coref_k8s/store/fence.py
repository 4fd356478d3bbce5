"""`Fence`: of all processes that ever began the same work, the newest alone may write.

A node that is cut off goes on with a pod that the cluster has given up, and a new pod may begin before an old one has ended.
So whoever begins takes a token, which ends that of whoever began before, and all that it writes rests on its token: every
transaction looks for it and holds it until it is committed, and files get their names while it is held. The next one waits
for that, and what comes later is refused. See docs/decisions/122-a-fence-around-a-trial.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, delete, event, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from coref_k8s.errors import SupersededError
from coref_k8s.store.engine import connect, storage_errors
from coref_k8s.store.schema import bring_up_to_date
from coref_k8s.store.tables import fence_table
from coref_k8s.study.order import Order

#: Time without a statement after which Postgres ends a transaction that holds a token, its process being frozen or cut off
#: (seconds): so long may the next one have to wait.
IDLE_SECONDS = 15.0

_c = fence_table.c


class Fence:
    """The right of this process to write what an order's job writes, until a newer one begins the same work."""

    def __init__(self, engine: Engine, url: str, token: int) -> None:
        self._engine, self._url = engine, url
        self.token = token
        """Higher than that of whoever began before."""
        self.guard(engine)

    @classmethod
    def take(cls, url: str, order: Order) -> Fence:
        """Begin: from now on nobody who began before may write in the order's folder.

        Raises SupersededError when a later attempt has begun there, StorageError when the database is away.
        """
        with storage_errors(url):
            engine = connect(url)
            bring_up_to_date(engine, url)
            while True:
                try:
                    with engine.begin() as connection:
                        token = _taken(connection, order)
                    return cls(engine, url, token)
                except IntegrityError:
                    continue  # two began in one moment: the one that looks again is the later one

    def guard(self, engine: Engine) -> None:
        """Let every transaction of an engine rest on the token; from then on it raises SupersededError without it."""
        event.listen(engine, "begin", self._hold)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the token while something outside the database is written. Raises SupersededError, StorageError."""
        with storage_errors(self._url), self._engine.begin():
            yield

    def _hold(self, connection: Connection) -> None:
        """Look for the token, and keep the next one from deleting it before this transaction has ended."""
        query = select(_c.token).where(_c.token == self.token)
        if connection.dialect.name == "sqlite":
            connection.execute(text("BEGIN IMMEDIATE"))  # one writer at a time: nobody deletes it meanwhile
        else:
            limit = f"{IDLE_SECONDS:g}s"
            query = query.add_columns(func.set_config("idle_in_transaction_session_timeout", limit, True))
            query = query.with_for_update(read=True)
        if connection.execute(query).first() is None:
            raise SupersededError("store.superseded")


def _taken(connection: Connection, order: Order) -> int:
    here = (_c.namespace == order.namespace) & (_c.folder == order.workdir)
    holder = connection.execute(select(fence_table).where(here).with_for_update()).one_or_none()
    if holder is not None:
        theirs, ours = (holder.trial or 0, holder.attempt), (order.trial or 0, order.attempt)
        # a pod may begin long after its Job was given up; what another study of this name has left is no measure
        if holder.study_uid == order.study_uid and theirs > ours:
            raise SupersededError("store.attempt-over", theirs=holder.attempt, ours=order.attempt)
        connection.execute(delete(fence_table).where(_c.token == holder.token))
    values = {
        "namespace": order.namespace, "study": order.study, "folder": order.workdir,
        "study_uid": order.study_uid, "trial": order.trial, "attempt": order.attempt,
    }  # fmt: skip
    return int(connection.execute(insert(fence_table).values(values).returning(_c.token)).scalar_one())
