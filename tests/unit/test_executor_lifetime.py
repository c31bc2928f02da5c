"""The beginning and the end of an `Executor`, and who comes in between."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest
from tests.forks import in_child
from tests.interrupts import at_every_step
from tests.threads import LIMIT, spawn

from penstock.flow._executor import Executor

AFTER = r"^cannot schedule new futures after shutdown$"


class Gate:
    """A task that tells that it runs, and waits until it is let go."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.go = threading.Event()

    def __call__(self, value: object = None) -> object:
        self.running.set()
        assert self.go.wait(LIMIT)
        return value


class Interrupted(BaseException):
    """What a signal handler raises."""


def interrupt() -> None:
    raise Interrupted


def test_shutdown_runs_what_is_pending() -> None:
    executor = Executor(1)
    tasks = [executor.submit(abs, -number) for number in range(50)]
    executor.shutdown()
    assert [task.result(0) for task in tasks] == list(range(50))
    with pytest.raises(RuntimeError, match=AFTER):
        executor.submit(int)
    with pytest.raises(RuntimeError, match=AFTER):
        executor.with_options(priority=1).submit(int)
    executor.shutdown()


def test_shutdown_cancels_what_is_pending_when_told_to() -> None:
    executor = Executor(1)
    gate = Gate()
    held = executor.submit(gate, 1)
    assert gate.running.wait(LIMIT)
    pending = [executor.submit(int) for _ in range(50)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(task.cancelled() for task in pending)
    gate.go.set()
    executor.shutdown()
    assert held.result(0) == 1


def test_shutdown_does_not_wait_for_ever_when_told_not_to() -> None:
    executor = Executor(1)
    gate = Gate()
    held = executor.submit(gate)
    executor.shutdown(wait=False)
    assert not held.done()
    gate.go.set()
    assert held.result(LIMIT) is None
    executor.shutdown()


def test_executor_that_was_never_used_shuts_down() -> None:
    with Executor(2) as executor:
        assert executor.stats().workers == 0
    asyncio.run(Executor(2).aclose())


def test_a_task_may_shut_its_executor_down() -> None:
    executor = Executor(2)
    executor.submit(executor.shutdown).result(LIMIT)
    with pytest.raises(RuntimeError, match=AFTER):
        executor.submit(int)


def test_no_task_is_lost_when_the_end_comes_between() -> None:
    for _ in range(8):
        executor = Executor(4)
        barrier = threading.Barrier(5)

        def work(executor: Executor = executor, barrier: Any = barrier) -> list[Any]:
            tasks = []
            barrier.wait(LIMIT)
            with contextlib.suppress(RuntimeError):
                while True:
                    tasks.append(executor.submit(abs, -3))
            return tasks

        threads = [spawn(work) for _ in range(4)]
        barrier.wait(LIMIT)
        executor.submit(int)
        executor.shutdown()
        for thread in threads:
            assert all(task.result(LIMIT) == 3 for task in thread.result())
        now = executor.stats()
        assert now.submitted == now.completed


def test_all_threads_are_gone_after_the_end() -> None:
    before = set(threading.enumerate())
    with Executor(4) as executor:
        barrier = threading.Barrier(4)
        for task in [executor.with_options(deadline=60).submit(barrier.wait) for _ in range(4)]:
            task.result(LIMIT)
        assert len(set(threading.enumerate()) - before) == 5
    assert set(threading.enumerate()) <= before


def test_thread_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    plain = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        plain(thread)

    with Executor(4) as executor:
        gate = Gate()
        monkeypatch.setattr(threading.Thread, "start", start)
        tasks = [executor.submit(gate, number) for number in range(5)]
        gate.go.set()
        assert [task.result(LIMIT) for task in tasks] == list(range(5))
        assert executor.stats().workers == 1


def test_task_is_refused_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    with Executor(2) as executor:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", lambda _: interrupt_with_error())
            with pytest.raises(RuntimeError, match="no more threads"):
                executor.submit(int)
        assert executor.stats().pending == 0
        assert executor.submit(abs, -1).result(LIMIT) == 1


def interrupt_with_error() -> None:
    raise RuntimeError("no more threads")


# It may come while something half made is let go, where nobody can be told.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("started", [False, True])
def test_signal_handler_that_raises_anywhere_in_submit_breaks_nothing(started: bool) -> None:
    executors: list[Executor] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        executor = Executor(1)
        executors.append(executor)
        if started:
            executor.submit(int).result(LIMIT)
            while not executor._core.idle:
                time.sleep(0.0001)

        def submit() -> None:
            with contextlib.suppress(Interrupted):
                executor.submit(int)

        return submit, interrupt

    steps = 0
    for _ in at_every_step("penstock.flow._executor", prepare):
        executor = executors.pop()
        assert executor.submit(abs, -1).result(LIMIT) == 1
        executor.barrier().result(LIMIT)
        executor.shutdown()
        assert executor.stats().busy == 0
        steps += 1
    assert steps > 5


@pytest.mark.parametrize("started", [False, True])
def test_finalizer_that_submits_may_run_anywhere_in_submit(started: bool) -> None:
    executors: list[tuple[Executor, list[Any]]] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        executor = Executor(2)
        if started:
            executor.submit(int).result(LIMIT)
        made: list[Any] = []
        executors.append((executor, made))
        return (
            lambda: made.append(executor.submit(abs, -1)),
            lambda: made.append(executor.submit(abs, -2)),
        )

    for _ in at_every_step("penstock.flow._executor", prepare):
        executor, made = executors.pop()
        assert {task.result(LIMIT) for task in made} == {1, 2}
        executor.shutdown()
        assert executor.stats().workers <= 2


def test_finalizers_may_submit_and_cancel() -> None:
    class Last:
        def __init__(self, executor: Executor) -> None:
            self.executor = executor
            self.task = executor.submit(int)

        def __del__(self) -> None:
            self.task.cancel()
            results.append(self.executor.submit(abs, -1))

    results: list[Any] = []
    with Executor(2) as executor:
        for _ in range(50):
            last = Last(executor)
            last.executor.submit(lambda last=last: last)
            del last
        executor.barrier().result(LIMIT)
        while len(results) < 50:
            time.sleep(0.001)
        assert all(task.result(LIMIT) == 1 for task in results)


def test_child_of_a_fork_has_an_executor_without_tasks() -> None:
    executor = Executor(2, max_pending=5)
    gate = Gate()
    held, other = executor.submit(gate), executor.submit(gate)
    pending = executor.submit(int)
    assert gate.running.wait(LIMIT)

    def child() -> None:
        for task in (held, other, pending):
            try:
                task.result(LIMIT)
            except CancelledError:
                pass
            else:
                raise AssertionError("it is the parent's")
        assert executor.stats().submitted == 0
        assert executor.submit(abs, -5).result(LIMIT) == 5
        assert asyncio.run(executor.run(abs, -5)) == 5
        executor.shutdown()

    assert in_child(child)
    gate.go.set()
    assert pending.result(LIMIT) == 0
    executor.shutdown()


def test_fork_inside_of_a_task_runs_no_other_task() -> None:
    with Executor(1) as executor:
        ran: list[int] = []

        def fork() -> bool:
            executor.submit(ran.append, 1)

            def child() -> None:
                assert executor.submit(abs, -5).result(LIMIT) == 5
                assert ran == []

            return in_child(child)

        assert executor.submit(fork).result(LIMIT)
    assert ran == [1]


def test_task_that_comes_while_a_worker_falls_asleep_is_seen() -> None:
    made: list[Any] = []

    class Late(list[Any]):
        """Somebody submits when nothing was found, and before anybody can be woken."""

        def append(self, worker: object) -> None:
            if len(made) < 3:
                made.append(spawn(executor.submit, abs, -5).result())
            super().append(worker)

    with Executor(1) as executor:
        executor._core.idle = Late()
        executor.submit(int).result(LIMIT)
        while len(made) < 3:
            time.sleep(0.001)
        assert [task.result(LIMIT) for task in made] == [5, 5, 5]
