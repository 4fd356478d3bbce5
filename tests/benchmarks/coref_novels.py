"""Trains coreference on Korean novels as a trial does, and scores whole novels that it has not seen.

python -m tests.benchmarks.coref_novels --encoder DIR --corpus novels.jsonl [--seeds 1 2 3] [--steps 600] [--output FILE]

Novels are taken in the order of the file. The last `--test` are scored and nothing else; the `--dev` before them choose
the thresholds; the others train. Prints one JSON object with every seed: scores of whole novels with exact spans, the
same with gold mentions, what needs no model, thresholds, CPU seconds and the share of mentions that can be represented.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from coref_k8s.coref.encoder import open_tokenizer
from coref_k8s.corpus.prepare import prepare
from coref_k8s.settings import Settings
from coref_k8s.study.names import Kind
from coref_k8s.study.order import BatchPlan, Order, Resources
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Bus
from coref_k8s.trial.job import run_training
from coref_k8s.trial.signals import StopSignal

SHOWN = (
    "conll_f1", "muc_f1", "b3_f1", "ceafe_f1", "lea_f1", "mention_f1", "mention_precision", "mention_recall",
    "gold_conll_f1", "gold_muc_f1", "gold_b3_f1", "gold_ceafe_f1", "equal_conll_f1", "gold_equal_conll_f1",
)  # fmt: skip


def with_splits(options, folder):
    """Write the novels with their splits; returns the file."""
    rows = [json.loads(line) for line in Path(options.corpus).read_text(encoding="utf-8").splitlines()]
    if not 0 < options.dev + options.test < len(rows):
        sys.exit(
            f"{options.corpus} has {len(rows)} documents, too few for --dev {options.dev} --test {options.test}"
        )
    ends = {
        "train": len(rows) - options.dev - options.test,
        "dev": len(rows) - options.test,
        "test": len(rows),
    }
    path = folder / "novels.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            split = next(name for name, end in ends.items() if number < end)
            print(json.dumps({**row, "split": split}, ensure_ascii=False), file=file)
    return path


def request(options, corpus):
    """The study that a person would ask for."""
    return StudySpec.model_validate(
        {
            "task": "coreference",
            "seqLengths": [options.seq_len],
            "model": str(Path(options.encoder).resolve()),
            "trials": 1,
            "data": {"sources": [{"source": str(corpus)}], "deduplicate": False, "trainLimit": None},
            "training": {
                "maxSteps": options.steps, "batchSize": options.windows, "precision": options.precision,
                "checkpointSeconds": 600,
            },
            "pod": {"gpus": 0},
        }
    )  # fmt: skip


def run(spec, prepared, options, seed, folder):
    """Train and score one seed; returns its figures."""
    begun = time.process_time()
    order = Order(
        kind=Kind.FINALIST, study="novels", spec=spec, seq_len=options.seq_len, trial=seed, seed=seed,
        params={
            "learning_rate": options.encoder_rate, "head_learning_rate": options.head_rate,
            "head_epochs": options.head_epochs, "head_dropout": options.head_dropout,
            "layer_decay": options.layer_decay,
        },
        batch=BatchPlan(
            seq_len=options.seq_len, batch_size=options.windows, accumulation=1, checkpointing=False,
            predicted_bytes=0, budget_bytes=0,
        ),
        resources=Resources(
            gpus=0, gpu_memory_mb=0, cpu_millis=1000, memory_bytes=0, ephemeral_bytes=0, shm_bytes=0
        ),
        workdir=f"studies/novels/seed-{seed}", prepared=str(prepared.relative_to(folder)),
    )  # fmt: skip
    settings = Settings(data_dir=folder, storage_url=f"sqlite:///{folder}/coref.db", bus=None)
    log = folder / f"log-{seed}.jsonl"
    code = run_training(order, settings, Bus(log), StopSignal())
    if code:
        sys.exit(f"seed {seed} ended with exit code {code}; see {log}")
    result = json.loads((folder / order.workdir / "result.json").read_text(encoding="utf-8"))
    items = json.loads((folder / order.workdir / "items-test.json").read_text(encoding="utf-8"))
    metrics = result["test"]["metrics"]
    figures = {
        "seed": seed,
        "test": {name: metrics[name] for name in SHOWN if name in metrics},
        "dev_conll_f1": result["metrics"]["conll_f1"],
        "others": {name: value for name, value in metrics.items() if name.startswith("recall")},
        "thresholds": items["thresholds"],
        "steps": result["steps"],
        "measured": result["measured"],
        "cpu_seconds": time.process_time() - begun,
    }
    print(json.dumps(figures), file=sys.stderr, flush=True)
    return figures


def training_parser(description, **defaults):
    """A parser of how a benchmark trains; its defaults by name."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--windows", type=int, default=4)
    for name in ("encoder-rate", "head-rate", "head-epochs", "head-dropout"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--layer-decay", type=float, default=1.0)
    parser.add_argument(
        "--folder", help="folder to keep data, models and logs in; a temporary one by default"
    )
    parser.add_argument("--output")
    parser.set_defaults(**defaults)
    return parser


def show(options, statistics, results):
    """Print what came out, and keep it where asked."""
    text = json.dumps({"options": vars(options), "data": statistics, "results": results}, indent=1)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


def main():
    parser = training_parser(
        __doc__,
        seeds=[1, 2, 3],
        steps=600,
        encoder_rate=1e-4,
        head_rate=5e-4,
        head_epochs=12,
        head_dropout=0.3,
    )
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--dev", type=int, default=3)
    parser.add_argument("--test", type=int, default=7)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        spec = request(options, with_splits(options, folder))
        prepared = prepare(spec, folder, open_tokenizer(spec.model))
        results = [run(spec, prepared.path, options, seed, folder) for seed in options.seeds]
    show(options, prepared.statistics, results)


if __name__ == "__main__":
    main()
