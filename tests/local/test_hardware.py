"""What is seen of a machine: cards as nvidia-smi names them, memory and cores as the kernel and a container allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coref_k8s.local.hardware import cpu_cores, free_memory, gpus, visible_gpus

GIB = 2**30


@pytest.fixture
def driver(tmp_path):
    """Put an nvidia-smi on a PATH of its own that answers with these lines; return the environment."""

    def install(*lines: str, known: bool = True, **env: str) -> dict[str, str]:
        program = tmp_path / "nvidia-smi"
        refuse = "" if known else 'case "$1" in *uuid*) exit 2;; esac\n'
        told = "\n".join(f"echo '{line}'" for line in lines)
        program.write_text(f"#!/bin/sh\n{refuse}{told}\n")
        program.chmod(0o755)
        return {"PATH": f"{tmp_path}:{os.environ['PATH']}", **env}

    return install


TWO = (
    "0, NVIDIA A100-SXM4-40GB, 40536, 8.0, GPU-aaaa-1111",
    "1, Tesla V100-SXM2-16GB, 16384, 7.0, GPU-bbbb-2222",
)


def test_cards_have_memory_and_say_whether_they_compute_in_bf16(driver):
    first, second = gpus(driver(*TWO))
    assert (first.name, first.model, first.memory, first.bf16) == (
        "0",
        "NVIDIA A100-SXM4-40GB",
        40536 * 2**20,
        True,
    )
    assert (second.name, second.bf16) == ("1", False)


@pytest.mark.parametrize(
    ("narrowed", "names", "models"),
    [
        ("1", ["1"], ["Tesla V100-SXM2-16GB"]),
        ("GPU-bbbb", ["GPU-bbbb"], ["Tesla V100-SXM2-16GB"]),
        ("1, 0", ["1", "0"], ["Tesla V100-SXM2-16GB", "NVIDIA A100-SXM4-40GB"]),
        ("", [], []),
        ("-1", [], []),
    ],
)
def test_what_is_visible_is_narrowed_by_the_environment(driver, narrowed, names, models):
    found = gpus(driver(*TWO, CUDA_VISIBLE_DEVICES=narrowed))
    assert [gpu.name for gpu in found] == names
    assert [gpu.model for gpu in found] == models


def test_a_card_that_tells_no_memory_and_a_driver_that_knows_no_capability(driver):
    (shared,) = gpus(driver("0, NVIDIA A100 MIG, [N/A], 8.0, GPU-c"))
    assert shared.memory is None
    old = driver("0", "1", known=False)
    assert visible_gpus(old) == ("0", "1")
    assert all(gpu.capability is None for gpu in gpus(old))


def test_without_a_driver_there_is_no_gpu(tmp_path):
    assert gpus({"PATH": str(tmp_path)}) == ()


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


FREE = "MemTotal: 67108864 kB\nMemFree: 1048576 kB\nMemAvailable: 33554432 kB\n"  # 64, 1 and 32 GiB


def test_memory_is_what_the_kernel_can_hand_out(tmp_path):
    assert free_memory(machine(tmp_path, {"proc/meminfo": FREE, "proc/self/cgroup": "0::/\n"})) == 32 * GIB


@pytest.mark.parametrize("way", ["/", "/pod/container", "/seen/from/outside"])
def test_memory_and_cores_are_those_of_the_container(tmp_path, way):
    group = f"sys/fs/cgroup{'/pod/container' if way == '/pod/container' else ''}"
    root = machine(tmp_path, {
        "proc/meminfo": FREE, "proc/self/cgroup": f"0::{way}\n",
        f"{group}/memory.max": f"{4 * GIB}\n", f"{group}/memory.current": f"{3 * GIB}\n",
        f"{group}/memory.stat": f"anon {GIB}\ninactive_file {GIB}\n", f"{group}/cpu.max": "100000 100000\n",
    })  # fmt: skip
    assert free_memory(root) == 2 * GIB  # a third of what is used are files that are only kept
    assert cpu_cores(root) == 1


def test_a_limit_of_a_group_above_counts_too(tmp_path):
    root = machine(tmp_path, {
        "proc/meminfo": FREE, "proc/self/cgroup": "0::/pod/container\n",
        "sys/fs/cgroup/pod/container/memory.max": "max\n", "sys/fs/cgroup/pod/container/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pod/memory.max": f"{2 * GIB}\n", "sys/fs/cgroup/pod/memory.current": "0\n",
    })  # fmt: skip
    assert free_memory(root) == 2 * GIB
    assert cpu_cores(root) == len(os.sched_getaffinity(0))


def test_limits_of_version_1_of_cgroups(tmp_path):
    root = machine(tmp_path, {
        "proc/meminfo": FREE, "proc/self/cgroup": "4:memory:/job\n2:cpu,cpuacct:/job\n1:name=systemd:/\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{8 * GIB}\n",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    assert free_memory(root) == 7 * GIB
    assert cpu_cores(root) == 1
