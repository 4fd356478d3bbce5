"""One container as one process of this machine: started, asked to stop, killed, and its end told as a kubelet does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kube.mounts import Fetch, Mounts, environment, expand, remap
from tests.kube.store import now

Json = dict[str, Any]
#: What a process gets beside the container's own variables, so that the interpreter runs at all.
_INHERITED = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE")


class Container:
    """A started container. `oom` marks it as killed by its memory limit."""

    def __init__(
        self,
        pod: Json,
        spec: Json,
        mounts: Mounts,
        fetch: Fetch,
        log: Path,
        programs: Mapping[str, list[str]],
        extra: Mapping[str, str],
    ):
        self.name, self.log, self.started_at = spec["name"], log, now()
        self.oom = False
        paths = mounts.paths(spec)
        variables = environment(pod, spec, fetch, paths)
        command = [*(spec.get("command") or programs.get(spec["image"], [])), *(spec.get("args") or ())]
        argv = [expand(remap(word, paths), variables) for word in command]
        self._environ = {k: os.environ[k] for k in _INHERITED if k in os.environ}
        self._environ |= {**extra, **variables, "HOSTNAME": pod["metadata"]["name"]}
        self._process: subprocess.Popen[bytes] | None = None
        self.refusal = ""
        log.parent.mkdir(parents=True, exist_ok=True)
        if not argv:
            self.refusal = "no command specified"
            return
        argv = [*programs.get(argv[0], argv[:1]), *argv[1:]]
        workdir = Path(remap(spec.get("workingDir", ""), paths) or mounts._root)
        workdir.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("ab") as out:
                self._process = subprocess.Popen(
                    argv,
                    env=self._environ,
                    cwd=workdir,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self.refusal = f'exec: "{argv[0]}": {error.strerror}'

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def wait(self) -> None:
        """Until it has ended."""
        if self._process:
            self._process.wait()
            self.kill()  # what it left behind goes with the container

    def terminate(self) -> None:
        """SIGTERM to the container's first process."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def terminated(self) -> Json:
        """`state.terminated`: a signal's exit code is 128 + its number."""
        if self._process is None:
            reason, code = "StartError", 128
        else:
            code = self._process.returncode
            code = 128 - code if code < 0 else code
            reason = "OOMKilled" if self.oom else ("Completed" if code == 0 else "Error")
        state = {"exitCode": code, "reason": reason, "startedAt": self.started_at, "finishedAt": now()}
        return state | ({"message": self.refusal} if self.refusal else {})


class Simulated:
    """A container that only pretends: for clusters with more pods than a machine has processes.

    `run(pod)` gives (seconds, exit code).
    """

    def __init__(self, pod: Json, spec: Json, seconds: float, code: int):
        self.name, self.started_at, self.oom, self.refusal = spec["name"], now(), False, ""
        self._ended, self._seconds, self._code = threading.Event(), seconds, code
        self.pid = None

    def wait(self) -> None:
        self._ended.wait(self._seconds)
        self._ended.set()

    def finish(self) -> None:
        self._ended.set()

    def terminate(self) -> None:
        self._code = 143
        self._ended.set()

    def kill(self) -> None:
        if not self._ended.is_set():
            self._code = 137
            self._ended.set()

    def terminated(self) -> Json:
        reason = "OOMKilled" if self.oom else ("Completed" if self._code == 0 else "Error")
        return {"exitCode": self._code, "reason": reason, "startedAt": self.started_at, "finishedAt": now()}
