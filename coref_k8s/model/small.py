"""A tiny random DeBERTa-v2 masked LM with kf-deberta-base's switches, for the demo and for tests.

python -m coref_k8s.model.small FOLDER --tokenizer FOLDER    make one, unless it is there
"""

import argparse
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import DebertaV2Config, DebertaV2ForMaskedLM


def create_small_model(
    folder: str | PathLike[str],
    tokenizer: Any,
    *,
    layers: int = 2,
    hidden: int = 128,
    heads: int = 2,
    intermediate: int = 512,
    position_buckets: int = 32,
    max_relative_positions: int = -1,
    max_position_embeddings: int = 64,
    seed: int = 0,
) -> None:
    """Writes a random model and `tokenizer` to `folder`, as a Hugging Face folder.

    The vocabulary and the padding token are the tokenizer's. With the defaults, positions are exact to
    16 tokens, logarithmic to 64 (kf-deberta-base: 128 and 512), so that short texts already meet what
    long ones meet in the real model. Leaves torch's RNG as it was.

    A model that knows nothing must first find out that what stands elsewhere in the text can be copied,
    and at this size that takes longer than a demo lasts. So attention starts as a copier (value and output
    projection undo each other, the head's projection is the identity: Trockman and Kolter, "Mimetic
    initialization of self-attention layers", 2023), the other matrices are scaled for the width, and
    there is no dropout. What to attend to is still to be learnt.
    """
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        max_position_embeddings=max_position_embeddings,
        max_relative_positions=max_relative_positions,
        position_buckets=position_buckets,
        pad_token_id=tokenizer.pad_token_id,
        type_vocab_size=0,
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["c2p", "p2c"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        # the reference width of 0.02 is 768
        initializer_range=0.02 * (768 / hidden) ** 0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DebertaV2ForMaskedLM(config)
        with torch.no_grad():
            for layer in model.deberta.encoder.layer:
                rotation, _ = torch.linalg.qr(torch.randn(hidden, hidden))
                layer.attention.self.value_proj.weight.copy_(rotation)
                layer.attention.output.dense.weight.copy_(rotation.T)
            model.cls.predictions.transform.dense.weight.copy_(torch.eye(hidden))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Make the demo's model; one that is there is kept."""
    parser = argparse.ArgumentParser(prog="python -m coref_k8s.model.small", description=__doc__)
    parser.add_argument("folder", type=Path, help="where it is written")
    parser.add_argument("--tokenizer", default="data/korean/tokenizer", help="folder of its tokeniser")
    folder, tokenizer = vars(parser.parse_args()).values()
    if (folder / "config.json").is_file():
        print(f"{folder} is there already")
        return
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    create_small_model(folder, AutoTokenizer.from_pretrained(tokenizer))
    print(f"{folder} is made")


if __name__ == "__main__":
    main()
