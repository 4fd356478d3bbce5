"""Batch x accumulation: the founding table, the 80 % rule, and what smaller GPUs get."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coref_k8s.errors import ModelError, SizingError
from coref_k8s.sizing.batch import plan_batch
from coref_k8s.sizing.resources import parse_quantity, size_pod
from coref_k8s.sizing.table import MEMORY_TABLE, compute_optimal_batch_config
from coref_k8s.study.reading import build_spec
from coref_k8s.study.spec import SEQ_LENGTHS

FOUNDING = {512: (32, 1), 1024: (16, 2), 1536: (8, 4), 2048: (4, 8)}


def test_the_table_has_every_length_at_effective_batch_32() -> None:
    assert tuple(MEMORY_TABLE) == SEQ_LENGTHS
    for length, row in MEMORY_TABLE.items():
        assert row.batch * row.accumulation == 32, length


@pytest.mark.parametrize("seq_len", FOUNDING)
def test_forty_gigabytes_get_the_founding_batches(seq_len: int) -> None:
    config = compute_optimal_batch_config(seq_len, "kakaobank/kf-deberta-base", available_memory_gb=40)
    assert (config["batch_size"], config["accumulation"]) == FOUNDING[seq_len]
    assert config["effective_batch_size"] == 32


@given(seq_len=st.sampled_from(SEQ_LENGTHS), memory=st.floats(8, 96))
def test_any_gpu_keeps_the_effective_batch_and_the_80_percent(seq_len: int, memory: float) -> None:
    plan = plan_batch(build_spec(seq_lengths=[seq_len], gpu_memory_gb=memory), seq_len)
    assert plan.effective_batch == 32
    assert plan.predicted_bytes <= plan.budget_bytes <= 0.8 * memory * 2**30


def test_a_smaller_gpu_moves_batch_into_accumulation() -> None:
    spec = build_spec(seq_lengths=[1024], gpu_memory_gb=8)
    plan = plan_batch(spec, 1024)
    assert plan.batch_size < 16
    assert plan.effective_batch == 32


def test_a_gpu_too_small_for_one_sequence_is_refused_by_name() -> None:
    with pytest.raises(
        SizingError, match=r"GPU of 2 GB .* one sequence of 2048 tokens .*needs about [\d.]+ GB"
    ):
        plan_batch(build_spec(seq_lengths=[2048], gpu_memory_gb=2), 2048)


def test_after_running_out_of_memory_a_trial_starts_at_batch_1_with_checkpointing() -> None:
    plan = plan_batch(build_spec(), 2048, tier=1)
    assert (plan.batch_size, plan.checkpointing, plan.effective_batch) == (1, True, 32)


def test_a_folder_is_sized_by_its_own_config(tmp_path: Path) -> None:
    small = {
        "num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2,
        "intermediate_size": 512, "vocab_size": 8000,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(small))
    plan = plan_batch(build_spec(seq_lengths=[512], model=str(tmp_path)), 512)
    base = plan_batch(build_spec(seq_lengths=[512]), 512)
    assert plan.predicted_bytes < base.predicted_bytes / 4
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="not a transformer encoder's config"):
        plan_batch(build_spec(seq_lengths=[512], model=str(tmp_path)), 512)


def test_pods_ask_for_more_after_out_of_memory() -> None:
    spec = build_spec()
    first, second, third = (size_pod(spec, 2048, tier=tier) for tier in range(3))
    assert second.memory_bytes == int(first.memory_bytes * 1.5)
    assert second.gpu_memory_mb == first.gpu_memory_mb < third.gpu_memory_mb
    assert size_pod(spec, None).gpus == 0


@pytest.mark.parametrize(("text", "number"), [("500m", 0.5), ("24Gi", 24 * 2**30), ("4", 4), ("1.5G", 1.5e9)])
def test_quantities(text: str, number: float) -> None:
    assert parse_quantity(text) == number
