"""`ProcessRunner`: one supervised process a job, found again by whoever looks into the data root."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from coref_k8s.controller.runner import ObservedJob
from coref_k8s.errors import CorefError, NotFoundError
from coref_k8s.local import supervise
from coref_k8s.local.hardware import cpu_cores, visible_gpus
from coref_k8s.local.jobfiles import JobFolder, job_folders
from coref_k8s.study.names import WITHOUT_GPU, Kind
from coref_k8s.study.order import Order, Resources
from coref_k8s.study.paths import JOBS, STOPPED_FILE
from coref_k8s.study.spec import PodSpec

#: What a job runs unless told otherwise.
TRIAL_COMMAND = (sys.executable, "-m", "coref_k8s.trial")
#: Time a job has between SIGTERM and SIGKILL, to write its checkpoint (seconds).
GRACE_SECONDS = 30.0
#: Pause before a crashed job is started again (seconds); doubles with every crash.
PAUSE_SECONDS = 1.0
#: Lines are looked for this often while a log is followed (seconds).
_FOLLOW_SECONDS = 0.2
#: Longest time from a supervisor's start to its name in the job's status (seconds); mostly a few milliseconds.
_STARTING_SECONDS = 30.0


class ProcessRunner:
    """Runs orders as processes of this machine; see `coref_k8s.controller.runner.Runner`.

    `environment` is added to that of the jobs (data root, storage, bus: `Settings.environment`).
    With GPUs a job gets `gpus_per_job` of them in CUDA_VISIBLE_DEVICES; without, its share of the cores.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = TRIAL_COMMAND,
        gpus_per_job: int = 1,
        gpus: Sequence[str] | None = None,
        cores: int | None = None,
        grace: float = GRACE_SECONDS,
        pause: float = PAUSE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root = data_dir / JOBS
        self._environment = dict(environment or {})
        self._command = list(command)
        self._gpus = tuple(visible_gpus() if gpus is None else gpus) if gpus_per_job else ()
        self._hide_gpus = gpus_per_job == 0
        if self._gpus and gpus_per_job > len(self._gpus):
            raise CorefError("local.too-few-gpus", asked=gpus_per_job, shown=len(self._gpus))
        self.gpus_per_job = gpus_per_job if self._gpus else 0
        """GPUs that a job really gets: 0 on a machine without."""
        self._cores = cores or cpu_cores()
        self._grace = grace
        self._pause = pause
        self._sleep = sleep

    def capacity(self) -> int:
        """Return how many jobs run at once without sharing a GPU, or a core where there is no GPU."""
        return len(self._gpus) // self.gpus_per_job if self._gpus else self._cores

    def pod_digest(self, pod: PodSpec, resources: Resources) -> str:
        """Return nothing: no process waits for what it was asked to be."""
        return ""

    def list(self, study: str) -> list[ObservedJob]:
        """Return the jobs of a study; those whose processes are all gone are failed, reason Disrupted."""
        found = (folder.observe() for folder in job_folders(self.root / study))
        return [job for job in found if job is not None]

    def start(self, order: Order) -> None:
        """Start the job; one of that name that exists already is success."""
        folder = JobFolder(self.root / order.study / order.name)
        folder.path.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            return
        # an earlier job of this name, removed a moment ago, may still be on its last steps
        end = time.monotonic() + self._grace
        while (lock := folder.take_lock()) is None:
            if time.monotonic() > end:
                raise CorefError("local.processes-alive", job=order.name)
            self._sleep(0.02)
        try:
            gpus = self._free_gpus() if order.kind not in WITHOUT_GPU else ()
            folder.write(order, self._command, gpus, pause=self._pause, grace=self._grace)
            # The supervisor inherits the lock, so there is no moment in which the job is live and unlocked.
            files = map(str, (folder.job, folder.status, folder.log, lock))
            _supervise(*files, environment=self._variables(order, folder, gpus), keep=lock)
        finally:
            os.close(lock)

    def stop(self, job: ObservedJob, why: str = "stopped") -> None:
        """Send SIGTERM, and SIGKILL after the grace period; returns at once. Gone is success."""
        folder = JobFolder(self.root / job.study / job.name)
        found = self._with_supervisor(folder)
        if found is None or found[0]["uid"] != job.uid:
            return
        status = found[1]
        if supervise.alive(status["supervisor"], status["supervisor_start"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(status["supervisor"], signal.SIGTERM)
        elif supervise.alive(status["pid"], status["pid_start"]):
            _supervise("--end", str(status["pid"]), status["pid_start"], str(found[0]["grace"]))
        else:
            return
        # after the signal: the next controller sends no other one to a job that is noted as stopped
        supervise.write_json(folder.path / STOPPED_FILE, {"uid": job.uid, "why": why})

    def _with_supervisor(self, folder: JobFolder) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return a job's files once its supervisor is in them: one that has just been started takes a moment."""
        end = time.monotonic() + _STARTING_SECONDS
        while (found := folder.read()) is not None and found[1]["supervisor"] is None:
            if folder.nobody_alive() or time.monotonic() > end:
                break
            self._sleep(0.02)
        return found

    def remove(self, job: ObservedJob) -> None:
        """Forget the job, stopping it first and waiting until it has ended. Its log stays."""
        folder = JobFolder(self.root / job.study / job.name)
        deadline = time.monotonic() + self._grace + 30
        self.stop(job)
        while (now := folder.observe()) is not None and now.uid == job.uid and now.live:
            if time.monotonic() > deadline:
                raise CorefError("local.job-does-not-end", job=job.name)
            self._sleep(0.05)
        if now is not None and now.uid == job.uid:
            folder.status.unlink(missing_ok=True)

    def logs(self, job: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """Yield the lines of a job's log, also after its removal; `follow` goes on until it has ended."""
        folder = next((JobFolder(path) for path in self.root.glob(f"*/{job}")), None)
        if folder is None:
            raise NotFoundError("local.no-job", job=job, folder=str(self.root))
        return self._lines(folder, tail, follow)

    def wait(self, seconds: float) -> None:
        """Return when a live job has ended, or after `seconds`: a finished job's successor starts at once."""
        handles = []
        try:
            for folder in (folder for path in _folders(self.root) for folder in job_folders(path)):
                found = folder.read()
                pid = found[1]["supervisor"] if found and found[1]["finished_at"] is None else None
                if pid is not None and hasattr(os, "pidfd_open"):
                    with contextlib.suppress(OSError):
                        handles.append(os.pidfd_open(pid))
            if handles:
                select.select(handles, [], [], seconds)
            else:
                self._sleep(seconds)
        finally:
            for handle in handles:
                os.close(handle)

    def _variables(self, order: Order, folder: JobFolder, gpus: Sequence[str]) -> dict[str, str]:
        variables = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            **self._environment,
            "COREF_ORDER_FILE": str(folder.order),
        }
        if self._gpus or self._hide_gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        # One thread too many a core costs more than it brings; what the user has set is left.
        at_once = 1 if order.kind is Kind.PREPARE else min(order.spec.parallelism, self.capacity())
        variables.setdefault("OMP_NUM_THREADS", str(max(1, self._cores // at_once)))
        return variables

    def _free_gpus(self) -> Sequence[str]:
        """Return the GPUs that the fewest live jobs of this data root use."""
        used: Counter[str] = Counter()
        for path in _folders(self.root):
            for folder in job_folders(path):
                job, found = folder.observe(), folder.read()
                if job is not None and job.live and found is not None:
                    used.update(found[0]["gpus"])
        return sorted(self._gpus, key=lambda gpu: used[gpu])[: self.gpus_per_job]

    def _lines(self, folder: JobFolder, tail: int | None, follow: bool) -> Iterator[str]:
        position = 0 if tail is None else folder.tail_offset(tail)
        while True:
            job = folder.observe()  # before the log is read: what came until then is not missed
            last = not follow or job is None or not job.live
            text = folder.read_log(position)
            if not last:
                text = text[: text.rfind(b"\n") + 1]  # the rest of the line is still being written
            position += len(text)
            if text:
                yield from text.decode(errors="replace").removesuffix("\n").split("\n")
            if last:
                return
            self._sleep(_FOLLOW_SECONDS)


def _folders(root: Path) -> list[Path]:
    return sorted(root.iterdir()) if root.is_dir() else []


def _supervise(
    *arguments: str, environment: Mapping[str, str] | None = None, keep: int | None = None
) -> None:
    """Start `supervise.py` in a session of its own; returns when it has detached."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", supervise.__file__, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=() if keep is None else (keep,),
        timeout=60,
    )
    if done.returncode:
        raise CorefError("local.no-supervisor", why=done.stderr.decode(errors="replace")[-500:])
