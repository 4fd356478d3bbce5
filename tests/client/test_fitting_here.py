"""A request as a machine can run it: without a GPU, with small and large ones, with little memory."""

from __future__ import annotations

import json
import re

import pytest

from coref_k8s.client.fitting import fitted
from coref_k8s.client.planning import plan_study
from coref_k8s.errors import RequestError, SizingError
from coref_k8s.local.hardware import Gpu, Machine
from coref_k8s.settings import Settings
from coref_k8s.store import Phase, Store
from coref_k8s.study.reading import build_spec

GIB = 2**30
A100 = Gpu("0", "NVIDIA A100", 40 * GIB, 8.0)
T4 = Gpu("1", "Tesla T4", 15 * GIB, 7.5)


def machine(*gpus: Gpu, cores: int = 8, memory: float = 32, torch: str = "2.9.0+cu128") -> Machine:
    return Machine(gpus, cores, int(memory * GIB), torch)


def test_without_a_gpu_trials_run_on_the_cpu_in_the_memory_that_there_is():
    spec, found = fitted(build_spec(seq_lengths=[512], parallelism=4), machine())
    assert (spec.pod.gpus, spec.pod.memory, spec.parallelism) == (0, "8192Mi", 4)
    plan = plan_study(spec)[512].batch
    assert plan.budget_bytes == int(0.8 * 8 * GIB)
    assert plan.predicted_bytes <= plan.budget_bytes
    assert plan.effective_batch == 32
    assert str(found) == (
        "This machine: no GPU, 8 cores, 32.0 GB of memory free. Trials run on the CPU in float32, 4 at once, in at most 8.0 GB each."
    )


def test_where_memory_is_scarce_fewer_trials_run_at_once():
    spec, found = fitted(build_spec(seq_lengths=[512], parallelism=4), machine(memory=9))
    assert 1 <= spec.parallelism < 4
    assert found.values["n"] == spec.parallelism
    assert plan_study(spec)[512].batch.predicted_bytes <= 0.8 * 9 * GIB / spec.parallelism


def test_memory_that_holds_no_trial_is_refused_with_what_it_takes():
    with pytest.raises(
        SizingError, match=r"3\.0 GB of memory do not hold one sequence of 2048 .* needs about [\d.]+ GB"
    ):
        fitted(build_spec(seq_lengths=[2048]), machine(memory=3))


def test_gpus_that_are_asked_for_and_not_there_are_refused():
    with pytest.raises(RequestError, match=r"asks for 1 GPU, and this machine has no GPU; give --gpus 0"):
        fitted(build_spec(pod={"gpus": 1}), machine())
    with pytest.raises(RequestError, match=r"asks for 2 GPUs.* 1 GPU \(NVIDIA A100\); give --gpus 1"):
        fitted(build_spec(pod={"gpus": 2}), machine(A100))


def test_a_gpu_that_torch_cannot_use_is_named_and_not_used():
    spec, found = fitted(build_spec(), machine(A100, torch="2.9.0+cpu"))
    assert spec.pod.gpus == 0
    assert "1 GPU that the installed torch 2.9.0+cpu cannot use" in str(found)


def test_batches_are_sized_for_the_smallest_card():
    spec, found = fitted(build_spec(seq_lengths=[512]), machine(A100, T4))
    assert (spec.pod.gpus, spec.gpu_memory_gb, spec.training.precision) == (1, 15, "fp32")  # a T4 has no bf16
    assert "2 GPUs (NVIDIA A100 and Tesla T4)" in str(found)
    assert "2 at once, in float32, with batches for 15 GB" in str(found)
    large, _ = fitted(build_spec(seq_lengths=[512]), machine(A100))
    assert (large.gpu_memory_gb, large.training.precision) == (40, "auto")


@pytest.mark.parametrize(("asked", "chosen"), [(8, 8), (80, 40)])
def test_memory_that_is_asked_for_is_taken_as_far_as_it_is_there(asked, chosen):
    spec, _ = fitted(build_spec(gpu_memory_gb=asked), machine(A100))
    assert spec.gpu_memory_gb == chosen
    host, _ = fitted(
        build_spec(seq_lengths=[512], pod={"memory": f"{asked}Gi"}, parallelism=1), machine(memory=40)
    )
    assert host.pod.memory == f"{chosen * 1024}Mi"


@pytest.mark.parametrize(
    ("precision", "where"),
    [("fp16", machine(Gpu("0", "Tesla P100", 16 * GIB, 6.0))), ("tf32", machine(T4)), ("tf32", machine())],
)
def test_a_precision_that_the_device_lacks_is_refused(precision, where):
    with pytest.raises(
        RequestError, match=rf"{precision} is asked for, and .* does not compute in it; leave out"
    ):
        fitted(build_spec(training={"precision": precision}), where)


def test_fp16_is_for_cards_without_bf16():
    spec, found = fitted(build_spec(training={"precision": "fp16"}), machine(T4))
    assert spec.training.precision == "fp16"
    assert "in float16" in str(found)
    wide, _ = fitted(build_spec(seq_lengths=[512]), machine(T4))
    narrow, _ = fitted(build_spec(seq_lengths=[512], training={"precision": "fp16"}), machine(T4))
    assert plan_study(narrow)[512].batch.predicted_bytes / plan_study(narrow)[512].batch.batch_size < (
        plan_study(wide)[512].batch.predicted_bytes / plan_study(wide)[512].batch.batch_size
    )


def test_bf16_on_a_card_without_it_is_refused():
    with pytest.raises(RequestError, match=r"Tesla T4 does not compute in it"):
        fitted(build_spec(training={"precision": "bf16"}), machine(T4))


def test_a_study_that_was_begun_on_gpus_says_at_once_how_to_go_on(coref_here):
    store = Store(Settings.from_env().storage_url)
    store.create_study("", "old", build_spec(seq_lengths=[512], data={"sources": [{"source": "text.txt"}]}))
    store.set_phase("", "old", Phase.FAILED)
    said = coref_here("resume", "old")
    assert said.code == 2
    assert "this machine has no GPU" in said.err
    assert "coref-k8s submit --local --gpus 0 --warm-start-from old" in said.err
    assert store.get_study("", "old").phase is Phase.FAILED
    store.close()


def test_what_is_fitted_stays_so():
    """A study is fitted once; another machine's GPUs are not forgotten when it is sent there."""
    once, _ = fitted(build_spec(seq_lengths=[512], parallelism=2), machine(memory=20))
    again, _ = fitted(once, machine(memory=20))
    assert again == once


def test_plan_shows_sizes_and_times_for_this_machine(coref_here, tmp_path):
    asked = ("--seq-lengths", "512", "1024", "--max-steps", "10", "--data", "text.txt")
    said = coref_here("plan", "--local", *asked)
    assert said.code == 0, said.err
    for words in (
        "This machine: no GPU",
        "on CPUs",
        "all trials",
        "Estimated, within a factor of two or three",
        "10 steps that are asked for",
    ):
        assert words in " ".join(said.out.split())
    # one number of trials at once, that of the machine
    assert len(set(re.findall(r"(\d+) at once", said.out))) == 1
    data = json.loads(coref_here("plan", "--local", *asked, "-o", "json").out)
    times = data["here"]["expected"]
    assert times["512"]["steps"] == 10
    assert 0 < times["512"]["stepSeconds"] < times["1024"]["stepSeconds"]
    assert all(one["pod"]["gpus"] == 0 for one in data["lengths"])
    assert "no-such" not in str(list(tmp_path.iterdir()))  # nothing is created
    assert not (tmp_path / "data").exists()


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_made(coref_here, tmp_path):
    for verb in ("plan", "submit"):
        said = coref_here(verb, "--local", "--seq-lengths", "512", "--gpus", "1")
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "this machine has no GPU; give --gpus 0" in said.err
    assert not (tmp_path / "data").exists()


def test_own_files_say_how_many_steps_a_trial_has_at_most(coref_here, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/one.txt").write_text("가" * 100_000, encoding="utf-8")
    said = json.loads(
        coref_here("plan", "--local", "--seq-lengths", "512", "--data", "texts", "-o", "json").out
    )
    assert said["here"]["expected"]["512"]["steps"] < 50  # 300 kB are at most 147 chunks, three times
    assert "0.3 MB of text" in " ".join(said["here"]["restsOn"])


@pytest.fixture
def coref_here(coref, tmp_path, monkeypatch):
    """The command line in an empty folder of a machine without GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return coref
