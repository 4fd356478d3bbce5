"""What a job brings before it begins, and what of its work is kept on the way: everything that object storage asks of a job.

Where the data folder is a volume or a disk, all is there already and stays, and nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from coref_k8s.errors import DataError, StorageError
from coref_k8s.objects import Mirror
from coref_k8s.settings import Settings
from coref_k8s.study.order import Order
from coref_k8s.study.paths import CHECKPOINTS, ENSEMBLE, MODEL, TrialFolder, numbered_folder
from coref_k8s.telemetry.bus import Bus
from coref_k8s.trial.observers import BusObserver, waiting
from coref_k8s.trial.signals import StopSignal
from coref_k8s.wording import Message


class Luggage:
    """The files of one job on their way. Waits for a store that is away, for an hour at most, as for the database.

    `held` is entered while what was sent begins to count, so that a process whose work another has taken over keeps nothing.
    """

    def __init__(
        self,
        order: Order,
        settings: Settings,
        bus: Bus,
        stop: StopSignal,
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._order = order
        self._warn: Callable[[Message], None] = BusObserver(bus, order).warn
        self.mirror = Mirror(settings, warn=self._warn, wait=waiting(order, bus, stop), held=held)

    def bring(self) -> None:
        """Bring what a training reads: what an earlier attempt has kept, its data, its model, and of its parents' trials
        what it joins or is compared with. Raises DataError, StorageError, Interrupted."""
        order, mirror = self._order, self.mirror
        try:
            # a result that is kept is only handed in: its model may stay where it is
            mirror.fetch(order.workdir, leave=(MODEL, ENSEMBLE))
        except DataError as error:  # a damaged checkpoint; there is an older one
            self._warn(error.message)
        mirror.fetch(order.params.get("dataset") or order.prepared)
        mirror.fetch(order.spec.model)
        purpose = order.spec.purpose
        if purpose.study is not None and order.seq_len is not None:
            scores = TrialFolder(mirror.data_dir).items("dev").name
            parts = (MODEL, scores) if purpose.kind == "ensemble" else (scores,)
            for number in purpose.trials:
                mirror.fetch(numbered_folder(purpose.study, order.seq_len, number), only=parts)

    def keep_on_the_way(self) -> None:
        """Keep what there is; of a store or database that is away it only warns: the next checkpoint is kept again."""
        try:
            self.mirror.keep(self._order.workdir, at_once=True)
        except StorageError as error:
            self._warn(error.message)

    def keep_result(self) -> None:
        """Keep what a job has left, without the checkpoints that led there."""
        self.mirror.keep(self._order.workdir, leave=(CHECKPOINTS,))

    def drop_checkpoints(self) -> None:
        """Keep the checkpoints of a trial no longer that nobody wants any more; of a store that is away it only warns."""
        try:
            self.mirror.drop(self._order.workdir, CHECKPOINTS)
        except StorageError as error:
            self._warn(error.message)
