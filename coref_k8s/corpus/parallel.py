"""Analyses many documents with all cores, in order, with bounded memory.

Processes, not threads: Kiwi's own threads give no gain. Kiwi's model is a mapped file that the processes
share, so each costs about 60 MiB. Small amounts stay in this process: a pool takes seconds to start.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from coref_k8s.corpus.generated import is_generated
from coref_k8s.corpus.quality import Analysed, analyse_document
from coref_k8s.text.document import Document

#: Text that is analysed without a pool (characters), about six seconds.
SMALL = 500_000
#: Text of one task (characters), a quarter of a second: passing it on costs nothing beside that, and at the end no
#: process waits long for the last.
BATCH = 20_000


def cores() -> int:
    """Return the cores this process may use: its affinity, and a container's CPU limit."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            usable = min(usable, max(1, int(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return usable


@contextmanager
def analysers(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give processes for `analyse_all`; each loads Kiwi at its first document. What waits at the end is dropped."""
    # spawn: the parent may hold threads (Arrow, torch), which a fork would copy in any state
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def analyse_all(
    documents: Iterable[Document],
    *,
    sketched: bool = False,
    workers: int | None = None,
    pool: ProcessPoolExecutor | None = None,
) -> Iterator[Analysed]:
    """Yield the analysis of every document, in order.

    `workers` processes, by default one a core, are started if the text is worth it; those of `pool`, if given, are
    there already.
    """
    workers = workers or cores()
    stream = iter(documents)
    if pool is not None:
        yield from _shared(stream, pool, sketched, workers)
        return
    head: list[Document] = []
    size = 0
    for document in stream:
        head.append(document)
        # generated text repeats its sentences, which one process analyses once
        size += 0 if is_generated(document.source) else len(document.text)
        if size > SMALL:
            break
    if size <= SMALL or workers == 1:
        for document in chain(head, stream):
            yield analyse_document(document, sketched=sketched)
        return
    with analysers(workers) as started:
        yield from _shared(chain(head, stream), started, sketched, workers)


def _shared(
    documents: Iterable[Document], pool: ProcessPoolExecutor, sketched: bool, workers: int
) -> Iterator[Analysed]:
    """Yield what the processes of a pool find; a few tasks wait for each, never all of them."""
    waiting: deque[Future[list[Analysed]]] = deque()
    for batch in _batches(documents):
        waiting.append(pool.submit(_analyse_batch, batch, sketched))
        if len(waiting) > 3 * workers:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _analyse_batch(batch: list[Document], sketched: bool) -> list[Analysed]:
    return [analyse_document(document, sketched=sketched) for document in batch]


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
