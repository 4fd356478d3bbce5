"""What is masked: how much, which, and what must stay readable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.masking import IGNORED, Masker, TokenSequence
from tests.trial.synthetic import MASK, SEQ_LEN, VOCABULARY, sequence


def masker(**hyper: float) -> Masker:
    return Masker(VOCABULARY, Hyperparameters(**hyper), SEQ_LEN)


def many(one: TokenSequence, times: int, **hyper: float) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of many draws, (times, n) each."""
    drawer = masker(**hyper)
    rng = np.random.default_rng(1)
    drawn = [drawer.mask([one], rng)[0] for _ in range(times)]
    return np.stack([ids for ids, _ in drawn]), np.stack([labels for _, labels in drawn])


def in_mentions(one: TokenSequence) -> np.ndarray:
    inside = np.zeros(len(one.input_ids), dtype=bool)
    for start, end in zip(one.mention_start, one.mention_end, strict=True):
        inside[start:end] = True
    return inside


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.integers(12, SEQ_LEN),
    share=st.floats(0, 1),
    low=st.floats(0.02, 0.4),
    high=st.floats(0.02, 0.6),
    preference=st.floats(0, 3),
    packed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_what_always_holds(
    tokens: int, share: float, low: float, high: float, preference: float, packed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    one = sequence(rng, tokens, packed=packed)
    ids, labels = masker(
        mask_low=low, mask_high=high, mention_share=share, distance_preference=preference
    ).mask([one], rng)[0]
    predicted = labels != IGNORED
    special = np.isin(one.input_ids, VOCABULARY.special)
    assert not predicted[special].any()
    assert (labels[predicted] == one.input_ids[predicted]).all()
    assert (ids[~predicted] == one.input_ids[~predicted]).all(), "nothing changes where nothing is predicted"
    # whole words: between two word starts all tokens are predicted or none, outside mentions
    word = np.cumsum(one.word_starts | special)
    for number in np.unique(word[~special]):
        tokens_of = (word == number) & ~special & ~in_mentions(one)
        assert predicted[tokens_of].all() or not predicted[tokens_of].any()


@pytest.mark.parametrize("tokens", [20, 40, 64])
def test_the_share_of_masked_tokens_grows_with_the_length(tokens: int) -> None:
    one = sequence(np.random.default_rng(0), tokens, every=1000)
    low, high = 0.1, 0.4
    _, labels = many(one, 400, mask_low=low, mask_high=high, mention_share=0.0)
    expected = low + (high - low) * tokens / SEQ_LEN
    share = (labels != IGNORED).sum() / (400 * (tokens - 2))
    assert share == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("probability", [0.05, 0.4])  # mentions are plenty; mentions are too few
def test_mentions_get_their_share(share: float, probability: float) -> None:
    one = sequence(np.random.default_rng(0), 64, name_tokens=1, every=8)
    _, labels = many(one, 600, mask_low=probability, mask_high=probability, mention_share=share)
    predicted = labels != IGNORED
    drawn = predicted[:, one.mention_start].sum()
    assert drawn / predicted.sum() == pytest.approx(share, abs=0.07)


def test_without_mentions_words_get_their_own_share_only() -> None:
    one = sequence(np.random.default_rng(0), 64, every=1000)
    _, labels = many(one, 600, mask_low=0.2, mask_high=0.2, mention_share=0.75)
    assert (labels != IGNORED).sum() / (600 * 62) == pytest.approx(0.05, abs=0.01)


def test_a_masked_mention_is_masked_whole_and_the_first_one_stays() -> None:
    one = sequence(np.random.default_rng(3), 64, name_tokens=3, every=12)
    ids, labels = many(one, 300, mask_low=0.3, mask_high=0.3, mention_share=1.0)
    starts, ends = one.mention_start, one.mention_end
    drawn = 0
    for row in range(300):
        for m in range(len(starts)):
            span = slice(starts[m], ends[m])
            predicted = labels[row, span] != IGNORED
            if not predicted.any():
                continue
            drawn += 1
            assert m > 0, "the first mention has nothing before it to copy from"
            assert predicted.all()
            assert (ids[row, span] == MASK).all(), "mentions are never half replaced"
        names = [ids[row, s:e] for s, e in zip(starts, ends, strict=True)]
        if any((name == MASK).all() for name in names):
            assert (names[0] == one.input_ids[starts[0] : ends[0]]).all()
    assert drawn > 100


def test_the_particle_of_a_masked_mention_stays_readable() -> None:
    one = sequence(np.random.default_rng(3), 64, name_tokens=2, every=12)
    starts = one.word_starts.copy()
    starts[one.mention_end] = False  # the token after each name belongs to its word
    one = replace(one, word_starts=starts)
    ids, labels = many(one, 300, mask_low=0.4, mask_high=0.4, mention_share=0.5)
    masked = labels[:, one.mention_start[2]] != IGNORED
    as_mention = masked & (ids[:, one.mention_start[2]] == MASK) & (labels[:, one.mention_end[2]] == IGNORED)
    assert as_mention.sum() > 20
    assert (ids[as_mention, one.mention_end[2]] == one.input_ids[one.mention_end[2]]).all()


def test_preference_draws_distant_mentions_more_often() -> None:
    one = sequence(np.random.default_rng(0), 64, name_tokens=1, every=5)
    distance = one.mention_distance.copy()
    distance[-1] = 400  # one mention is far from the one before it
    one = replace(one, mention_distance=distance)
    far = {}
    for preference in (0.0, 1.5):
        _, labels = many(
            one, 400, mask_low=0.05, mask_high=0.05, mention_share=1.0, distance_preference=preference
        )
        far[preference] = (labels[:, one.mention_start[-1]] != IGNORED).mean()
    assert far[1.5] > 0.9 > 0.6 > far[0.0]


def test_eighty_ten_ten() -> None:
    one = sequence(np.random.default_rng(0), 64, every=1000)
    ids, labels = many(one, 1500, mask_low=0.3, mask_high=0.3, mention_share=0.0)
    predicted = labels != IGNORED
    masked = (ids[predicted] == MASK).mean()
    kept = (ids[predicted] == labels[predicted]).mean()
    assert masked == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1 + 0.1 / 59, abs=0.02)
    replaced = ids[predicted & (ids != labels) & (ids != MASK)]
    assert not np.isin(replaced, VOCABULARY.special).any()


def test_the_same_generator_draws_the_same_masks() -> None:
    one = sequence(np.random.default_rng(0), 64)
    first, second = (masker().mask([one], np.random.default_rng(5))[0] for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
