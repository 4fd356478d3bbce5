"""Logs of local jobs: one trial's, or a whole study's with the job's name before each line."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator

from coref_k8s.errors import NotFoundError
from coref_k8s.local.processes import ProcessRunner
from coref_k8s.study.names import Kind

#: New jobs of a followed study are looked for this often (seconds).
_LOOK_SECONDS = 1.0


def trial_lines(
    runner: ProcessRunner, study: str, seq_len: int, trial: int, *, follow: bool
) -> Iterator[str]:
    """Return the log lines of a trial, all its attempts; raise NotFoundError when it has not started."""
    jobs = _jobs(runner, study, seq_len, trial)
    if not jobs:
        raise NotFoundError("client.no-log", trial=trial, seq_len=seq_len, study=study)
    return (line for job in jobs for line in runner.logs(job, follow=follow and job == jobs[-1]))


def study_lines(
    runner: ProcessRunner, study: str, seq_len: int | None, *, follow: bool, ended: Callable[[], bool]
) -> Iterator[str]:
    """Yield the lines of all jobs of a study (of one length), each behind the job's name.

    One job after the other; followed jobs as their lines come, until `ended` and all is read.
    """
    if not follow:
        for job in _jobs(runner, study, seq_len):
            yield from (f"{short(study, job)} | {line}" for line in runner.logs(job))
        return
    yield from followed(
        lambda: _jobs(runner, study, seq_len), lambda job: runner.logs(job, follow=True), study, ended
    )


def followed(
    jobs: Callable[[], list[str]], log: Callable[[str], Iterator[str]], study: str, ended: Callable[[], bool]
) -> Iterator[str]:
    """Yield the lines of jobs as they come, each behind its job's name, until `ended` and all is read."""
    lines: queue.Queue[str] = queue.Queue()
    readers: dict[str, threading.Thread] = {}

    def read(job: str) -> None:
        for line in log(job):
            lines.put(f"{short(study, job)} | {line}")

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


def short(study: str, job: str) -> str:
    """Return a job's name without that of its study."""
    return job.removeprefix(f"{study}-")


def _jobs(
    runner: ProcessRunner, study: str, seq_len: int | None = None, trial: int | None = None
) -> list[str]:
    """Return the jobs that have a log, in the order in which they began: all, or those of a length or a trial."""
    found = []
    for path in (runner.root / study).glob("*/log"):
        # a job's order is written once, when it is started
        text = path.with_name("order.json")
        order = json.loads(text.read_text(encoding="utf-8"))
        # finalists have numbers of their own: asked for a trial, theirs are not meant
        is_it = trial is None or (order["kind"], order["trial"]) == (Kind.TRIAL, trial)
        if is_it and seq_len in (None, order["seqLen"]):
            found.append((text.stat().st_mtime, path.parent.name))
    return [name for _, name in sorted(found)]
