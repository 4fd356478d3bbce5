"""Several processes that train one model: each has a part of every step's batches, gradients are summed, and one leads.

The process that was started leads: it decides, reports and writes checkpoints as it would alone, and exits with the code
that says how it went. The others, started by torch for the remaining GPUs of the pod or the machine, do the steps that they
are told to, and their part of evaluations. The order of documents, the masks and the global batch are those of one process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from coref_k8s.settings import Settings
from coref_k8s.study.order import Order
from coref_k8s.trial.batches import StepData, StepSource

#: Which of its GPUs a process of a team computes on; the leader's is 0.
RANK = "COREF_RANK"
#: Processes of a trial on a CPU: for tests, which have no GPUs.
CPU_PROCESSES = "COREF_CPU_PROCESSES"
#: The others wait while the leader evaluates and writes its last files.
_PATIENCE = timedelta(days=2)
#: Gradients are summed in pieces of so many bytes: one copy of a piece is held at a time.
_PIECE = 1 << 26


@dataclass(frozen=True)
class Take:
    """A step to take."""

    number: int
    batch_size: int
    """Most sequences of a forward pass."""


@dataclass(frozen=True)
class Score:
    """An evaluation to make a part of."""

    split: str
    full: bool
    thresholds: dict[str, float] | None


class Team:
    """The processes, as one of them sees them."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        """0 leads."""
        self.size = size
        # what is told goes from host to host, gradients from GPU to GPU
        self._telling = dist.new_group(backend="gloo", timeout=_PATIENCE)

    def tell(self, what: Take | Score | None) -> None:
        """Tell the others what to do; None that there is no more."""
        dist.broadcast_object_list([what], 0, group=self._telling)

    def told(self) -> Take | Score | None:
        """Return what the leader tells."""
        found: list[Take | Score | None] = [None]
        dist.broadcast_object_list(found, 0, group=self._telling)
        return found[0]

    def gather(self, mine: Any) -> list[Any]:
        """Return what each process has brought, in the order of their ranks."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, mine, group=self._telling)
        return found

    def agree(self, fits: bool) -> bool:
        """Return whether a step has fitted into the memory of all."""
        found = torch.tensor([int(fits)])
        dist.all_reduce(found, dist.ReduceOp.MIN, group=self._telling)
        return bool(found.item())

    def share(self, model: nn.Module) -> None:
        """Give the others the leader's weights."""
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0)

    def sum(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> None:
        """Sum gradients and loss over all processes, in place: what had no batch counts as zeros."""
        piece: list[Tensor] = [loss]
        held = 0
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            piece.append(parameter.grad)
            held += parameter.grad.numel() * parameter.grad.element_size()
            if held >= _PIECE:
                _sum(piece)
                piece, held = [], 0
        if piece:
            _sum(piece)


def _sum(tensors: list[Tensor]) -> None:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    sizes = [tensor.numel() for tensor in tensors]
    for tensor, part in zip(tensors, flat.split(sizes), strict=True):
        tensor.copy_(part.view_as(tensor))


class Shared:
    """A source of which one process of a team takes its part of each step's batches."""

    def __init__(self, source: StepSource, team: Team) -> None:
        self._source = source
        self._team = team

    def step(self, number: int) -> StepData:
        """See `StepSource`."""
        return _Part(self._source.step(number), self._team)


class _Part:
    def __init__(self, data: StepData, team: Team) -> None:
        self._data = data
        self._team = team
        self.tokens = data.tokens

    def batches(self, batch_size: int, *, pin: bool = False) -> Iterator[tuple[Any, float]]:
        """See `StepData`: every so many-th batch, with its weight in the whole step."""
        return islice(iter(self._data.batches(batch_size, pin=pin)), self._team.rank, None, self._team.size)


def processes_of(order: Order) -> int:
    """Return how many processes train an order's model: one a GPU."""
    return order.resources.gpus or int(os.environ.get(CPU_PROCESSES, "1"))


@contextmanager
def team_of(order: Order, settings: Settings) -> Iterator[Team | None]:
    """Start the other processes of an order and lead them; None for one that trains alone.

    When another one dies this process ends too (exit code 1): the next start goes on from the checkpoint.
    """
    size = processes_of(order)
    if size == 1:
        yield None
        return
    from torch.multiprocessing.spawn import start_processes

    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting")
        text = order.model_dump_json(by_alias=True)
        others = start_processes(
            _follow,
            args=(size, text, str(settings.data_dir), str(meeting)),
            nprocs=size - 1,
            join=False,
            daemon=True,
        )
        assert others is not None
        over = threading.Event()
        threading.Thread(target=_watch, args=(others.processes, over), daemon=True).start()
        try:
            team = _join(0, size, meeting, order)
            yield team
            over.set()
            team.tell(None)
            for process in others.processes:
                process.join(10)
        finally:
            over.set()
            for process in others.processes:
                process.kill()
            dist.destroy_process_group()


def _join(rank: int, size: int, meeting: Path, order: Order) -> Team:
    gpu = order.resources.gpus > 0
    if gpu:
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "nccl" if gpu else "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=size,
        timeout=_PATIENCE,
    )
    return Team(rank, size)


def _watch(processes: list[Any], over: threading.Event) -> None:
    wait([process.sentinel for process in processes])
    if not over.wait(5):  # they end when they are told that there are no more steps
        print("error: another process of this trial has ended", file=sys.stderr, flush=True)
        os._exit(1)


def _follow(number: int, size: int, text: str, data_dir: str, meeting: str) -> None:
    """Be one of the others: take the steps that the leader tells of."""
    for one in (signal.SIGTERM, signal.SIGINT):  # the leader decides what a signal means
        signal.signal(one, signal.SIG_IGN)
    threading.Thread(target=_leave_with_leader, daemon=True).start()
    os.environ[RANK] = str(number + 1)
    from coref_k8s.study.paths import TrialFolder
    from coref_k8s.trial.observers import Observers
    from coref_k8s.trial.session import Session
    from coref_k8s.trial.signals import StopSignal

    order = Order.model_validate_json(text)
    team = _join(number + 1, size, Path(meeting), order)
    folder = TrialFolder(Path(data_dir) / order.workdir)
    session = Session.open(
        order, Path(data_dir), folder, Observers(), lambda _: None, StopSignal(), team=team
    )
    session.follow()


def _leave_with_leader() -> None:
    leader = multiprocessing.parent_process()
    if leader is not None:
        leader.join()
        os._exit(1)
