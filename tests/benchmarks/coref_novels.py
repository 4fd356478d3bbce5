"""Trains the coreference head on Korean novels and scores whole novels that it has not seen.

python -m tests.benchmarks.coref_novels --encoder DIR --corpus novels.jsonl [--seeds 1 2 3] [--steps 600] [--output FILE]

Documents are taken in the order of the file: all but the last `--held-out` train, those are scored. Prints one JSON
object with the scores of every seed (exact spans, whole novels), CPU seconds, and the share of mentions that can be
represented.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from coref_k8s.coref.encoded import encode_document, encode_documents
from coref_k8s.coref.model import load_model, new_model
from coref_k8s.text.document import Document
from tests.coref.fitting import evaluate, finish, fit

SHOWN = (
    "conll_f1",
    "muc_f1",
    "b3_f1",
    "ceafe_f1",
    "lea_f1",
    "mention_f1",
    "mention_precision",
    "mention_recall",
)


def read_documents(path):
    with Path(path).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [
        Document(
            row["doc_id"],
            row["text"],
            {k: sorted({(s, e) for s, e in v}) for k, v in row["clusters"].items()},
        )
        for row in rows
    ]


def log(text):
    print(text, file=sys.stderr, flush=True)


def run(options, seed, train, test):
    torch.manual_seed(seed)
    begun = time.process_time()
    if options.go_on_from:
        model = load_model(Path(options.go_on_from) / f"seed-{seed}", dropout=0.2)
    else:
        model = new_model(options.encoder, options.seq_len)
    for module in model.encoder.modules():
        if hasattr(module, "attention_head_size"):
            module.dropout.p = 0.0  # torch has no fast attention with dropout on a CPU
    encoded, coverage = encode_documents(train, model.tokenizer, model.longest_sentence)
    model.adopt(coverage)
    held = [encode_document(one, model.tokenizer, coverage.trims, model.longest_sentence) for one in test]
    log(f"seed {seed}: {len(train)} documents, {coverage}, read in {time.process_time() - begun:.0f} s")
    seconds = fit(
        model,
        encoded,
        steps=options.steps,
        windows=options.windows,
        encoder_rate=options.encoder_rate,
        head_rate=options.head_rate,
        bf16=options.bf16,
        frozen=options.frozen,
        seed=seed,
        log=log,
    )
    if options.passes:
        seconds += finish(model, encoded, passes=options.passes, bf16=options.bf16, seed=seed, log=log)
    if options.save:
        model.save(Path(options.save) / f"seed-{seed}")
    scores = evaluate(model, test, held, bf16=options.bf16)
    whole = {name: scores.scores[name].value for name in SHOWN}
    metrics = scores.metrics()
    gold = {name: value for name, value in metrics.items() if name.startswith(("gold", "equal", "recall"))}
    result = {
        "seed": seed,
        "scores": whole,
        "others": gold,
        "represented": coverage.share,
        "training_cpu_seconds": seconds,
        "cpu_seconds": time.process_time() - begun,
    }
    log(json.dumps(result))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--held-out", type=int, default=7)
    parser.add_argument("--encoder-rate", type=float, default=1e-4)
    parser.add_argument("--head-rate", type=float, default=5e-4)
    parser.add_argument("--passes", type=int, default=12, help="last passes over whole documents, head alone")
    parser.add_argument("--frozen", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--save", help="folder to keep the models in")
    parser.add_argument("--go-on-from", help="such a folder, to train its models further")
    parser.add_argument("--output")
    options = parser.parse_args()
    torch.set_num_threads(1)
    documents = read_documents(options.corpus)
    train, test = documents[: -options.held_out], documents[-options.held_out :]
    results = [run(options, seed, train, test) for seed in options.seeds]
    text = json.dumps({"options": vars(options), "results": results}, indent=1)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
