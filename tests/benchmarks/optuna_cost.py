"""What Optuna's public interface costs a controller, beside our own reading of its tables: prints JSON.

    python -m tests.benchmarks.optuna_cost [--trials 500 5000] [--open 100]

For SQLite and Postgres (on loopback), for a study of so many finished trials with 12 parameters and 4 reports, and so many open
ones. Milliseconds, the median of `REPEATS`:

- `read`: all trials, as a cold controller, `status` and the report do. `public` is `RDBStorage.get_all_trials`, `ours` `OptunaTables.all`.
- `look`: what has happened since the last look. `public` is `Study.get_trials` of a warm study, `ours` `StudyInMemory.refresh`.
- `ask`: parameters for a new trial, by the same sampler (TPE, seeded). `public` is `Study.ask`, `ours` `StudyInMemory.ask`.
- `tell`: closing a trial, the same call in both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from coref_k8s.search.in_memory import StudyInMemory
from coref_k8s.search.optuna_tables import OptunaTables
from coref_k8s.search.pruners import make_pruner
from coref_k8s.search.samplers import make_sampler
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.storage import open_storage
from coref_k8s.study.spec import SearchSpec, StudySpec
from tests.postgres import running_server

REPEATS = 7
SPEC = StudySpec(seq_lengths=(1024,), search=SearchSpec(sampler="tpe"))
SPACE = distributions(space_for(SPEC, 1024))
NAME = "cost/1024"


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--open", type=int, default=100)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    found = []
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        for trials in arguments.trials:
            urls = {"sqlite": f"sqlite:///{Path(folder) / f'{trials}.db'}", "postgres": server.new_database()}
            for database, url in urls.items():
                storage = open_storage(url)
                fill(storage, trials, arguments.open)
                found.append(
                    {"database": database, "trials": trials, "open": arguments.open, **measure(storage)}
                )
    print(json.dumps(found, indent=1))


def fill(storage: RDBStorage, trials: int, open_trials: int) -> None:
    """Create the study with its trials."""
    study = optuna.create_study(study_name=NAME, storage=storage, direction="maximize")
    study_id = storage.get_study_id_from_name(NAME)
    random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(trials + open_trials):
        params = random.ask(SPACE).params
        done = number < trials
        trial = create_trial(
            state=TrialState.COMPLETE if done else TrialState.RUNNING,
            params=params,
            distributions=SPACE,
            value=number % 97 / 97 if done else None,
            intermediate_values={step: 0.1 * step for step in range(1, 5)} if done else {1: 0.1},
            user_attrs={"metrics": {f"metric_{n}": 0.5 for n in range(20)}},
        )
        storage.create_new_trial(study_id, trial)
    assert len(study.get_trials(deepcopy=False)) == trials + open_trials


def measure(storage: RDBStorage) -> dict[str, Any]:
    """Return the milliseconds of each way."""
    study_id = storage.get_study_id_from_name(NAME)
    warm = StudyInMemory(storage, NAME, make_pruner(SPEC))
    warm.refresh()
    study = optuna.load_study(study_name=NAME, storage=storage)
    study.get_trials(deepcopy=False)

    def ask() -> None:
        study.sampler = make_sampler(SPEC, 1024, len(warm.ids))
        study.ask(SPACE)

    def ask_ours() -> None:
        warm.refresh()
        warm.ask(make_sampler(SPEC, 1024, len(warm.ids)), SPACE)

    def tell() -> None:
        running = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))[0]
        began = time.perf_counter()
        study.tell(running.number, 0.5)
        told.append(1000 * (time.perf_counter() - began))

    told: list[float] = []
    found = {
        "read": {
            "public": median(lambda: storage.get_all_trials(study_id, deepcopy=False)),
            "ours": median(lambda: OptunaTables(storage, study_id).all()),
        },
        "look": {
            "public": median(lambda: study.get_trials(deepcopy=False)),
            "ours": median(warm.refresh),
        },
        "ask": {"public": median(ask), "ours": median(ask_ours)},
    }
    median(tell)
    return {**found, "tell": {"public": round(statistics.median(told), 1)}}


def median(call: Callable[[], object]) -> float:
    """Return the median time of a call (milliseconds)."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times), 1)


if __name__ == "__main__":
    main()
