"""Measures real training steps in a process of its own: reads shapes, writes bytes. Not a test."""

import json
import os
import sys
from pathlib import Path

import torch
from transformers import DebertaV2Config, DebertaV2ForMaskedLM

from coref_k8s.model.convert import convert
from coref_k8s.model.load import enable_checkpointing
from coref_k8s.model.loss import masked_lm_loss


def status(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(field)


def measure(case):
    """Peak resident bytes of one whole step, model and optimiser included."""
    before = status("VmRSS")
    config = DebertaV2Config(
        vocab_size=case["vocabulary"],
        hidden_size=case["hidden"],
        num_hidden_layers=case["layers"],
        num_attention_heads=case["heads"],
        intermediate_size=case["intermediate"],
        position_buckets=case["buckets"],
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["c2p", "p2c"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
    )
    model = DebertaV2ForMaskedLM(config).train()
    if case["attention"] == "blocked":
        convert(model)
    if case["checkpointing"]:
        enable_checkpointing(model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    if not case["accumulating"]:
        optimizer.zero_grad(set_to_none=True)
    shape = (case["batch"], case["length"])
    ids = torch.randint(5, case["vocabulary"], shape)
    labels = torch.where(torch.rand(shape) < 0.15, ids, -100)
    Path("/proc/self/clear_refs").write_text("5")
    if case["attention"] == "blocked":
        loss = masked_lm_loss(model, {"input_ids": ids, "labels": labels})
    else:
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
    loss.backward()
    del loss
    optimizer.step()
    return status("VmHWM") - before


def warm_up(case):
    """Code pages, thread pools and lazily loaded libraries are not the step's."""
    measure(case | {"length": 32, "batch": 1, "layers": 1})


if __name__ == "__main__":
    assert os.environ["MALLOC_MMAP_THRESHOLD_"] == "65536"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = json.load(sys.stdin)
    for attention in {case["attention"] for case in cases}:
        warm_up(cases[0] | {"attention": attention})
    print(json.dumps([measure(case) for case in cases]))
