"""Hugging Face's model beside ours: the same weights, the same batch, every number compared."""

import copy

import torch
from transformers import DebertaV2Config, DebertaV2ForMaskedLM

from coref_k8s.model.convert import convert
from coref_k8s.model.loss import masked_lm_loss

VOCABULARY = 300
TOLERANCE = 1e-5


def make_pair(*, dropout=0.0, seed=0, **overrides):
    """(Hugging Face's model, ours) in training mode, with weights large enough for uneven attention."""
    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "max_position_embeddings": 64,
        "position_buckets": 32,
        "max_relative_positions": -1,
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["c2p", "p2c"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": 0.2,
    }
    torch.manual_seed(seed)
    theirs = DebertaV2ForMaskedLM(DebertaV2Config(**(settings | overrides))).train()
    ours = copy.deepcopy(theirs)
    convert(ours)
    return theirs, ours


def make_batch(lengths, width=None, *, seed=0, rate=0.2):
    """Padded rows of the given lengths, with a label on about `rate` of the real tokens, at least one."""
    generator = torch.Generator().manual_seed(seed)
    width = width or max(lengths)
    ids = torch.randint(5, VOCABULARY, (len(lengths), width), generator=generator)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    ids = ids * mask
    chosen = (torch.rand(ids.shape, generator=generator) < rate) & (mask > 0)
    chosen[0, 0] = True
    labels = torch.where(chosen, ids, -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def relative(ours, theirs, floor=1e-30):
    """Norm of the difference over the norm of the reference, taken as at least `floor`."""
    return float((ours - theirs).norm() / theirs.norm().clamp_min(floor))


def assert_same_gradients(ours, theirs, tolerance=TOLERANCE):
    """Every module's gradient within `tolerance`, weight and bias taken together.

    Some gradients are exactly 0 in real numbers (the bias of keys that only a softmax sees; queries and
    keys of a document of one token), and both models hold rounding noise there: errors are measured
    against at least a tenth of the whole gradient's norm per module.
    """
    expected, found = _by_module(theirs), _by_module(ours)
    assert expected.keys() == found.keys()
    floor = 0.1 * float(torch.cat(list(expected.values())).norm()) / len(expected) ** 0.5
    for name, grad in expected.items():
        assert relative(found[name], grad, floor) <= tolerance, name


def _by_module(model):
    grads = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            grads.setdefault(name.rpartition(".")[0], []).append(parameter.grad.flatten())
    return {name: torch.cat(parts) for name, parts in grads.items()}


def assert_equal_step(theirs, ours, batch):
    """Loss, logits at every position and all gradients agree."""
    reference = theirs(**batch)
    reference.loss.backward()
    loss = masked_lm_loss(ours, batch)
    loss.backward()
    assert relative(loss.detach(), reference.loss.detach()) <= TOLERANCE
    with torch.no_grad():
        logits = ours(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert relative(logits, reference.logits.detach()) <= TOLERANCE
    assert_same_gradients(ours, theirs)
