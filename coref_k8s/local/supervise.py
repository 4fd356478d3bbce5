"""The parent of one local job: starts its program, restarts it when it crashes, writes down how it ended.

A process of its own, in its own session, so that the job outlives a killed controller and is found again.
Only the standard library, run as `python -I -S supervise.py`: one of these stays in memory for every job.

It is given three files of the job's folder: what to run (written by the runner), how that went (written here, whole or
not at all) and the output of all starts; and a lock that this process and the program share, so that it is free exactly
when nobody of the job is alive any more.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

UTC = timezone.utc  # noqa: UP017
EXIT_INVALID, EXIT_OUT_OF_MEMORY, EXIT_TERMINATED = 42, 43, 143
LONGEST_PAUSE = 60.0


def main(arguments: list[str]) -> None:
    """`supervise.py JOB STATUS LOG LOCK_FD` runs a job; `supervise.py --end PID START GRACE` ends an orphaned one."""
    # The runner waits for this first process only: the job's parent is nobody's child and leaves no zombie.
    if os.fork():
        os._exit(0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if arguments[0] == "--end":
        _end(int(arguments[1]), arguments[2], float(arguments[3]))
    else:
        job, status, log = map(Path, arguments[:3])
        Supervisor(job, status, log, int(arguments[3])).run()


class Supervisor:
    """Runs one job to its end."""

    def __init__(self, job: Path, status: Path, log: Path, lock: int) -> None:
        self.files = status, log
        self.lock = lock
        self.job = json.loads(job.read_text(encoding="utf-8"))
        self.status = json.loads(status.read_text(encoding="utf-8"))
        self.child: subprocess.Popen[bytes] | None = None
        self.stopping = False

    def run(self) -> None:
        """Start the program until it has succeeded, cannot succeed, or is told to stop."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGALRM, self._on_grace_over)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        self._write(supervisor=os.getpid(), supervisor_start=start_time(os.getpid()))
        with self.files[1].open("ab", buffering=0) as log:
            while not self._once(log):
                pass

    def _once(self, log: Any) -> bool:
        """Start the program once; return whether the job has ended."""
        kills = oom_kills()
        try:
            code = self._program(log)
        except OSError as error:
            log.write(f"{self.job['command'][0]} cannot be started: {error}\n".encode())
            code = EXIT_INVALID
        reason, again = classify(code, oom_kills() > kills)
        if code == 0:
            return self._finish("succeeded", None, code)
        if self.stopping:
            return self._finish("failed", "Disrupted", code)
        retries, disruptions = self.status["retries"], self.status["disruptions"]
        if again == "counted" and retries < self.job["retries"]:
            retries += 1
        elif again == "free" and disruptions < self.job["max_disruptions"]:
            disruptions += 1
        else:
            return self._finish("failed", reason, code)
        pause = min(self.job["pause"] * 2 ** (retries + disruptions - 1), LONGEST_PAUSE)
        log.write(
            f"--- exit code {shown(code)}; starting again in {pause:g} s (crashes: {retries}) ---\n".encode()
        )
        self._write(retries=retries, disruptions=disruptions, pid=None, pid_start=None, exit_code=shown(code))
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0:
            if self.stopping:
                return self._finish("failed", "Disrupted", code)
            time.sleep(min(left, 0.2))
        return False

    def _program(self, log: Any) -> int:
        """Run the program to its end and return its code, negative for a signal."""
        self.child = subprocess.Popen(
            self.job["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(self.lock,),
        )
        pid = self.child.pid
        self._write(
            state="running",
            pid=pid,
            pid_start=start_time(pid),
            started_at=self.status["started_at"] or now(),
        )
        if self.stopping:  # told so while the program was being started
            self._terminate()
        code = self.child.wait()
        signal.alarm(0)
        _signal_group(pid, signal.SIGKILL)  # whatever it left behind holds memory or a GPU
        self.child = None
        return code

    def _on_stop(self, *_: object) -> None:
        if not self.stopping:
            self.stopping = True
            self._terminate()

    def _terminate(self) -> None:
        if self.child is not None:
            _signal_group(self.child.pid, signal.SIGTERM)
            signal.setitimer(signal.ITIMER_REAL, self.job["grace"])

    def _on_grace_over(self, *_: object) -> None:
        if self.child is not None:
            _signal_group(self.child.pid, signal.SIGKILL)

    def _finish(self, state: str, reason: str | None, code: int) -> bool:
        self._write(
            state=state,
            reason=reason,
            stopped=self.stopping,
            exit_code=shown(code),
            pid=None,
            pid_start=None,
            finished_at=now(),
        )
        return True

    def _write(self, **changes: Any) -> None:
        self.status.update(changes)
        write_json(self.files[0], self.status)


def classify(code: int, oom_killed: bool) -> tuple[str, str]:
    """Return the reason of a non-zero exit, and whether to start again: `no`, `counted` or `free`."""
    if code == EXIT_INVALID:
        return "Invalid", "no"
    if code == EXIT_OUT_OF_MEMORY:
        return "GpuOutOfMemory", "no"
    if code == -signal.SIGKILL and oom_killed:
        return "HostOutOfMemory", "no"
    if code in (EXIT_TERMINATED, -signal.SIGTERM):
        return "Disrupted", "free"
    return "Crashed", "counted"


def shown(code: int) -> int:
    """Return an exit code as a shell shows it: 128 + signal."""
    return code if code >= 0 else 128 - code


def oom_kills() -> int:
    """Return how many processes the kernel has killed for memory since boot; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def start_time(pid: int) -> str | None:
    """Return when a process was started, as text that only compares; None when it is gone or a zombie.

    With it a process id names one process: ids are used again, also after a restart of the machine.
    """
    try:
        # after the command's closing bracket: state is field 3, start time (ticks since boot) field 22
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        return _start_time_by_ps(pid)
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _start_time_by_ps(pid: int) -> str | None:
    done = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
    state, _, started = done.stdout.strip().partition(" ")
    return None if done.returncode or state.startswith("Z") else started.strip()


def alive(pid: int | None, started: str | None) -> bool:
    """Return whether the process that had this id and start time still runs."""
    return pid is not None and started is not None and start_time(pid) == started


def write_json(path: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    new.replace(path)


def now() -> str:
    """Return the time in UTC."""
    return datetime.now(UTC).isoformat()


def _end(pid: int, started: str, grace: float) -> None:
    """SIGTERM to the group of an orphaned program, SIGKILL when its grace period is over."""
    if not alive(pid, started):
        return
    _signal_group(pid, signal.SIGTERM)
    end = time.monotonic() + grace
    while alive(pid, started) and (left := end - time.monotonic()) > 0:
        _wait_for(pid, min(left, 0.5))
    _signal_group(pid, signal.SIGKILL)


def _wait_for(pid: int, seconds: float) -> None:
    if not hasattr(os, "pidfd_open"):
        time.sleep(seconds)
        return
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            select.select([handle], [], [], seconds)
        finally:
            os.close(handle)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


if __name__ == "__main__":
    main(sys.argv[1:])
