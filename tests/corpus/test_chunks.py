"""Cutting and packing: nothing lost, sentences whole, chains together, little padding."""

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coref_k8s.corpus.chunking import chunk, links_across
from coref_k8s.corpus.encoding import Encoded, encode
from coref_k8s.corpus.packing import Packer, Piece
from coref_k8s.corpus.rows import make_row
from coref_k8s.errors import ModelError
from coref_k8s.text.document import Document


def made(tokens, sentences=(0,), mentions=(), words=None):
    starts = np.ones(tokens, bool) if words is None else np.isin(np.arange(tokens), words)
    return Encoded(
        np.arange(tokens, dtype=np.int32),
        starts,
        np.asarray(sorted(sentences), np.int32),
        np.asarray(mentions, np.int32).reshape(-1, 3),
        len(mentions),
    )


def test_a_short_document_is_one_chunk_and_an_empty_one_none():
    assert chunk(made(10), 10) == [(0, 10)]
    assert chunk(made(0), 10) == []


def test_cuts_are_at_sentence_starts():
    encoded = made(100, range(0, 100, 7))
    chunks = chunk(encoded, 30)
    assert chunks[0][0] == 0
    assert chunks[-1][1] == 100
    assert all(before[1] == after[0] for before, after in itertools.pairwise(chunks))
    assert all(start % 7 == 0 and end - start <= 30 for start, end in chunks)


def test_the_cut_avoids_chains():
    # sentence starts at 24, 27 and 30 are in reach; a link spans 29..40, another 25..28
    encoded = made(60, [0, 24, 27, 30], [(25, 26, 0), (28, 29, 0), (29, 30, 1), (40, 41, 1)])
    assert links_across(encoded)[[24, 27, 30]].tolist() == [0, 1, 1]
    assert chunk(encoded, 30)[0] == (0, 24)


def test_a_long_sentence_is_cut_at_a_word_and_a_long_word_anywhere():
    assert chunk(made(50, words=[0, 10, 18, 33]), 20) == [(0, 18), (18, 33), (33, 50)]
    assert chunk(made(50, words=[0]), 20) == [(0, 20), (20, 40), (40, 50)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 300))
def test_packing_keeps_every_token_once(seed, seq_len):
    rng = Random(seed)
    documents = [
        made(n := rng.randint(1, 900), [0, *rng.sample(range(n), n // 12)]) for _ in range(rng.randint(1, 40))
    ]
    packer = Packer(seq_len, seed)
    sequences = []
    for encoded in documents:
        for start, end in chunk(encoded, seq_len - 2):
            sequences += packer.add(Piece(encoded, start, end))
    sequences += packer.finish()
    assert all(sum(piece.size for piece in sequence) <= seq_len for sequence in sequences)
    assert all(sequences)
    for encoded in documents:
        spans = sorted((p.start, p.end) for sequence in sequences for p in sequence if p.encoded is encoded)
        assert spans[0][0] == 0
        assert spans[-1][1] == len(encoded.ids)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize("size", [130, 300, 600, 700, 1500])
def test_packing_fills_sequences_even_when_no_two_documents_fit(size):
    packer = Packer(1024, 0)
    encoded = [made(size, range(0, size, 15)) for _ in range(200)]
    pieces = [Piece(e, start, end) for e in encoded for start, end in chunk(e, 1022)]
    sequences = [sequence for piece in pieces for sequence in packer.add(piece)] + packer.finish()
    filled = sum(piece.size for sequence in sequences for piece in sequence)
    assert filled / (1024 * len(sequences)) > 0.95


def test_a_row_tells_documents_and_entities_apart():
    first = made(10, mentions=[(1, 3, 7), (5, 6, 7), (8, 9, 2)])
    second = made(8, mentions=[(0, 1, 7), (2, 3, 7), (6, 8, 7)])
    row = make_row([Piece(first, 0, 10), Piece(second, 0, 8)], 101, 102)
    assert row["input_ids"].tolist() == [101, *range(10), 102, 101, *range(8), 102]
    assert row["segments"].tolist() == [0] * 12 + [1] * 10
    assert row["word_starts"].tolist() == [False, *[True] * 10, False, False, *[True] * 8, False]
    # the entity with one mention is no chain
    assert row["mention_start"].tolist() == [2, 6, 13, 15, 19]
    assert row["mention_end"].tolist() == [4, 7, 14, 16, 21]
    assert row["mention_entity"].tolist() == [0, 0, 1, 1, 1]
    assert row["mention_distance"].tolist() == [-1, 2, -1, 1, 3]


def test_mentions_outside_a_piece_or_across_its_edge_are_left_out():
    encoded = made(30, mentions=[(1, 2, 0), (9, 12, 0), (14, 15, 0), (18, 19, 0)])
    row = make_row([Piece(encoded, 10, 20)], 101, 102)
    assert row["mention_start"].tolist() == [5, 9]
    assert row["mention_distance"].tolist() == [-1, 3]


def test_encoding_keeps_what_matches_token_boundaries(tokenizer):
    text = "곽순돌은 나루터에서 나루터를 보았다. 그는 갔다."
    gold = Document("d", text, {"a": [(0, 3), (21, 22)], "b": [(6, 8), (11, 14)]})
    encoded = encode(gold, [], [0, 20, 21, 28], tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(encoded.ids.tolist())
    found = [("".join(tokens[s:e]).replace("##", ""), entity) for s, e, entity in encoded.mentions.tolist()]
    # 루터 begins within a piece
    assert found == [("곽순돌", 0), ("나루터", 1), ("그", 0)]
    assert encoded.candidates == 4
    assert [tokens[start] for start in encoded.sentences] == [tokens[0], "그"]
    plain = encode(Document("d", text), [0, 3, 5, 8, 11, 14], [0, 28], tokenizer)
    assert [entity for *_, entity in plain.mentions.tolist()] == [0, 1, 1]


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ModelError, match="gives no character offsets"):
        encode(Document("d", "가"), [], [], object())
