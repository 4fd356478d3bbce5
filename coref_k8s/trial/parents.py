"""What a study made of another one's results takes over from it: its prepared data, or at least its held-out documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coref_k8s.corpus.prepared import documents_path, open_prepared, read_documents
from coref_k8s.errors import NotFoundError
from coref_k8s.objects import Mirror
from coref_k8s.search.derived import same_data
from coref_k8s.store import Store, StudyRecord
from coref_k8s.study.order import Order
from coref_k8s.study.paths import STATISTICS_FILE, TrialFolder, numbered_folder
from coref_k8s.study.spec import StudySpec
from coref_k8s.text.document import Split

#: Calls what needs the database, and may call it again.
Wait = Callable[[Callable[[], StudyRecord]], StudyRecord]


@dataclass(frozen=True)
class Parent:
    """A study that has prepared its data."""

    spec: StudySpec
    path: Path
    """Folder of its prepared data."""

    def serves(self, spec: StudySpec) -> bool:
        """Whether its data are those that `spec` asks for."""
        return same_data(spec, self.spec)

    def held_out(self) -> dict[str, Split]:
        """Return the split of every text that was tuned or tested on."""
        splits: tuple[Split, ...] = ("dev", "test")
        return {
            document.text: split
            for split in splits
            if documents_path(self.path, split).is_file()
            for document in read_documents(documents_path(self.path, split))
        }


def parent_of(order: Order, store: Store, mirror: Mirror, wait: Wait) -> Parent | None:
    """Return the study that an order's results come from; None without one, or when it was deleted.

    `wait` calls what needs the database.
    """
    name = order.spec.purpose.study
    if name is None:
        return None
    try:
        record = wait(lambda: store.get_study(order.namespace, name))
    except NotFoundError:
        return None
    if record.prepared is None:
        return None
    mirror.fetch(record.prepared)
    path = mirror.data_dir / record.prepared
    if not (path / STATISTICS_FILE).is_file():
        return None
    open_prepared(path, order.spec.seq_lengths[0])
    return Parent(record.spec, path)


def parents_trials(order: Order, data_dir: Path) -> dict[int, TrialFolder]:
    """Return the folders of the trials that an order is made of, by number; they may be empty by now."""
    purpose = order.spec.purpose
    assert purpose.study is not None
    assert order.seq_len is not None
    return {
        number: TrialFolder(data_dir / numbered_folder(purpose.study, order.seq_len, number))
        for number in purpose.trials
    }
