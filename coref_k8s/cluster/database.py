"""The controller's way to the database: opened when it is first needed and there, shared by all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from coref_k8s.controller.view import StudyView, read_view
from coref_k8s.store import Store
from coref_k8s.study.spec import StudySpec


class Database:
    """Our tables and Optuna's, behind one URL. Methods raise StorageError while it is away."""

    def __init__(self, url: str, *, on_ask: Callable[[float], None] = lambda _seconds: None) -> None:
        self._on_ask = on_ask
        self._url = url
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._storage: Any = None

    def store(self) -> Store:
        """Return our own tables, creating them when they are missing."""
        with self._lock:
            if self._store is None:
                self._store = Store(self._url)
            return self._store

    def storage(self) -> Any:
        """Return Optuna's storage."""
        from coref_k8s.search.storage import open_storage

        with self._lock:
            if self._storage is None:
                self._storage = open_storage(self._url)
            return self._storage

    def open_length(self, spec: StudySpec, study: str, seq_len: int, namespace: str) -> Any:
        """Open the trials of one length."""
        from coref_k8s.search.studies import LengthStudy

        return LengthStudy(self.storage(), spec, study, seq_len, namespace, on_ask=self._on_ask)

    def view(self, namespace: str, study: str) -> StudyView:
        """Return a study with its trials."""
        return read_view(self.store(), namespace, study)

    def check_source(self, namespace: str, spec: StudySpec) -> None:
        """Raise RequestError when the study that this one is to start from has nothing to offer."""
        if spec.search.warm_start_from is not None:
            from coref_k8s.search.source_study import source_study

            source_study(self.store(), self.storage(), namespace, spec.search.warm_start_from)

    def purge(self, namespace: str, study: str) -> None:
        """Delete a study, its attempts and its trials."""
        from coref_k8s.search.trials import delete_trials

        delete_trials(self.storage(), study, namespace)
        self.store().delete_study(namespace, study)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            if self._storage is not None:
                self._storage.remove_session()
