"""`Executor` on threads: what `concurrent.futures` promises, and what goes beyond it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
from tests.executors import WORKERS, Gate, fail
from tests.threads import LIMIT, spawn

from penstock.flow._executor import Executor, ExecutorStats


@pytest.fixture
def executor() -> Iterator[Executor]:
    """One with eight workers, which have to be gone at the end."""
    with Executor(WORKERS) as made:
        yield made


@pytest.fixture
def single() -> Iterator[Executor]:
    """One with a single worker."""
    with Executor(1) as made:
        yield made


def test_result_is_that_of_the_call(executor: Executor) -> None:
    assert executor.submit(divmod, 7, 2).result(LIMIT) == (3, 1)
    assert executor.submit(int, "ff", base=16).result(LIMIT) == 255


def test_names_of_arguments_are_free(executor: Executor) -> None:
    def show(**kwargs: int) -> dict[str, int]:
        return kwargs

    named = {"self": 1, "fn": 2, "options": 3}
    assert executor.submit(show, **named).result(LIMIT) == named
    assert asyncio.run(executor.run(show, **named)) == named


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_task_raises_is_its_outcome(single: Executor, error: BaseException) -> None:
    future = single.submit(fail, error)
    assert future.exception(LIMIT) is error
    with pytest.raises(type(error)):
        future.result()
    assert single.submit(int).result(LIMIT) == 0, "the worker lives"


def test_traceback_of_an_error_begins_with_the_task(single: Executor) -> None:
    error = single.submit(fail, ValueError()).exception(LIMIT)
    assert error is not None
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_frame.f_code is fail.__code__


def test_eight_tasks_run_at_once(executor: Executor) -> None:
    barrier = threading.Barrier(WORKERS)
    for _ in range(5):
        tasks = [executor.submit(barrier.wait, LIMIT) for _ in range(WORKERS)]
        assert sorted(task.result(LIMIT) for task in tasks) == list(range(WORKERS))


def test_worker_that_is_idle_is_used_again(executor: Executor) -> None:
    for _ in range(20):
        executor.submit(int).result(LIMIT)
    assert executor.stats().workers <= 2


def test_submitter_goes_on_while_nobody_is_free(single: Executor) -> None:
    gate = Gate()
    held = single.submit(gate)
    later = [single.submit(abs, -number) for number in range(100)]
    assert not any(task.done() for task in later)
    gate.go.set()
    assert [task.result(LIMIT) for task in later] == list(range(100))
    assert held.result(LIMIT) is None


def test_pending_task_can_be_cancelled_and_a_running_one_cannot(single: Executor) -> None:
    gate = Gate()
    held, pending = single.submit(gate, 5), single.submit(fail, AssertionError())
    assert gate.running.wait(LIMIT)
    assert held.running()
    assert not held.cancel()
    assert pending.cancel()
    assert pending.cancel(), "it is cancelled, whoever did that"
    assert pending.cancelled()
    assert pending.done()
    with pytest.raises(CancelledError):
        pending.result(LIMIT)
    gate.go.set()
    assert held.result(LIMIT) == 5
    assert not held.cancel()
    stats = single.stats()
    assert (stats.completed, stats.cancelled, stats.pending) == (1, 1, 0)


def test_result_that_is_not_there_in_time_is_a_timeout(single: Executor) -> None:
    gate = Gate()
    held = single.submit(gate)
    for timeout in (0, -1, 0.001, 0.03):
        with pytest.raises(TimeoutError):
            held.result(timeout)
    gate.go.set()
    assert held.result(1e30) is None


def test_wait_and_as_completed_know_the_futures(executor: Executor) -> None:
    gate = Gate()
    held = executor.submit(gate)
    quick = [executor.submit(abs, -number) for number in range(20)]
    assert set(futures.as_completed(quick, LIMIT)) == set(quick)
    waiting = spawn(futures.wait, [held, *quick], LIMIT)
    done, not_done = futures.wait([held, *quick], LIMIT, futures.FIRST_COMPLETED)
    assert held in not_done
    assert done == set(quick)
    gate.go.set()
    assert waiting.result().not_done == set()


def test_wait_sees_a_task_that_is_cancelled_at_once(single: Executor) -> None:
    gate = Gate()
    single.submit(gate)
    pending = single.submit(int)
    waiting = spawn(futures.wait, [pending], LIMIT)
    pending.cancel()
    assert waiting.result().done == {pending}
    gate.go.set()


def test_callbacks_are_called_once_in_their_order(single: Executor) -> None:
    gate, seen = Gate(), []
    held = single.submit(gate)
    for number in range(3):
        held.add_done_callback(lambda future, number=number: seen.append((number, future.done())))
    gate.go.set()
    held.result(LIMIT)
    single.submit(int).result(LIMIT)
    assert seen == [(0, True), (1, True), (2, True)]
    held.add_done_callback(seen.append)
    assert seen[3] is held


def test_callback_that_raises_harms_nobody(
    single: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    gate, seen = Gate(), []
    held = single.submit(gate)
    held.add_done_callback(lambda _: fail(ValueError("of a callback")))
    held.add_done_callback(lambda _: fail(SystemExit("of a callback")))
    held.add_done_callback(seen.append)
    gate.go.set()
    held.result(LIMIT)
    assert single.submit(int).result(LIMIT) == 0
    assert seen == [held]
    assert len(caplog.records) == 2


def test_callbacks_may_submit(single: Executor) -> None:
    answers: list[Future[int]] = []
    done = threading.Event()

    def follow(_: object) -> None:
        answers.append(single.submit(abs, -3))
        done.set()

    single.submit(int).add_done_callback(follow)
    assert done.wait(LIMIT)
    assert answers[0].result(LIMIT) == 3


def test_task_sees_the_context_of_its_submitter(executor: Executor) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(5)
    assert executor.submit(variable.get).result(LIMIT) == 5
    assert asyncio.run(executor.run(variable.get)) == 5
    executor.submit(variable.set, 6).result(LIMIT)
    assert variable.get() == 5
    with Executor(1, context=False) as other:
        assert other.submit(variable.get).result(LIMIT) == 0
        assert asyncio.run(other.run(variable.get)) == 0


def test_threads_have_names() -> None:
    name = lambda: threading.current_thread().name  # noqa: E731
    with Executor(1, thread_name_prefix="mine") as executor:
        assert executor.submit(name).result(LIMIT) == "mine_0"
    with Executor(1, name="orders") as executor:
        assert executor.submit(name).result(LIMIT).startswith("orders-")
    with Executor(1) as executor:
        assert executor.submit(name).result(LIMIT).startswith("penstock-executor-")


def test_initializer_runs_in_each_worker_first() -> None:
    local = threading.local()

    def begin(value: int) -> None:
        local.value = value

    barrier = threading.Barrier(3)

    def get() -> int:
        barrier.wait(LIMIT)
        value: int = local.value
        return value

    with Executor(3, "", begin, (7,)) as executor:
        assert [task.result(LIMIT) for task in [executor.submit(get) for _ in range(3)]] == [7] * 3


def test_initializer_that_fails_breaks_the_executor(caplog: pytest.LogCaptureFixture) -> None:
    gate, error = Gate(), ValueError("no beginning")

    def begin() -> None:
        gate()
        raise error

    with Executor(2, initializer=begin) as executor:
        tasks = [executor.submit(int) for _ in range(5)]
        gate.go.set()
        for task in tasks:
            raised = task.exception(LIMIT)
            assert isinstance(raised, futures.BrokenExecutor)
            assert raised.__cause__ is error
        with pytest.raises(futures.BrokenExecutor, match="no beginning"):
            executor.submit(int)
        with pytest.raises(futures.BrokenExecutor):
            asyncio.run(executor.run(int))
    assert executor.stats().failed == 5
    assert "no beginning" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0, got 0"),
        ({"max_workers": "2"}, TypeError, "max_workers must be an int, got str"),
        ({"max_workers": True}, TypeError, "max_workers must be an int, got bool"),
        ({"initializer": 5}, TypeError, "initializer must be a callable"),
        ({"max_pending": 0}, ValueError, "max_pending must be >= 1, got 0"),
        ({"on_full": "no"}, ValueError, "on_full must be 'wait' or 'raise', got 'no'"),
        ({"name": 5}, TypeError, "name must be a str, got int"),
        ({"mp_context": "spawn"}, ValueError, "mp_context is for processes=True only"),
        ({"processes": True, "mp_context": 5}, TypeError, "mp_context must be a context of"),
        ({"processes": True, "mp_context": "x"}, ValueError, "mp_context must be one of"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        Executor(**arguments)


def test_default_size_follows_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    home = "penstock.flow._executor._executor.effective_cpus"
    for cpus, threads, processes in ((0.5, 5, 1), (2.5, 7, 3), (64.0, 32, 64)):
        monkeypatch.setattr(home, lambda cpus=cpus: cpus)
        assert Executor()._max_workers == threads
        assert Executor(processes=True)._max_workers == processes


def test_figures_tell_what_has_become_of_the_tasks(single: Executor) -> None:
    assert single.stats() == ExecutorStats()
    gate = Gate()
    held = single.submit(gate)
    assert gate.running.wait(LIMIT)
    pending = [single.submit(fail, ValueError()) for _ in range(2)]
    now = single.stats()
    assert (now.workers, now.busy, now.pending, now.submitted) == (1, 1, 2, 3)
    time.sleep(0.002)
    gate.go.set()
    held.result(LIMIT)
    assert single.stats().completed == 1, "a result that is there is counted"
    assert pending[1].exception(LIMIT) is not None
    now = single.stats()
    assert (now.busy, now.pending, now.submitted, now.completed, now.failed) == (0, 0, 3, 1, 2)
    assert now.run_seconds >= 0.002
    assert now.wait_seconds >= 0.004


def test_executor_is_collected_and_its_workers_go() -> None:
    executor = Executor(3)
    barrier = threading.Barrier(3)
    for task in [executor.submit(barrier.wait, LIMIT) for _ in range(3)]:
        task.result(LIMIT)
    threads = [worker.thread for worker in executor._core.workers]
    assert len(threads) == 3
    gone = weakref.ref(executor)
    del executor
    gc.collect()
    assert gone() is None
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_tasks_of_a_collected_executor_are_run() -> None:
    gate = Gate()
    executor = Executor(1)
    held, later = executor.submit(gate, 1), executor.submit(abs, -2)
    del executor
    gc.collect()
    gate.go.set()
    assert (held.result(LIMIT), later.result(LIMIT)) == (1, 2)


def test_worker_keeps_no_task_alive(single: Executor) -> None:
    class Thing:
        def method(self) -> Thing:
            return self

    thing = Thing()
    future: Future[Thing] | None = single.submit(thing.method)
    assert future is not None
    assert future.result(LIMIT) is thing
    gone = weakref.ref(thing)
    del thing
    future = None
    single.submit(int).result(LIMIT)  # the worker has come back
    assert gone() is None


def test_failed_task_is_no_cycle(single: Executor) -> None:
    single.submit(int).result(LIMIT)
    gc.collect()
    gc.disable()
    try:
        future: Future[None] | None = single.submit(fail, ValueError())
        assert future is not None
        assert future.exception(LIMIT) is not None
        with pytest.raises(ValueError):
            future.result(LIMIT)
        gone = weakref.ref(future)
        single.submit(int).result(LIMIT)
        future = None
        assert gone() is None
    finally:
        gc.enable()
