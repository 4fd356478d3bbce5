"""What the controller itself costs: CPU a trial, a look at rest, a cold start, memory. Postgres is real, jobs are not.

    python -m tests.benchmarks.controller_cost [--finished 4400] [--at-once 60] [--ends 40] [--sampler tpe]

One job ends before each look, so every look pays for itself: the worst case. `--finished` trials are in the
database before the controller starts.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from optuna.distributions import distribution_to_json
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import text

from coref_k8s.controller.loop import StudyLoop
from coref_k8s.controller.runner import ObservedJob, State
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.store import Store
from coref_k8s.study.order import Order
from coref_k8s.study.reading import build_spec
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Bus
from tests.postgres import running_server


class Jobs:
    """Jobs in memory; counts what reaches it."""

    def __init__(self) -> None:
        self.jobs: dict[str, ObservedJob] = {}
        self.trial_ids: dict[str, int] = {}
        self.calls: Counter[str] = Counter()

    def capacity(self) -> int | None:
        return None

    def list(self, study: str) -> list[ObservedJob]:
        return list(self.jobs.values())

    def start(self, order: Order) -> None:
        self.calls["start"] += 1
        now = datetime.now(UTC)
        self.jobs[order.name] = ObservedJob(
            order.name, order.name, order.study, order.kind, order.seq_len, order.trial, order.attempt,
            State.RUNNING, created_at=now, started_at=now,
        )  # fmt: skip
        self.trial_ids[order.name] = order.trial_id or 0

    def stop(self, job: ObservedJob, why: str = "stopped") -> None:
        self.calls["stop"] += 1

    def remove(self, job: ObservedJob) -> None:
        self.calls["remove"] += 1
        del self.jobs[job.name]

    def logs(self, job: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        return iter([])


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=4400)
    parser.add_argument("--at-once", type=int, default=60)
    parser.add_argument("--ends", type=int, default=40)
    parser.add_argument("--sampler", default="tpe")
    options = parser.parse_args()
    with running_server() as server:
        print(json.dumps(measure(server.new_database(), options), indent=2))


def measure(url: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the costs (seconds of CPU, MiB)."""
    trials = options.finished + options.at_once + options.ends
    spec = build_spec(
        seq_lengths=[512], trials=trials, parallelism=options.at_once, search={"sampler": options.sampler}
    )
    store, storage = Store(url), open_storage(url)
    store.create_study("", "demo", spec)
    store.set_prepared("", "demo", "prepared/none", {})
    fill(storage, spec, options.finished)
    found = {"cold_start_cpu": cpu(lambda: LengthStudy(storage, spec, "demo", 512).trials())}
    jobs, pods = Jobs(), open_storage(url)
    loop = StudyLoop(
        "", "demo", runner=jobs, store=store, bus=Bus(None),
        open_length=lambda spec, study, length, namespace: LengthStudy(storage, spec, study, length, namespace),
    )  # fmt: skip
    found["first_trials_cpu_each"] = cpu(loop.step) / options.at_once
    found["look_at_rest_cpu"] = cpu(loop.step)
    draw, spent = random.Random(0), []
    for _ in range(options.ends):
        name = draw.choice([job.name for job in jobs.jobs.values() if job.live])
        value = draw.random()
        pods.set_trial_intermediate_value(jobs.trial_ids[name], 1, value / 2)
        pods.set_trial_state_values(jobs.trial_ids[name], TrialState.COMPLETE, [value])
        jobs.jobs[name] = replace(jobs.jobs[name], state=State.SUCCEEDED, finished_at=datetime.now(UTC))
        spent.append(cpu(loop.step))
    found["ended_trial_and_successor_cpu"] = sum(spent) / len(spent)
    found |= {f"{call}_calls": float(count) for call, count in jobs.calls.items()}
    found["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {name: round(value, 4) for name, value in found.items()}


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU time of some work in this thread (seconds)."""
    before = time.thread_time()
    work()
    return time.thread_time() - before


def fill(storage: RDBStorage, spec: StudySpec, count: int) -> None:
    """Put complete trials into the database, straight into the tables: Optuna would take minutes."""
    LengthStudy(storage, spec, "demo", 512)
    study = storage.get_study_id_from_name("demo/512")
    space = distributions(space_for(spec, 512))
    sampler, draw, now = RandomSampler(seed=0), random.Random(1), datetime.now(UTC).replace(tzinfo=None)
    trials = [
        {"id": n + 1, "number": n, "study": study, "now": now, "value": draw.random()} for n in range(count)
    ]
    params = [
        {
            "id": trial["id"],
            "name": name,
            "value": distribution.to_internal_repr(
                sampler.sample_independent(None, None, name, distribution)  # type: ignore[arg-type]
            ),
            "json": distribution_to_json(distribution),
        }
        for trial in trials
        for name, distribution in space.items()
    ]
    with storage.engine.begin() as connection:
        for statement, rows in (
            (
                "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
                " VALUES (:id, :number, :study, 'COMPLETE', :now, :now)",
                trials,
            ),
            (
                "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
                " VALUES (:id, :name, :value, :json)",
                params,
            ),
            (
                "INSERT INTO trial_values (trial_id, objective, value, value_type)"
                " VALUES (:id, 0, :value, 'FINITE')",
                trials,
            ),
        ):
            connection.execute(text(statement), rows)
        connection.execute(text("SELECT setval('trials_trial_id_seq', :next)"), {"next": count + 1})


if __name__ == "__main__":
    main()
