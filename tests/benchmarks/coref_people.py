"""Trains coreference on generated documents as a trial does, with a small model that knows nothing at first.

python -m tests.benchmarks.coref_people [--seeds 1 2 3 4 5] [--steps 400] [--output FILE]

Persons come back by name, as "그 <role>" and by pronoun, so linking equal strings is not enough (coref_k8s/corpus/people.py).
Each seed draws its own weights, order of batches and dropout; the documents are the same. Prints one JSON object with every
seed: scores of test documents end to end and on gold mentions, what needs no model, thresholds and CPU seconds.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from coref_k8s.corpus.prepare import prepare
from coref_k8s.model.small import create_small_model
from coref_k8s.study.spec import StudySpec
from tests.benchmarks.coref_novels import run, show, training_parser

TOKENIZER = Path("data/korean/tokenizer")


def request(options, model):
    """The study that a person would ask for."""
    return StudySpec.model_validate(
        {
            "task": "coreference",
            "seqLengths": [options.seq_len],
            "model": str(model),
            "trials": 1,
            "data": {
                "sources": [{"source": f"people:{options.documents}"}],
                "devShare": options.share, "testShare": options.share,
            },
            "training": {"maxSteps": options.steps, "batchSize": options.windows, "precision": "fp32"},
            "pod": {"gpus": 0},
        }
    )  # fmt: skip


def main():
    parser = training_parser(
        __doc__,
        seeds=[1, 2, 3, 4, 5], steps=400, encoder_rate=2e-3, head_rate=2e-3, head_epochs=1, head_dropout=0.0,
    )  # fmt: skip
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument(
        "--share", type=float, default=0.06, help="share of the documents in dev, and in test"
    )
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    with TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary).resolve()
        results = []
        for seed in options.seeds:
            model = folder / "models" / str(seed)
            create_small_model(model, tokenizer, seed=seed)
            spec = request(options, model)
            prepared = prepare(spec, folder, tokenizer)
            results.append(run(spec, prepared.path, options, seed, folder))
    show(options, prepared.statistics, results)


if __name__ == "__main__":
    main()
