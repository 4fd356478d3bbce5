"""A made-up language for tests: small enough to train on in milliseconds, long enough to have mentions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import DebertaV2Config, DebertaV2ForMaskedLM

from coref_k8s.trial.batches import MaskedSource, StepPlan
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.masking import Masker, TokenSequence, Vocabulary

PAD, UNK, CLS, SEP, MASK = range(5)
VOCABULARY = Vocabulary(size=64, mask=MASK, pad=PAD, special=(PAD, UNK, CLS, SEP, MASK))
SEQ_LEN = 64


def sequence(
    rng: np.random.Generator,
    tokens: int = SEQ_LEN,
    *,
    name_tokens: int = 2,
    every: int = 12,
    packed: bool = False,
) -> TokenSequence:
    """Words of one or two tokens, with a name every `every` tokens; CLS and SEP at the ends."""
    ids = rng.integers(5, VOCABULARY.size, tokens)
    ids[0], ids[-1] = CLS, SEP
    segments = np.zeros(tokens, dtype=np.int64)
    starts = rng.random(tokens) < 0.6
    starts[[0, -1]] = False
    if packed:
        half = tokens // 2
        ids[half - 1], ids[half] = SEP, CLS
        starts[[half - 1, half]] = False
        segments[half:] = 1
    name = rng.integers(5, VOCABULARY.size, name_tokens)
    begins = [
        at for at in range(2, tokens - name_tokens - 1, every) if not packed or at + name_tokens < tokens // 2
    ]
    for at in begins:
        ids[at : at + name_tokens] = name
        starts[at] = True
        starts[at + 1 : at + name_tokens] = False
        starts[at + name_tokens] = True
    start = np.asarray(begins, dtype=np.int64)
    distance = np.concatenate(([-1], start[1:] - start[:-1] - name_tokens)) if len(start) else start
    return TokenSequence(
        input_ids=ids.astype(np.int64),
        segments=segments,
        word_starts=starts,
        mention_start=start,
        mention_end=start + name_tokens,
        mention_entity=np.zeros(len(start), dtype=np.int64),
        mention_distance=distance.astype(np.int64),
    )


def source(
    hyper: Hyperparameters, *, rows: int = 40, effective_batch: int = 4, seed: int = 0
) -> tuple[MaskedSource, StepPlan]:
    rng = np.random.default_rng(99)
    sequences = [
        sequence(rng, int(rng.integers(24, SEQ_LEN + 1)), packed=bool(i % 3 == 0)) for i in range(rows)
    ]
    lengths = np.asarray([len(one.input_ids) for one in sequences])
    plan = StepPlan(lengths, effective_batch, seed)
    return MaskedSource(sequences, plan, Masker(VOCABULARY, hyper, SEQ_LEN), seed), plan


def config(*, dropout: float = 0.1) -> DebertaV2Config:
    return DebertaV2Config(
        vocab_size=VOCABULARY.size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
        position_buckets=16,
        pad_token_id=PAD,
        type_vocab_size=0,
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["c2p", "p2c"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )


def model(folder: Path, *, dropout: float = 0.1) -> torch.nn.Module:
    """A tiny lean model, the same at every call."""
    from coref_k8s.model.load import load_masked_lm

    path = folder / f"tiny-{dropout}"
    if not path.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            DebertaV2ForMaskedLM(config(dropout=dropout)).save_pretrained(path)
    return load_masked_lm(str(path), seq_len=SEQ_LEN)
