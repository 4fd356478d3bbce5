"""What the coreference head and its loss add to a training step of the encoder over the same windows.

python -m tests.benchmarks.coref_step [--hidden 768] [--windows 1] [--repeats 3] [--kind deberta-v2] [--output FILE]

A random encoder of 12 layers at 2,048 tokens; windows of one generated document, read and tokenised beforehand, as in
training. Prints, as JSON, CPU seconds on one thread of a step (forward, backward, clipping, AdamW) of the encoder alone
and with head and loss, the least of the repeats, taken in turns; their ratio (at most 1.15 is asked for); and what of it
are Python and NumPy, which a GPU would wait for.
"""

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from coref_k8s.coref.encoded import encode_documents
from coref_k8s.coref.model import CorefModel, new_model
from coref_k8s.coref.training import Batch, loss
from coref_k8s.coref.windows import Window
from coref_k8s.corpus.people import generate_people
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.model.small import create_small_model
from coref_k8s.trial.optimiser import Rates, build_optimiser

LAYERS, LENGTH, LIMIT = 12, 2048, 1.15


def encoder(folder, options, tokenizer):
    sizes = {"hidden": options.hidden, "heads": options.hidden // 64, "intermediate": 4 * options.hidden}
    if options.kind == "deberta-v2":
        create_small_model(
            folder, tokenizer, layers=LAYERS, position_buckets=256, max_position_embeddings=512, **sizes
        )
        return
    config = AutoConfig.for_model(
        options.kind,
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        num_hidden_layers=LAYERS,
        num_attention_heads=options.hidden // 64,
        intermediate_size=4 * options.hidden,
        max_position_embeddings=LENGTH,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0),
    )
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def batch_of(model: CorefModel, windows: int) -> Batch:
    texts = generate_people(1, lengths=[6 * LENGTH * windows], test_share=0.0, dev_share=0.0, seed=1)
    (document,), _ = encode_documents(texts, model.tokenizer, model.longest_sentence)
    assert len(document) >= windows * model.window, "the text is too short"
    found, first = [], 0
    for _ in range(windows):
        last = first + model.window
        inside = document.sentences[(document.sentences[:, 0] >= first) & (document.sentences[:, 1] <= last)]
        found.append(Window(document, int(inside[0, 0]), int(inside[-1, 1]), inside))
        first = int(inside[-1, 1])
    return Batch(found)


def step(model, optimiser, total):
    """CPU seconds of one step."""
    begun = time.process_time()
    total().backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return time.process_time() - begun


def python_seconds(model, batch):
    """CPU seconds of the loss that are no tensor operation, with the encoder's states at hand."""
    states = [torch.randn(w.end - w.start, model.config.sizes.hidden) for w in batch.windows]

    class Ready:
        head = model.head

        def encode(self, windows):
            return states

    with torch.no_grad():
        loss(Ready(), batch)
        profile = cProfile.Profile(time.process_time)
        profile.runcall(loss, Ready(), batch)
    stats = pstats.Stats(profile).stats
    own = sum(row[2] for (file, _, _), row in stats.items() if "coref_k8s" in file)
    return own + sum(row[2] for (_, _, name), row in stats.items() if "numpy" in name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", default="deberta-v2")
    parser.add_argument("--output")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    with tempfile.TemporaryDirectory() as folder:
        encoder(Path(folder), options, tokenizer)
        model = new_model(folder, LENGTH).train()
    batch = batch_of(model, options.windows)
    optimiser = build_optimiser(model, Rates(1e-5, head_learning_rate=1e-4), torch.device("cpu"))

    def alone():
        return torch.cat(model.encode(batch.windows)).square().mean()

    def whole():
        return loss(model, batch).total

    seconds = {alone: [], whole: []}
    for _ in range(options.repeats + 1):
        for total, found in seconds.items():
            found.append(step(model, optimiser, total))
    least = {total: min(found[1:]) for total, found in seconds.items()}
    result = {
        "options": vars(options),
        "layers": LAYERS,
        "tokens": batch.tokens,
        "mentions": batch.mentions,
        "encoder_seconds": least[alone],
        "step_seconds": least[whole],
        "ratio": least[whole] / least[alone],
        "limit": LIMIT,
        "python_seconds": python_seconds(model, batch),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
