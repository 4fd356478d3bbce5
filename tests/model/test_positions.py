"""What distances beyond the pretrained range read, and that a saved model is plain Hugging Face."""

import pytest
import torch
from transformers import AutoModelForMaskedLM
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from coref_k8s.errors import ModelError
from coref_k8s.model.buckets import bucket_rows, bucket_table
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.positions import POSITION_RANGES, grown_buckets


@pytest.mark.parametrize("setting", [(256, 512), (32, 64), (32, 700), (-1, 40), (-1, 900)], ids=str)
def test_the_table_is_hugging_faces_matrix(setting):
    length = 600
    table = bucket_table(length, *setting, torch.device("cpu"))
    states = torch.zeros(1, length, 1)
    matrix = build_relative_position(states, states, *setting)[0]
    rows = (matrix + table.span).clamp(0, 2 * table.span - 1)
    index = length - 1 - (torch.arange(length)[:, None] - torch.arange(length))
    assert torch.equal(table.reversed_rows[index], rows)
    far = index.new_tensor(range(table.far, length))
    assert (bucket_rows(far, *setting) == table.far_row).all()
    assert (bucket_rows(-far, *setting) == table.near_row).all()


def test_kf_deberta_clamps_from_512():
    table = bucket_table(2048, 256, 512, torch.device("cpu"))
    # 511 already reads the last row; -511 the second, and from -512 on the first.
    assert table.far == 512
    assert (table.far_row, table.near_row) == (511, 0)


def test_rescale_tells_far_distances_apart():
    clamped = bucket_rows(torch.tensor([600, 1000, 2000]), 256, 512)
    rescaled = bucket_rows(torch.tensor([600, 1000, 2000]), 256, 2048)
    assert len(set(clamped.tolist())) == 1
    assert len(set(rescaled.tolist())) == 3
    near = torch.arange(-128, 129)
    assert torch.equal(bucket_rows(near, 256, 512), bucket_rows(near, 256, 2048))


@pytest.mark.parametrize("seq_len", [768, 1024, 2048])
def test_grow_is_no_coarser_than_before(seq_len):
    buckets = grown_buckets(256, 512, seq_len)
    distances = torch.arange(128, 511)

    def sharing(*setting):
        rows = bucket_rows(torch.arange(seq_len), *setting)
        widths = torch.bincount(rows - rows.min())
        return (widths[widths > 0][:-1].float() / torch.unique_consecutive(rows).numel()).max()

    assert buckets > 256
    assert (
        bucket_rows(distances, buckets, seq_len).unique().numel()
        >= bucket_rows(distances, 256, 512).unique().numel()
    )


@pytest.mark.parametrize("mode", POSITION_RANGES)
def test_a_saved_model_gives_the_same_logits_in_plain_hugging_face(small_folder, tmp_path, mode):
    seq_len = 200
    model = load_masked_lm(str(small_folder), seq_len=seq_len, position_range=mode)
    model.save_pretrained(tmp_path)
    plain = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    again = load_masked_lm(str(tmp_path), seq_len=seq_len, position_range=mode)
    ids = torch.randint(5, 300, (2, seq_len), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs, reopened = (m(ids).logits for m in (model, plain, again))
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-5)
    assert torch.equal(ours, reopened)


@pytest.mark.parametrize("mode", ["rescale", "grow"])
def test_short_sequences_are_hardly_touched(small_folder, mode):
    """Within the exact range (16 tokens here, 128 in kf-deberta) every choice is the shipped model."""
    ids = torch.randint(5, 300, (1, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shipped = load_masked_lm(str(small_folder), seq_len=200)(ids).logits
        changed = load_masked_lm(str(small_folder), seq_len=200, position_range=mode)(ids).logits
    assert torch.allclose(shipped, changed, rtol=0, atol=1e-6)


def test_grow_starts_from_the_clamped_model(small_folder):
    clamp = load_masked_lm(str(small_folder), seq_len=256)
    grow = load_masked_lm(str(small_folder), seq_len=256, position_range="grow")
    before, after = (m.deberta.encoder.rel_embeddings.weight for m in (clamp, grow))
    assert after.shape[0] > before.shape[0]
    assert after.requires_grad
    # Every distance from the old range on starts from the old last row.
    rows = bucket_rows(torch.arange(70, 256), grow.config.position_buckets, 256)
    assert torch.equal(after[rows], before[-1].expand(len(rows), -1))
    rows = bucket_rows(-torch.arange(70, 256), grow.config.position_buckets, 256)
    assert torch.equal(after[rows], before[0].expand(len(rows), -1))


def test_an_unknown_range_is_refused(small_folder):
    with pytest.raises(ModelError, match="clamp, rescale and grow"):
        load_masked_lm(str(small_folder), seq_len=100, position_range="stretch")
