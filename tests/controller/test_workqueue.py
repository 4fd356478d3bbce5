"""Many studies: the queue gives a key to one worker at a time, a study that fails holds up no other."""

from __future__ import annotations

import threading

import pytest

from coref_k8s.controller.loop import StudyLoops
from coref_k8s.controller.workqueue import Key, KeyQueue, work
from coref_k8s.errors import ClusterError, NotFoundError, StorageError
from coref_k8s.store import Phase
from coref_k8s.study.reading import build_spec
from tests.controller.world import World

A, B = Key("team", "a"), Key("team", "b")


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_waits_once_and_is_worked_on_by_one() -> None:
    queue = KeyQueue()
    for key in (A, B, A, A):
        queue.add(key)
    assert len(queue) == 2
    assert [queue.get(0), queue.get(0), queue.get(0)] == [A, B, None]
    queue.add(A)
    assert queue.get(0) is None  # busy
    queue.done(A)
    assert queue.get(0) == A


def test_a_key_that_comes_while_it_is_worked_on_holds_up_no_other() -> None:
    clock = Seconds()
    queue = KeyQueue(clock)
    queue.add(A)
    assert queue.get(0) == A
    for _ in range(3):
        queue.add(A)
    queue.add(B, 1)
    clock.now = 1
    assert [queue.get(0), queue.get(0), len(queue)] == [B, None, 1]
    queue.done(A)
    assert [queue.get(0), queue.get(0), len(queue)] == [A, None, 0]


def test_delays_are_kept_and_the_earlier_time_counts() -> None:
    clock = Seconds()
    queue = KeyQueue(clock)
    queue.add(A, 10)
    queue.add(B, 5)
    queue.add(B, 7)
    assert queue.get(0) is None
    clock.now = 5
    assert queue.get(0) == B
    queue.add(A)
    assert queue.get(0) == A
    queue.done(A)
    clock.now = 20
    assert queue.get(0) is None  # the later time went with the earlier one


def test_a_waiting_get_wakes_up_for_an_event_and_for_the_end() -> None:
    queue = KeyQueue()
    got: list[Key | None] = []
    thread = threading.Thread(target=lambda: [got.append(queue.get()) for _ in range(2)])
    thread.start()
    queue.add(A, 0.02)
    queue.add(B, 60)
    while not got:
        thread.join(0.01)
    queue.close()
    thread.join(10)
    assert got == [A, None]
    assert not thread.is_alive()


def controller(worlds: dict[Key, World], made: list[Key]) -> StudyLoops:
    def make(key: Key):
        made.append(key)
        if key not in worlds:
            raise NotFoundError("no such study")
        return worlds[key].new_loop()

    return StudyLoops(make, resync=7.0, jitter=lambda most: most)


def test_a_study_is_looked_at_until_it_is_over() -> None:
    w = World(build_spec(seq_lengths=[512], trials=1))
    made: list[Key] = []
    c = controller({A: w}, made)
    assert c.reconcile(A) == 7.0
    w.succeed("demo-prepare-1")
    assert c.reconcile(A) == 7.0
    w.succeed("demo-512-0-1")
    assert c.reconcile(A) is None  # the last result and the end in one go
    assert w.store.study.phase is Phase.SUCCEEDED
    assert made == [A]
    assert c.reconcile(A) is None  # an event of an ended study
    assert made == [A, A]


def test_a_deleted_study_is_over() -> None:
    w = World(build_spec(seq_lengths=[512], trials=1))
    c = controller({A: w}, [])
    c.reconcile(A)
    w.store.get_study = lambda *_: (_ for _ in ()).throw(NotFoundError("deleted"))
    assert c.reconcile(A) is None


def test_pauses_double_and_end_with_success() -> None:
    w = World(build_spec(seq_lengths=[512], trials=1))
    c = controller({A: w}, [])
    w.runner.refuse = {"demo": ClusterError("forbidden")}
    pauses = []
    for _ in range(8):
        with pytest.raises(ClusterError):
            c.reconcile(A)
        pauses.append(c.pause(A))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    w.runner.refuse = {}
    assert c.reconcile(A) == 7.0
    assert c.pause(A) == 1


def test_pauses_double_when_it_is_not_the_loop_that_fails() -> None:
    w = World(build_spec(seq_lengths=[512], trials=1))
    c = controller({A: w}, [])
    queue, pauses = KeyQueue(), []

    class Around:
        """Fails before the loop is asked, as on a cluster while the database is away."""

        def reconcile(self, key: Key) -> float | None:
            raise StorageError("the database is away")

        def pause(self, key: Key) -> float:
            pauses.append(c.pause(key))
            if len(pauses) == 7:
                queue.close()
            return 0.0

    queue.add(A)
    work(queue, Around())
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_a_worker_goes_on_after_a_failure() -> None:
    bad, good = (World(build_spec(seq_lengths=[512], trials=1)) for _ in range(2))
    bad.runner.refuse = {"demo": ClusterError("forbidden")}
    queue = KeyQueue()
    errors: list[Key] = []

    def on_error(key: Key, error: Exception) -> None:
        errors.append(key)
        queue.close()

    queue.add(B)
    queue.add(A)
    work(queue, controller({A: bad, B: good}, []), on_error)
    assert good.live() == ["demo-prepare-1"]
    assert errors == [A]


def test_a_lost_lease_forgets_everything() -> None:
    w = World(build_spec(seq_lengths=[512], trials=1))
    made: list[Key] = []
    c = controller({A: w}, made)
    c.reconcile(A)
    c.forget_all()
    c.reconcile(A)
    assert made == [A, A]
    assert w.runner.started == ["demo-prepare-1"]
