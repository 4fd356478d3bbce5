"""A data folder with a tiny model and prepared data, and trials as real processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import optuna
import pytest

from coref_k8s.search.storage import open_storage
from coref_k8s.store import Store
from coref_k8s.study.names import Kind
from coref_k8s.study.order import BatchPlan, Order, Resources
from coref_k8s.study.parameters import PARAMETERS, needed
from coref_k8s.study.spec import DatasetConfig, DataSpec, PodSpec, StudySpec, TrainingSpec
from tests.objectstore import link, object_server
from tests.trial import forked

__all__ = ["house", "link", "object_server"]

LENGTH = 128
PARAMS = {"learning_rate": 3e-3, "mask_low": 0.1, "mask_high": 0.2, "mention_share": 0.6, "layer_decay": 0.95}
RESOURCES = Resources(
    gpus=0, gpu_memory_mb=0, cpu_millis=1000, memory_bytes=2**31, ephemeral_bytes=0, shm_bytes=0
)

os.environ.setdefault("OMP_NUM_THREADS", "1")
#: Children are forked from a process that has imported the trial: real processes, without seconds of imports.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["coref_k8s.trial.session", "coref_k8s.model.kernels", "transformers.models.deberta_v2"]
)


@dataclass
class Process:
    """A trial that runs."""

    process: ForkServerProcess
    log_file: Path

    def wait(self, timeout: float = 400) -> int:
        """Return the exit code (negative for a signal)."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still running: {self.log}"
        return self.process.exitcode

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""

    def until(self, text: str, timeout: float = 300) -> None:
        """Wait until the log holds a text."""
        end = time.monotonic() + timeout
        while text not in self.log:
            assert self.process.is_alive(), f"ended without {text!r}: {self.log}"
            assert time.monotonic() < end, f"no {text!r} in: {self.log}"
            time.sleep(0.01)

    def events(self, section: str) -> list[dict[str, Any]]:
        """Return the bus events on its standard output."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line["section"] == section]


@dataclass
class House:
    """One data folder, with the study in its database."""

    root: Path
    prepared: str
    storage: str
    spec: StudySpec
    processes: list[Process] = field(default_factory=list)

    def order(self, name: str, **changes: Any) -> Order:
        """Return the order of a new trial whose folder is `name`."""
        trial = self.study.ask()
        order = Order(
            kind=Kind.TRIAL,
            study="s",
            spec=self.spec,
            seq_len=LENGTH,
            trial=trial.number,
            trial_id=trial._trial_id,
            params=PARAMS,
            seed=7,
            batch=BatchPlan(
                seq_len=LENGTH,
                batch_size=2,
                accumulation=2,
                checkpointing=False,
                predicted_bytes=10**9,
                budget_bytes=10**9,
            ),
            resources=RESOURCES,
            workdir=f"studies/s/{LENGTH}/{name}",
            prepared=self.prepared,
        )
        order = order.model_copy(update=changes)
        if order.seq_len is None:
            return order
        # what a test does not say is as it would be without it
        whole = {name: PARAMETERS[name].default for name in needed(order.spec, order.seq_len)}
        return order.model_copy(update={"params": {**whole, **order.params}})

    def training(self, **changes: Any) -> StudySpec:
        """Return the request with other training settings."""
        return self.spec.model_copy(update={"training": self.spec.training.model_copy(update=changes)})

    def start(
        self, order: Order | str, *, before: Callable[[], None] | None = None, **environment: str
    ) -> Process:
        """Start a process for an order."""
        log = self.root / f"log-{len(self.processes)}"
        settings = {
            "COREF_DATA_DIR": str(self.root),
            "COREF_STORAGE_URL": self.storage,
            "COREF_ORDER": order if isinstance(order, str) else order.model_dump_json(),
            **environment,
        }
        process = _FORKS.Process(target=forked.run, args=(settings, str(log), before))
        process.start()
        self.processes.append(Process(process, log))
        return self.processes[-1]

    def folder(self, order: Order) -> Path:
        return self.root / order.workdir

    def result(self, order: Order) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder(order) / "result.json").read_text(encoding="utf-8"))
        return found

    def checkpoints(self, order: Order) -> list[Path]:
        return sorted((self.folder(order) / "checkpoints").glob("step-*"))

    @property
    def study(self) -> optuna.Study:
        return optuna.create_study(
            storage=open_storage(self.storage), study_name="s/128", load_if_exists=True, direction="maximize"
        )

    def trial(self, order: Order) -> optuna.trial.FrozenTrial:
        """Return the trial as the storage has it."""
        assert order.trial_id is not None
        return open_storage(self.storage).get_trial(order.trial_id)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Prepared by the preparation job itself."""
    from transformers import AutoTokenizer

    from coref_k8s.corpus.shipped import shipped_tokenizer
    from coref_k8s.model.small import create_small_model

    root = tmp_path_factory.mktemp("data")
    create_small_model(
        root / "models/tiny",
        AutoTokenizer.from_pretrained(shipped_tokenizer()),
        layers=1,
        hidden=32,
        heads=2,
        intermediate=64,
    )
    spec = StudySpec(
        seq_lengths=(LENGTH,),
        any_length=True,
        model="models/tiny",
        data=DataSpec(sources=(DatasetConfig(source="gaps:30"),), eval_items=6),
        training=TrainingSpec(max_steps=40, evaluations=2),
        pod=PodSpec(gpus=0),
    )
    built = House(root, "", f"sqlite:///{root}/coref.db", spec)
    Store(built.storage).create_study("", "s", spec)
    order = Order(kind=Kind.PREPARE, study="s", spec=spec, resources=RESOURCES, workdir="studies/s/prepare")
    process = built.start(order)
    assert process.wait() == 0, process.log
    built.prepared = built.result(order)["prepared"]
    return built
