"""What evaluations cost: sequences per evaluation, and seconds with a small model.

    python -m tests.benchmarks.evaluation_cost [--seq-len 1024] [--items 100] [--model FOLDER]

Uses the shipped documents and tokeniser. Without a model only the sequences are counted.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from transformers import AutoTokenizer

from coref_k8s.corpus.shipped import shipped_documents, shipped_tokenizer
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.items import build_items


def main() -> None:
    """Print one line for the items and one for each kind of evaluation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--model")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model or shipped_tokenizer())
    items = build_items(shipped_documents(), tokenizer, options.seq_len, max_items=options.items)
    share = items.counts["usable_runs"] / items.counts["runs"]
    print(f"{len(items.coref)} items of {items.counts['coref_candidates']}; {share:.0%} of noun runs usable")
    model: Any = None
    if options.model:
        from coref_k8s.model.load import load_masked_lm

        model = load_masked_lm(options.model, seq_len=options.seq_len).eval()
    for full in (False, True):
        tokens = rows = 0

        def logits(ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            nonlocal tokens, rows
            rows += len(ids)
            tokens += ids.numel()
            if model is None:
                return torch.zeros(len(positions), len(tokenizer))
            from coref_k8s.model.loss import masked_logits

            return masked_logits(model, ids, mask, positions)

        begun, cpu = time.monotonic(), time.process_time()
        evaluate(logits, tokenizer, items, full=full)
        wall, cpu = time.monotonic() - begun, time.process_time() - cpu
        name = "full" if full else "quick"
        print(
            f"{name}: {rows} passes, {tokens / options.seq_len:.0f} sequences of {options.seq_len} tokens; "
            f"{wall:.1f} s, {cpu:.1f} CPU s"
        )


if __name__ == "__main__":
    main()
