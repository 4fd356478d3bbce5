"""What resolving costs beside the encoder's own forward passes over the same windows, and how memory grows.

python -m tests.benchmarks.resolve [--characters 16500 33000 66000] [--model DIR] [--repeats 2] [--output FILE]

Without `--model` the encoder has the shape of multilingual-e5-small (12 layers of 384) and random weights, which cost
what others cost, and a head that finds one mention in eight tokens; the text is made by the generator. Each size runs
in a process of its own on one thread. Prints CPU seconds of the passes alone and of all (the least of the repeats, in
turn), their ratio (at most 1.3 is asked for 33,000 characters), the memory that a document takes above one of a single
pass, and by how much it grows for a thousand tokens more from size to size: the same, where growth is linear.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch

from coref_k8s.client.resolver import Resolver
from coref_k8s.coref.encoded import encode_document
from coref_k8s.coref.prediction import WINDOWS
from coref_k8s.coref.windows import overlapping
from coref_k8s.corpus.people import generate_people
from coref_k8s.text.document import Document
from tests.coref.untrained import SMALL, save_encoder, untrained_model


def text_of(characters):
    (document,) = generate_people(1, lengths=[characters], seed=1)
    return document.text[:characters]


def passes(model, encoded):
    """Forward passes of the encoder over the windows of a document, and nothing else."""
    windows = overlapping(encoded, model.window)
    with torch.inference_mode():
        for first in range(0, len(windows), WINDOWS):
            model.encode(windows[first : first + WINDOWS])


def cpu_seconds(call, *arguments):
    begun = time.process_time()
    call(*arguments)
    return time.process_time() - begun


def peak():
    """Most memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(folder, characters, repeats):
    torch.set_num_threads(1)
    resolver = Resolver.from_pretrained(folder, device="cpu")
    model, text = resolver.model, text_of(characters)
    resolver(text_of(WINDOWS * model.window))  # Kiwi is loaded, and a pass has been full
    before = peak()
    document = resolver(text)
    memory = peak() - before
    encoded = encode_document(
        Document("x", text), model.tokenizer, model.config.trims, model.longest_sentence
    )
    alone, whole = [], []
    for _ in range(repeats):
        alone.append(cpu_seconds(passes, model, encoded))
        whole.append(cpu_seconds(resolver, text))
    return {
        "characters": len(text),
        "tokens": len(encoded),
        "mentions": len(document.mentions),
        "passes_seconds": round(min(alone), 2),
        "resolve_seconds": round(min(whole), 2),
        "ratio": round(min(whole) / min(alone), 3),
        "memory_mib": round(memory, 1),
    }


def in_its_own_process(folder, characters, repeats):
    command = [sys.executable, "-m", "tests.benchmarks.resolve", "--model", str(folder)]
    done = subprocess.run(
        [*command, "--one", "--characters", str(characters), "--repeats", str(repeats)],
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--characters", type=int, nargs="+", default=[16_500, 33_000, 66_000])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--output")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.model, options.characters[0], options.repeats)))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = options.model
        if folder is None:
            folder = Path(made) / "model"
            save_encoder(Path(made) / "encoder", **SMALL)
            untrained_model(Path(made) / "encoder", 512).save(folder)
        rows = [in_its_own_process(folder, size, options.repeats) for size in sorted(options.characters)]
    growth = [
        round(1000 * (b["memory_mib"] - a["memory_mib"]) / (b["tokens"] - a["tokens"]), 2)
        for a, b in pairwise(rows)
    ]
    text = json.dumps({"sizes": rows, "mib_for_a_thousand_tokens_more": growth}, indent=1)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
