"""Measures real training steps in a process of its own: reads shapes, writes bytes. Not a test."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from coref_k8s.coref.head import CorefHead, HeadSizes
from coref_k8s.coref.model import CorefConfig, CorefModel, attend_to_all
from coref_k8s.coref.training import Batch, loss
from coref_k8s.model.convert import convert
from coref_k8s.model.load import enable_checkpointing
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.trial.invented import invented_document, windows_of


def status(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(field)


def configured(case):
    """The configuration of a case's encoder."""
    sizes = {
        "vocab_size": case["vocabulary"],
        "hidden_size": case["hidden"],
        "num_hidden_layers": case["layers"],
        "num_attention_heads": case["heads"],
        "intermediate_size": case["intermediate"],
        "max_position_embeddings": 2048,
    }
    more = {
        "deberta-v2": {
            "position_buckets": case["buckets"],
            "max_position_embeddings": 512,
            "relative_attention": True,
            "position_biased_input": False,
            "pos_att_type": ["c2p", "p2c"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
        "modernbert": dict.fromkeys(
            ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0
        ),
    }
    return AutoConfig.for_model(case["kind"], **{**sizes, **more.get(case["kind"], {})})


def masked_lm(case):
    """A masked LM, and a function that gives its loss on one batch."""
    model = AutoModelForMaskedLM.from_config(configured(case)).train()
    if case["attention"] == "blocked" and case["kind"] == "deberta-v2":
        convert(model)
    shape = (case["batch"], case["length"])
    ids = torch.randint(5, case["vocabulary"], shape)
    labels = torch.where(torch.rand(shape) < 0.15, ids, -100)
    if case["attention"] == "eager":
        mask = torch.ones_like(ids)
        return model, lambda: model(input_ids=ids, attention_mask=mask, labels=labels).loss
    return model, lambda: masked_lm_loss(model, {"input_ids": ids, "labels": labels})


def coreference(case):
    """A coreference model, and a function that gives its loss on one batch of windows of a document."""
    encoder = AutoModel.from_config(configured(case))
    if case["kind"] == "deberta-v2":
        convert(encoder)
    encoder.pooler = None
    sizes = HeadSizes(case["hidden"])
    tokenizer = SimpleNamespace(cls_token_id=2, sep_token_id=3, pad_token_id=0)
    config = CorefConfig(sizes, case["length"])
    attend_to_all(encoder)
    model = CorefModel(encoder, CorefHead(sizes), tokenizer, config).train()
    document = invented_document(
        case["batch"] * model.window, vocabulary=case["vocabulary"], mentions_per_token=case["mentions"]
    )
    batch = Batch(windows_of(document, model.window))
    return model, lambda: loss(model, batch).total


def measure(case):
    """Peak resident bytes of one whole step, model and optimiser included."""
    case = {"kind": "deberta-v2", "task": "mentions"} | case
    before = status("VmRSS")
    model, step = {"mentions": masked_lm, "coreference": coreference}[case["task"]](case)
    if case["checkpointing"]:
        enable_checkpointing(model.encoder if case["task"] == "coreference" else model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    if not case["accumulating"]:
        optimizer.zero_grad(set_to_none=True)
    Path("/proc/self/clear_refs").write_text("5")
    found = step()
    found.backward()
    del found
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
    kinds = {(case["attention"], case.get("kind"), case.get("task")): case for case in cases}
    for case in kinds.values():
        warm_up(case)
    print(json.dumps([measure(case) for case in cases]))
