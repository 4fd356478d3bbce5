"""What a length's trials leave on the disk: the models of the best ones, `training.keepModels` of them.

Without that every complete trial of kf-deberta-base would leave 0.7 GB, most of them never to be opened.
"""

from __future__ import annotations

import shutil
from contextlib import suppress

from coref_k8s.errors import StorageError
from coref_k8s.objects import Mirror
from coref_k8s.search.records import ranked
from coref_k8s.search.storage import open_storage
from coref_k8s.search.trials import read_trials
from coref_k8s.settings import Settings
from coref_k8s.store import Store
from coref_k8s.study.order import Order
from coref_k8s.study.parameters import needed
from coref_k8s.study.paths import MODEL, TrialFolder, trial_folder


def drop_models(order: Order, settings: Settings, mirror: Mirror) -> None:
    """Delete the models of the trials of this length that are not among the best any more.

    Called by every trial that has reported its result; when database or object storage is away, the next one does it. Finalists
    are among the best, so their models stay too; and so do those that an ensemble is still to join.
    """
    spec, seq_len = order.spec, order.seq_len
    assert seq_len is not None
    with suppress(StorageError):
        wanted = _members(order, settings)
        storage, whole = open_storage(settings.storage_url), needed(spec, seq_len)
        trials = read_trials(storage, order.study, seq_len, order.namespace, needed=whole)
        for record in ranked(trials)[max(spec.training.keep_models, spec.search.finalists) :]:
            if record.number in wanted:
                continue
            name = trial_folder(spec, order.study, seq_len, record.number)
            shutil.rmtree(TrialFolder(settings.data_dir / name).model, ignore_errors=True)
            mirror.drop(name, MODEL)


def _members(order: Order, settings: Settings) -> set[int]:
    """Return the trials of this length that ensembles which have not ended are made of."""
    store = Store(settings.storage_url)
    try:
        unfinished = [
            one.spec for one in store.list_studies(order.namespace) if not (one.ended or one.problem)
        ]
    finally:
        store.close()
    return {
        number
        for spec in unfinished
        if (spec.purpose.kind, spec.purpose.study) == ("ensemble", order.study)
        and spec.seq_lengths == (order.seq_len,)
        for number in spec.purpose.trials
    }
