"""What this machine offers to trials: GPUs (asked of nvidia-smi, torch is never imported), CPU cores, memory.

A container's limits count as the machine's.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: First compute capability whose tensor cores compute in bfloat16.
_BF16_FROM = 8.0
#: What version 1 of cgroups says where there is no limit is near this (bytes).
_NO_LIMIT = 2**60


@dataclass(frozen=True)
class Gpu:
    """One GPU that a trial may be given."""

    name: str
    """As CUDA_VISIBLE_DEVICES names it."""
    model: str = ""
    memory: int | None = None
    """Its memory (bytes); None where the driver does not say."""
    capability: float | None = None
    """Compute capability; None where the driver does not say."""

    @property
    def bf16(self) -> bool:
        """Whether it computes in bfloat16."""
        return self.capability is not None and self.capability >= _BF16_FROM


@dataclass(frozen=True)
class Machine:
    """What trials can have at this moment."""

    gpus: tuple[Gpu, ...]
    cores: int
    memory: int
    """Memory that nobody uses, of the host or of its container (bytes)."""
    torch: str = ""
    """Version of torch that is installed; empty for none."""
    processor: str = "CPU"
    """Kind of processor."""

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """The GPUs, unless torch was built without what it takes to use one."""
        return () if "+cpu" in self.torch else self.gpus

    @cached_property
    def gpu_memory(self) -> int | None:
        """Memory of the smallest usable GPU (bytes); None without one, and where the driver does not say."""
        return min((gpu.memory for gpu in self.usable_gpus if gpu.memory), default=None)


def this_machine(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> Machine:
    """Look at the machine as it is now; `root` is where `proc` and `sys` are."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = ""
    return Machine(gpus(environ), cpu_cores(root), free_memory(root), torch, processor(root))


def visible_gpus(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the GPUs a trial may be given, as CUDA_VISIBLE_DEVICES names them; none without a driver."""
    return tuple(gpu.name for gpu in gpus(environ))


def gpus(environ: Mapping[str, str] | None = None) -> tuple[Gpu, ...]:
    """Return the GPUs a trial may be given; none without a driver.

    A CUDA_VISIBLE_DEVICES that is set already narrows the choice; empty, it hides all of them.
    """
    env = os.environ if environ is None else environ
    narrowed = env.get("CUDA_VISIBLE_DEVICES")
    if narrowed is not None and narrowed.strip() in ("", "-1"):
        return ()
    found = {line[0]: line for line in _nvidia(env, "index,name,memory.total,compute_cap,uuid")}
    if not found:  # a driver that does not know one of these
        found = {line[0]: line for line in _nvidia(env, "index")}
    if not found:
        return ()
    names = list(found) if narrowed is None else [n.strip() for n in narrowed.split(",") if n.strip()]
    by_uuid = {line[4]: line for line in found.values() if len(line) > 4}
    return tuple(_gpu(name, found.get(name) or _of_uuid(name, by_uuid)) for name in names)


def _of_uuid(name: str, by_uuid: Mapping[str, list[str]]) -> list[str]:
    # the beginning of an identifier is enough for CUDA
    return next((line for uuid, line in by_uuid.items() if uuid.startswith(name)), [])


def _gpu(name: str, line: list[str]) -> Gpu:
    if len(line) < 4:
        return Gpu(name)
    memory, capability = _number(line[2]), _number(line[3])
    return Gpu(name, line[1], None if memory is None else int(memory * 2**20), capability)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # "[N/A]"


def _nvidia(env: Mapping[str, str], query: str) -> Iterator[list[str]]:
    """Yield what the driver says of each GPU, one text a question; nothing without a driver."""
    program = shutil.which("nvidia-smi", path=env.get("PATH"))
    if program is None:
        return
    command = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode:
        return
    for line in done.stdout.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if parts[0].isdigit() and len(parts) == query.count(",") + 1:
            yield parts


def driver(environ: Mapping[str, str] | None = None) -> str:
    """Return the version of the GPUs' driver; empty without one."""
    found = _nvidia(os.environ if environ is None else environ, "index,driver_version")
    return next((line[1] for line in found), "")


def processor(root: Path = Path("/")) -> str:
    """Return the kind of processor, as it calls itself."""
    named = (line.split(":", 1) for line in _lines(root / "proc/cpuinfo") if ":" in line)
    return next((value.strip() for key, value in named if key.strip() == "model name"), "CPU")[:200]


def cpu_cores(root: Path = Path("/")) -> int:
    """Return the cores this process may use: those it is bound to, and no more than its container may."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups(root, "cpu"):
        told = _numbers(group / "cpu.max")  # "max 100000" has one number
        told = told or [n for name in ("quota", "period") for n in _numbers(group / f"cpu.cfs_{name}_us")]
        if len(told) == 2 and min(told) > 0:
            bound = min(bound, math.ceil(told[0] / told[1]))
    return max(1, bound)


def free_memory(root: Path = Path("/")) -> int:
    """Return the memory that nobody uses (bytes): what the kernel can hand out, within the container's limits."""
    known = dict(line.split(":") for line in _lines(root / "proc/meminfo") if ":" in line)
    free = int(known.get("MemAvailable", known.get("MemFree", "0")).split()[0]) * 1024
    if not free:  # no Linux
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for group in _groups(root, "memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        if limit is None or limit >= _NO_LIMIT:
            continue
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes") or 0
        # what of it are files that are only kept is given back when it is asked for
        kept = next((int(n) for key, n in _stat(group) if key in ("inactive_file", "total_inactive_file")), 0)
        free = min(free, max(0, limit - used + kept))
    return free


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups, its own and those around it, of either version."""
    mount = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, names, way = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        base = mount / names if names else mount
        if not base.is_dir():
            base = mount / controller
        own = base / way.strip("/")
        # a container sees its own group as the root, but is told its way from outside
        yield from (path for path in (own, *own.parents) if path.is_relative_to(base))


def _stat(group: Path) -> Iterator[list[str]]:
    return (line.split() for line in _lines(group / "memory.stat") if len(line.split()) == 2)


def _numbers(path: Path) -> list[int]:
    return [int(word) for line in _lines(path)[:1] for word in line.split() if word.lstrip("-").isdigit()]


def _read(path: Path) -> int | None:
    return next(iter(_numbers(path)), None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
