"""An evaluation that several processes share out: the answers of one, and what stops one stops all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from coref_k8s.evaluation.sharing import answered


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


@pytest.mark.parametrize("parts", [0, 1, 3, 7])
def test_each_answers_a_part_and_all_know_all(parts: int) -> None:
    asked: dict[int, list[int]] = {0: [], 1: [], 2: []}

    def work(member: Member) -> list[int]:
        def answer(part: int) -> int:
            asked[member.rank].append(part)
            return part * part

        return list(answered(range(parts), answer, member))

    alone = list(answered(range(parts), lambda part: part * part))
    assert Group(3).run(work) == [alone] * 3
    assert sorted(part for some in asked.values() for part in some) == list(range(parts))
    assert max(map(len, asked.values())) <= -(-parts // 3)


@pytest.mark.parametrize("error", [MemoryError("full"), KeyboardInterrupt()], ids=["memory", "told to stop"])
def test_what_one_raises_all_raise(error: BaseException) -> None:
    def work(member: Member) -> list[int]:
        def answer(part: int) -> int:
            if part == 4:
                raise error
            return part

        found = []
        for one in answered(range(9), answer, member):
            found.append(one)
            assert one < 3
        return found

    assert Group(3).run(work) == [error] * 3
