"""What this machine offers to trials: GPUs (asked of nvidia-smi, torch is never imported) and CPU cores."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping


def visible_gpus(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the GPUs a trial may be given, as CUDA_VISIBLE_DEVICES names them; none without a driver.

    A CUDA_VISIBLE_DEVICES that is set already narrows the choice; empty, it hides all of them.
    """
    env = os.environ if environ is None else environ
    narrowed = env.get("CUDA_VISIBLE_DEVICES")
    if narrowed is not None and narrowed.strip() in ("", "-1"):
        return ()
    program = shutil.which("nvidia-smi", path=env.get("PATH"))
    if program is None:
        return ()
    try:
        done = subprocess.run(
            [program, "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = tuple(line.strip() for line in done.stdout.splitlines() if line.strip().isdigit())
    if done.returncode or not found:
        return ()
    if narrowed is None:
        return found
    return tuple(name.strip() for name in narrowed.split(",") if name.strip())


def cpu_cores() -> int:
    """Return the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)
