"""An evaluation that several processes share out: the answers of one, and what stops one stops all."""

from __future__ import annotations

import pytest

from coref_k8s.evaluation.sharing import answered
from tests.evaluation.together import Group, Member


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
