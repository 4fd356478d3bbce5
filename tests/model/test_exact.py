"""The lean model computes Hugging Face's numbers: loss, logits, every gradient."""

import copy
import itertools
import logging
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import TOLERANCE, assert_equal_step, assert_same_gradients, make_batch, make_pair, relative

from coref_k8s.model import compiled_tiles, layout, tiles
from coref_k8s.model.convert import convert
from coref_k8s.model.load import enable_checkpointing
from coref_k8s.model.loss import masked_lm_loss, masked_logits

TYPES = [list(types) for count in range(3) for types in itertools.combinations(["c2p", "p2c"], count)]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles of a few rows, so that short sequences already have many, the last one ragged."""
    monkeypatch.setattr(tiles, "TILE_ELEMENTS_CPU", 1 << 11)


@pytest.mark.parametrize("types", TYPES, ids="-".join)
@pytest.mark.parametrize("share", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("buckets", [(32, -1), (16, 200), (-1, 40)], ids=str)
def test_every_kind_of_attention(types, share, buckets):
    theirs, ours = make_pair(
        pos_att_type=types,
        share_att_key=share,
        position_buckets=buckets[0],
        max_relative_positions=buckets[1],
        num_attention_heads=2,
    )
    assert_equal_step(theirs, ours, make_batch([130, 57]))


@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 160), min_size=1, max_size=2),
    padding=st.integers(0, 40),
    buckets=st.sampled_from([(32, -1), (8, 300), (-1, 16), (-1, 300)]),
    seed=st.integers(0, 1000),
)
def test_any_shape(lengths, padding, buckets, seed):
    theirs, ours = make_pair(
        num_hidden_layers=1, position_buckets=buckets[0], max_relative_positions=buckets[1], seed=seed
    )
    assert_equal_step(theirs, ours, make_batch(lengths, max(lengths) + padding, seed=seed))


def test_a_mask_with_holes():
    theirs, ours = make_pair()
    batch = make_batch([90, 120])
    batch["attention_mask"][:, 10:20] = 0
    batch["labels"][:, 10:20] = -100
    assert_equal_step(theirs, ours, batch)


@pytest.mark.parametrize(
    "overrides",
    [
        {"legacy": False},
        {"position_biased_input": True, "max_position_embeddings": 256, "type_vocab_size": 2},
        {"conv_kernel_size": 3, "conv_act": "gelu"},
        {"relative_attention": False},
        {"norm_rel_ebd": "none"},
    ],
    ids=str,
)
def test_other_switches_of_deberta(overrides):
    theirs, ours = make_pair(**overrides)
    assert_equal_step(theirs, ours, make_batch([130, 80]))


@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(2, 90), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_packed_documents_do_not_see_each_other(lengths, seed):
    theirs, ours = make_pair(seed=seed)
    alone = make_batch(lengths, seed=seed)
    reference = theirs(**alone)
    reference.loss.backward()
    packed = {
        name: torch.cat([rows[row, :length] for row, length in enumerate(lengths)] + [torch.zeros(7).long()])[
            None
        ]
        for name, rows in alone.items()
    }
    packed["labels"][:, -7:] = -100
    documents = torch.tensor([row + 1 for row, length in enumerate(lengths) for _ in range(length)] + [0] * 7)
    batch = {"input_ids": packed["input_ids"], "labels": packed["labels"], "segment_ids": documents[None]}
    loss = masked_lm_loss(ours, batch)
    loss.backward()
    assert relative(loss.detach(), reference.loss.detach()) <= TOLERANCE
    assert_same_gradients(ours, theirs)


def test_packed_documents_with_absolute_positions_count_from_their_own_start():
    theirs, ours = make_pair(position_biased_input=True, max_position_embeddings=256)
    alone = make_batch([60, 70])
    expected = theirs(**alone).loss
    ids, labels = (torch.cat([alone[name][0, :60], alone[name][1]])[None] for name in ("input_ids", "labels"))
    documents = torch.tensor([1] * 60 + [2] * 70)[None]
    found = masked_lm_loss(ours, {"input_ids": ids, "labels": labels, "segment_ids": documents})
    assert relative(found.detach(), expected.detach()) <= TOLERANCE


def test_the_masked_path_of_a_gpu_gives_the_same(monkeypatch):
    """Whole rows with a mask, several heads a tile: what a GPU runs, on the CPU."""
    theirs, ours = make_pair()
    batch = make_batch([100, 60, 1])

    def whole_rows(segments, rows, length):
        spans = tuple(layout.Span(row, 0, length) for row in range(rows))
        return layout.Layout(spans, segments=segments)

    monkeypatch.setattr("coref_k8s.model.convert.layout_of", whole_rows)
    assert_equal_step(theirs, ours, batch)


def test_without_numba_the_numbers_are_the_same_and_one_line_says_so(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "coref_k8s.model.kernels", None)  # as if its import failed
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    compiled_tiles._kernels.cache_clear()
    theirs, ours = make_pair()
    assert_equal_step(theirs, ours, make_batch([130, 80]))
    compiled_tiles._kernels.cache_clear()
    assert [record.message for record in caplog.records if "pip install numba" in record.message] != []
    assert len(caplog.records) == 1


def test_loops_on_several_threads_give_the_same(monkeypatch):
    monkeypatch.setattr(compiled_tiles, "PART", 1 << 5)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        theirs, ours = make_pair()
        assert_equal_step(theirs, ours, make_batch([300, 80]))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("lines", [1, 2, 7, 300])
@pytest.mark.parametrize("step", [1, 128])
def test_parts_are_done_at_once_and_once_each(monkeypatch, lines, step):
    monkeypatch.setattr(compiled_tiles, "PART", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    size = -(-lines // (min(3, lines) * step)) * step
    together = threading.Barrier(-(-lines // size), timeout=60)
    done = []

    def work(part):
        together.wait()  # nobody goes on before all have begun
        done.extend(range(part.start, part.stop))
        assert part.start % step == 0

    compiled_tiles.in_parts(work, lines, 1, step=step)
    assert sorted(done) == list(range(lines))


def test_masked_logits_are_the_full_logits_at_the_positions():
    theirs, ours = make_pair()
    batch = make_batch([50, 70])
    positions = torch.tensor([[0, 3], [1, 69], [1, 0]])
    found = masked_logits(ours.eval(), batch["input_ids"], batch["attention_mask"], positions)
    full = theirs.eval()(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert relative(found.detach(), full[positions[:, 0], positions[:, 1]].detach()) <= TOLERANCE


def test_chunks_of_the_head_add_up(monkeypatch):
    monkeypatch.setattr("coref_k8s.model.head.CHUNK_BYTES", 5 * 4 * 300)
    theirs, ours = make_pair()
    assert_equal_step(theirs, ours, make_batch([64, 64], rate=0.5))


def test_a_batch_without_labels_costs_nothing_and_gives_zero():
    _, ours = make_pair()
    batch = make_batch([20])
    batch["labels"].fill_(-100)
    loss = masked_lm_loss(ours, batch)
    loss.backward()
    assert loss.item() == 0.0
    assert all(not p.grad.any() for p in ours.parameters() if p.grad is not None)


def test_checkpointing_changes_no_number():
    theirs, ours = make_pair()
    enable_checkpointing(ours)
    assert_equal_step(theirs, ours, make_batch([100, 40]))


def test_checkpointing_draws_the_same_dropout():
    _, plain = make_pair(dropout=0.2)
    checkpointed = copy.deepcopy(plain)
    enable_checkpointing(checkpointed)
    batch = make_batch([100, 40])
    for model in (plain, checkpointed):
        torch.manual_seed(3)
        masked_lm_loss(model, batch).backward()
    assert_same_gradients(checkpointed, plain, 1e-6)


def test_converting_twice_is_converting_once():
    theirs, ours = make_pair()
    convert(ours)
    assert_equal_step(theirs, ours, make_batch([40]))
