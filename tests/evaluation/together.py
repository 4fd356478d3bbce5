"""Threads that stand for the processes of an evaluation that is shared out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Group:
    """Threads that stand for processes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size, timeout=30)
        self.brought: list[Any] = [None] * size

    def run(self, work: Any) -> list[Any]:
        """Return what each member's work returns or raises."""

        def one(rank: int) -> Any:
            try:
                return work(Member(self, rank))
            except BaseException as error:
                return error

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(one, range(self.size)))


class Member:
    def __init__(self, group: Group, rank: int) -> None:
        self.group, self.rank, self.size = group, rank, group.size

    def gather(self, mine: Any) -> list[Any]:
        self.group.brought[self.rank] = mine
        self.group.barrier.wait()
        found = list(self.group.brought)
        self.group.barrier.wait()
        return found
