"""What resolving costs beside the encoder's own forward passes over the same windows, and how memory grows.

python -m tests.benchmarks.resolve --model DIR [--characters 33000 66000] [--output FILE]

`--model` is a saved coreference model; the text is made by the generator. Prints, for each size, CPU seconds of the
passes alone, of all, their ratio (at most 1.3 is asked for 33,000 characters) and the peak of memory above the model's.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import torch

from coref_k8s.coref.encoded import encode_document
from coref_k8s.coref.prediction import WINDOWS
from coref_k8s.coref.resolver import Resolver
from coref_k8s.coref.windows import overlapping
from coref_k8s.corpus.people import generate_people
from coref_k8s.text.document import Document


def text_of(characters):
    (document,) = generate_people(1, lengths=[characters], seed=1)
    return document.text[:characters]


def passes(model, encoded):
    """CPU seconds of the encoder's forward passes over the windows of a document."""
    windows = overlapping(encoded, model.window)
    begun = time.process_time()
    with torch.inference_mode():
        for first in range(0, len(windows), WINDOWS):
            model.encode(windows[first : first + WINDOWS])
    return time.process_time() - begun


def peak():
    """Most memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(resolver, characters):
    model, text = resolver.model, text_of(characters)
    encoded = encode_document(
        Document("x", text), model.tokenizer, model.config.trims, model.longest_sentence
    )
    alone = min(passes(model, encoded) for _ in range(2))
    before = peak()
    begun = time.process_time()
    document = resolver(text)
    whole = time.process_time() - begun
    return {
        "characters": len(text),
        "tokens": len(encoded),
        "mentions": len(document.mentions),
        "passes_seconds": alone,
        "resolve_seconds": whole,
        "ratio": whole / alone,
        "more_memory_mib": peak() - before,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--characters", type=int, nargs="+", default=[33_000])
    parser.add_argument("--output")
    options = parser.parse_args()
    torch.set_num_threads(1)
    resolver = Resolver.from_pretrained(options.model, device="cpu")
    resolver("한 번 불러 둡니다.")  # Kiwi is loaded once a process
    text = json.dumps([measure(resolver, size) for size in options.characters], indent=1)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
