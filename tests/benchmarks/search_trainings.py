"""The same question on real trainings: what our search and random + ASHA reach for the same training.

    python -m tests.benchmarks.search_trainings [--repetitions 5] [--trials 10] [--steps 60] [--folder FOLDER] [--output json]

The small model (2 layers, 128 wide) is trained on the shipped prose over lengths of 256, 384 and 512 tokens by the trial's own code, in
this process and one training after another. What decides when, ours (the product's loop with its defaults) or random + ASHA, is driven
as in `search_cluster.py`, with two trainings at once. What a training costs is counted, not timed, so that a busy machine changes nothing:
steps times tokens, in trainings of the longest length. Ours is extended until it has spent what the other has, in the same
repetition. A score is the mean over the lengths of the test score of the model that is best by its score on dev. All runs are
shown; with `--folder` they are kept, and a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

os.environ.setdefault("OMP_NUM_THREADS", "1")

import optuna

from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.settings import Settings
from coref_k8s.study.names import Kind
from coref_k8s.study.order import BatchPlan, Order, Resources
from coref_k8s.study.paths import TrialFolder
from coref_k8s.study.spec import StudySpec
from coref_k8s.trial.observers import EvaluationReport, Observers
from coref_k8s.trial.prepare_job import prepare_data
from coref_k8s.trial.session import Session
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.training import Ending
from tests.benchmarks.search_cluster import Curve, ours
from tests.benchmarks.search_landscape import Run
from tests.benchmarks.search_neutral import FACTOR, ahead, plain
from tests.benchmarks.search_real import SPACE as NARROW
from tests.benchmarks.search_real import SPEC

LENGTHS, GPUS = (256, 384, 512), SPEC["parallelism"]
BATCH, EVALUATIONS = SPEC["training"]["batchSize"], SPEC["training"]["evaluations"]
#: Wider ranges than those of whole studies at equal time (`search_real.py`), whose request this is otherwise.
SPACE = NARROW | {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "mask_high": {"low": 0.08, "high": 0.2},
    "mention_share": {"low": 0.2, "high": 1.0},
}
#: Shares of the cost of random + ASHA at which scores are shown.
MOMENTS = (0.25, 0.5, 0.75, 1.0)


def request(model: Path, trials: int, steps: int) -> StudySpec:
    """Return the study that a person would ask for."""
    training = {**SPEC["training"], "maxSteps": steps}
    more = {"seqLengths": LENGTHS, "model": str(model), "trials": trials, "search": {"space": SPACE}}
    return StudySpec.model_validate({**SPEC, **more, "training": training})


class _Reports(Sequence[float]):
    """The scores of a training at its evaluations; it is trained no further than it is asked about."""

    def __init__(self, session: Session, ended: Callable[[Session], None]) -> None:
        self._session, self._ended = session, ended
        self._known: list[float] = []

    def __len__(self) -> int:
        return EVALUATIONS

    @overload
    def __getitem__(self, at: int) -> float: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[float]: ...
    def __getitem__(self, at: int | slice) -> float | Sequence[float]:
        places = range(EVALUATIONS)[at]
        last = places if isinstance(places, int) else max(places)
        while len(self._known) <= last:
            if self._session.train(self._pause) is Ending.DIVERGED:
                self._known += [0.0] * (EVALUATIONS - len(self._known))
            if len(self._known) == EVALUATIONS:
                self._ended(self._session)
        return self._known[at]

    def _pause(self, report: EvaluationReport) -> bool:
        self._known.append(report.score)
        return False


class Trainings:
    """A `World` of real trainings."""

    base = 0.0
    """What the untuned model scores: it has not learnt a word."""

    def __init__(self, spec: StudySpec, prepared: str, data: Path, seed: int) -> None:
        self._spec, self._prepared, self._data, self._seed = spec, prepared, data, seed
        self._ended: Session | None = None

    def run(self, length: int, params: dict[str, Any], number: int) -> Run:
        """Open a training; it runs as far as its reports are looked at."""
        seed = self._seed * 1000 + number
        order = Order(
            kind=Kind.TRIAL, study="real", spec=self._spec, seq_len=length, trial=number, seed=seed, params=params,
            batch=BatchPlan(
                seq_len=length, batch_size=BATCH, accumulation=1, checkpointing=False, predicted_bytes=0, budget_bytes=0
            ),
            resources=Resources(
                gpus=0, gpu_memory_mb=0, cpu_millis=1000, memory_bytes=0, ephemeral_bytes=0, shm_bytes=0
            ),
            workdir=f"studies/real/{length}/{time.monotonic_ns()}", prepared=self._prepared,
        )  # fmt: skip
        folder = TrialFolder(self._data / order.workdir)
        session = Session.open(order, self._data, folder, Observers([]), lambda _: None, StopSignal())
        return Run(length / max(LENGTHS), 0.0, _Reports(session, self._keep), None)

    def _keep(self, session: Session) -> None:
        self._ended = session

    def quality(self, length: int, params: dict[str, Any]) -> float:
        """Return the test score of the training that has just ended, which had these parameters."""
        assert self._ended is not None
        assert (self._ended.order.seq_len, self._ended.order.params) == (length, params)
        return self._ended.test().score if self._ended.folder.items("dev").is_file() else 0.0


def repetition(spec: StudySpec, prepared: str, data: Path, seed: int) -> tuple[Curve, Curve]:
    """Return random + ASHA and ours, with the same seed."""

    def world() -> Trainings:
        return Trainings(spec, prepared, data, seed)

    asha = plain(spec, world(), seed, "random", str(FACTOR), GPUS)
    return asha, ours(spec, world(), seed, GPUS, budget=asha.gpu_hours)


def shown(asha: Curve, own: Curve, seed: int) -> dict[str, Any]:
    """Return what one repetition has to show."""
    cost = asha.gpu_hours
    reached = own.reaches(asha.final)
    return {
        "seed": seed,
        "cost": round(cost, 2),
        "cost_ratio": round(reached / cost, 3) if reached <= own.gpu_hours else None,
        **{
            name: [round(curve.at(share * cost), 4) for share in MOMENTS]
            for name, curve in (("asha", asha), ("ours", own))
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with TemporaryDirectory() as temporary:
        result = measured(Path(options.folder or temporary).resolve(), options)
    print(json.dumps(result, indent=None if options.output == "json" else 2))
    return 0


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return every repetition and what they say together."""
    from transformers import AutoTokenizer

    from coref_k8s.model.small import create_small_model

    began = time.process_time()
    folder.mkdir(parents=True, exist_ok=True)
    create_small_model(folder / "model", AutoTokenizer.from_pretrained(shipped_tokenizer()))
    spec = request(folder / "model", options.trials, options.steps)
    settings = Settings(data_dir=folder, storage_url=f"sqlite:///{folder}/coref.db", bus=None)
    prepared = str(prepare_data(spec, settings, None).path.relative_to(folder))
    pairs, runs = [], []
    for seed in range(options.repetitions):
        kept = folder / f"repetition-{options.trials}-{options.steps}-{seed}.json"
        if kept.is_file():
            asha, own = (Curve(**one) for one in json.loads(kept.read_text(encoding="utf-8")))
        else:
            asha, own = repetition(spec, prepared, folder, seed)
            kept.write_text(json.dumps([vars(asha), vars(own)]), encoding="utf-8")
        pairs.append((asha, own))
        runs.append(shown(asha, own, seed))
        print(
            json.dumps({**runs[-1], "cpu_seconds": round(time.process_time() - began)}),
            file=sys.stderr,
            flush=True,
        )
    before, now = zip(*pairs, strict=True)
    means = {
        name: [round(statistics.fmean(run[name][at] for run in runs), 4) for at in range(len(MOMENTS))]
        for name in ("asha", "ours")
    }
    return {**means, **ahead(before, now), "repetitions": runs}


if __name__ == "__main__":
    sys.exit(main())
