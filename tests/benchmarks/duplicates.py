"""Near-duplicates: how many planted copies are found, how much unrelated text is taken for one, and what it costs.

    python -m tests.benchmarks.duplicates [--corpus FILE ...] [--output json]

The corpus (JSON lines with `text`; by default the shipped documents) is taken as it is, and copies of every document are
planted beside it, kind by kind. Unrelated are all pairs of documents, and all pairs of pieces of 1,200 characters that are
of different documents. The cost is that of sketches and comparison over that of Kiwi's analysis of a sample.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np

from coref_k8s.corpus.duplicates import THRESHOLD, contained, near_duplicates, sketch
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.text.clean import clean_text
from coref_k8s.text.korean import analyse

PIECE = 1200


def changed(text: str, share: float, words: list[str], drawn: random.Random) -> str:
    """Put words of the corpus in the place of some."""
    parts = re.split(r"(\s+)", text)
    for place in range(0, len(parts), 2):
        if drawn.random() < share:
            parts[place] = drawn.choice(words)
    return "".join(parts)


def kinds(words: list[str]) -> dict[str, Callable[[str], str]]:
    """Return what makes a copy of each kind."""
    drawn = random.Random(1)
    return {
        "first half": lambda text: text[: len(text) // 2],
        "second half": lambda text: text[len(text) // 2 :],
        "a tenth": lambda text: text[: len(text) // 10],
        "NFD": lambda text: unicodedata.normalize("NFD", text),
        "no punctuation": lambda text: re.sub(r"[^\w\s]", "", text),
        "no blanks": lambda text: re.sub(r"\s", "", text),
        "3 % of the words": lambda text: changed(text, 0.03, words, drawn),
        "5 % of the words": lambda text: changed(text, 0.05, words, drawn),
        "10 % of the words": lambda text: changed(text, 0.1, words, drawn),
        "20 % of the words": lambda text: changed(text, 0.2, words, drawn),
        "half, 3 % of the words": lambda text: changed(text[: len(text) // 2], 0.03, words, drawn),
        "sentences in another order": lambda text: " ".join(
            sorted(re.split(r"(?<=[.?!])\s+", text), key=lambda _: drawn.random())
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, nargs="*", default=[])
    parser.add_argument("--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    rows = [json.loads(line)["text"] for path in options.corpus for line in path.open(encoding="utf-8")]
    texts = [clean_text(text).text for text in rows] or [one.text for one in shipped_documents()]
    own = [sketch(text) for text in texts]
    found = {}
    for kind, copy in kinds([word for text in texts for word in text.split()]).items():
        copies = [sketch(clean_text(copy(text)).text) for text in texts]
        dropped = near_duplicates(enumerate([*own, *copies]))
        least = min(contained(*pair) for pair in zip(own, copies, strict=True))
        found[kind] = {
            "of": len(texts),
            "found": len(dropped & set(range(len(texts), 2 * len(texts)))),
            "least": round(least, 2),
        }
        assert not dropped & set(range(len(texts))), "an original was dropped"
    pieces = [(n, text[at : at + PIECE]) for n, text in enumerate(texts) for at in range(0, len(text), PIECE)]
    began = time.process_time()
    sketches = [sketch(text) for _, text in pieces]
    wrong = len(near_duplicates(enumerate(sketches)))
    own_time = (time.process_time() - began) / sum(len(text) for _, text in pieces)
    shares = [contained(own[i], own[j]) for i in range(len(own)) for j in range(i)]
    sample = pieces[:: max(1, len(pieces) // 60)]
    analyse(sample[0][1])
    began = time.process_time()
    for _, text in sample:
        analyse(text)
    kiwi = (time.process_time() - began) / sum(len(text) for _, text in sample)
    result = {
        "threshold": THRESHOLD, "kinds": found, "documents": len(texts), "unrelated_pairs": len(shares),
        "most_shared_unrelated": round(float(np.max(shares)), 4), "pieces": len(pieces), "pieces_dropped": wrong,
        "cost_beside_kiwi": round(own_time / kiwi, 4),
    }  # fmt: skip
    if options.output == "json":
        print(json.dumps(result, ensure_ascii=False))
        return
    for kind, one in found.items():
        print(f"{kind:30} {one['found']:3} of {one['of']}, least {one['least']:.2f}")
    print({key: value for key, value in result.items() if key != "kinds"})


if __name__ == "__main__":
    main()
