"""Items from novels whose gold chains are on Korean word tokens, against those from character offsets.

    COREF_CORPUS_DIR=... python -m tests.benchmarks.word_tokens [--novels 10] [--seq-len 512 2048] [--output json]

The same novels are written as CoNLL-2012, a word a line, every mention as whole words with what is glued to them, and read
back. Counted are the items that could be asked (candidates) and those that are (at most five of a document and bucket).
Target: 90 % of the candidates. `--output json` ends with one line that holds `worst_share`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from transformers import AutoTokenizer

from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.evaluation.items import build_items
from tests.evaluation.word_tokens import conll, novels, read

TARGET = 0.9


def main() -> int:
    """Count and print; 1 when too few are left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--novels", type=int, default=10)
    parser.add_argument("--seq-len", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--output", choices=("text", "json"), default="text")
    asked = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    documents = novels(asked.novels)
    if not documents:
        print("COREF_CORPUS_DIR names no folder with novels.jsonl", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "novels.conll")
        path.write_text("".join(map(conll, documents)), encoding="utf-8")
        sides = {"characters": documents, "words": read(path)}
    shares = []
    for seq_len in asked.seq_len:
        candidates = []
        for name, some in sides.items():
            items = build_items(some, tokenizer, seq_len)
            counts = items.counts
            candidates.append(counts["coref_candidates"])
            print(
                f"{seq_len} tokens, {name}: {candidates[-1]} candidates, {len(items.coref)} items, "
                f"{len(items.firsts)} first mentions; {counts['usable_gold']} of {counts['gold_mentions']} gold mentions"
            )
        shares.append(candidates[1] / candidates[0])
    if asked.output == "json":
        print(json.dumps({"worst_share": round(min(shares), 4)}))
    return int(min(shares) < TARGET)


if __name__ == "__main__":
    sys.exit(main())
