"""Small random models of the architectures that people take encoders from."""

import torch
from transformers import AutoConfig, AutoModelForMaskedLM

SPECIAL = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}

#: Settings beside SIZES, by architecture.
ARCHITECTURES = {
    "bert": {},
    "roberta": {"pad_token_id": 1, "max_position_embeddings": 130},
    "electra": {"embedding_size": 16},
    "modernbert": {**SPECIAL, "local_attention": 16, "global_attn_every_n_layers": 2},
    "deberta": RELATIVE,
    "deberta-v2": {**RELATIVE, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    "albert": {"embedding_size": 16},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "xlm-roberta": {"pad_token_id": 1, "max_position_embeddings": 130},
    "camembert": {"pad_token_id": 1, "max_position_embeddings": 130},
    "mpnet": {"pad_token_id": 1, "max_position_embeddings": 130},
    "nomic_bert": {"head_dim": 16},
}


def create(kind, folder, tokenizer, **more):
    """Write a model and a tokeniser; sequences of up to 128 tokens."""
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
        "initializer_range": 0.2,
    }
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**sizes, **ARCHITECTURES[kind], **more})
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
