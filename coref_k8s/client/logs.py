"""Logs of jobs: one trial's, or a whole study's with the job's name before each line."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator

from coref_k8s.errors import NotFoundError
from coref_k8s.local.processes import ProcessRunner
from coref_k8s.study.names import Kind
from coref_k8s.study.paths import LOG_FILE, ORDER_FILE

#: New jobs of a followed study are looked for this often (seconds).
_LOOK_SECONDS = 1.0


def log_lines(
    study: str,
    jobs: Callable[[], list[str]],
    log: Callable[[str, bool], Iterator[str]],
    *,
    follow: bool,
    ended: Callable[[], bool],
    one: bool,
    missing: NotFoundError,
) -> Iterator[str]:
    """Yield the lines of jobs, one job after the other; followed ones as their lines come, until `ended`.

    `log(job, follow)` reads one job's. `one`: the jobs are those of one trial, all its attempts; lines of a whole study have
    the job's name in front. `missing` is what to raise where there is no job and none is waited for.
    """
    if follow and not one:
        yield from followed(jobs, log, study, ended)
        return
    known = jobs()
    if not known:
        raise missing
    for job in known:
        lines = log(job, follow and job == known[-1])
        yield from lines if one else (f"{_short(study, job)} | {line}" for line in lines)


def followed(
    jobs: Callable[[], list[str]],
    log: Callable[[str, bool], Iterator[str]],
    study: str,
    ended: Callable[[], bool],
) -> Iterator[str]:
    """Yield the lines of jobs as they come, each behind its job's name, until `ended` and all is read."""
    lines: queue.Queue[str] = queue.Queue()
    readers: dict[str, threading.Thread] = {}

    def read(job: str) -> None:
        for line in log(job, True):
            lines.put(f"{_short(study, job)} | {line}")

    while True:
        last = ended()
        for job in jobs():
            if job not in readers:
                readers[job] = threading.Thread(target=read, args=(job,), daemon=True)
                readers[job].start()
        try:
            yield lines.get(timeout=_LOOK_SECONDS)
            while not lines.empty():
                yield lines.get()
        except queue.Empty:
            if last and not any(reader.is_alive() for reader in readers.values()) and lines.empty():
                return


def _short(study: str, job: str) -> str:
    """Return a job's name without that of its study."""
    return job.removeprefix(f"{study}-")


def local_jobs(
    runner: ProcessRunner, study: str, seq_len: int | None, number: int | None, kind: Kind
) -> list[str]:
    """Return the jobs that have a log, in the order in which they began: all, or those of a length, a trial or a run."""
    found = []
    for path in (runner.root / study).glob(f"*/{LOG_FILE}"):
        # a job's order is written once, when it is started
        text = path.with_name(ORDER_FILE)
        order = json.loads(text.read_text(encoding="utf-8"))
        # runs of finalists have numbers of their own
        is_it = number is None or (order["kind"], order["trial"]) == (kind, number)
        if is_it and seq_len in (None, order["seqLen"]):
            found.append((text.stat().st_mtime, path.parent.name))
    return [name for _, name in sorted(found)]
