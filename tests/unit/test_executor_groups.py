"""Several tasks of an `Executor` at once: tasks of tasks, barriers, gatherings and `map`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import CancelledError

import pytest
from tests.executors import WORKERS, Gate, fail
from tests.threads import LIMIT

from penstock.flow._executor import Executor


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


def test_eight_tasks_of_a_task_run_at_once() -> None:
    barrier = threading.Barrier(WORKERS)

    def nest(executor: Executor) -> list[int]:
        tasks = [executor.submit(barrier.wait, LIMIT) for _ in range(WORKERS)]
        return [futures.Future.result(task, LIMIT) for task in tasks]

    with Executor(WORKERS + 1) as executor:
        for _ in range(5):
            assert sorted(executor.submit(nest, executor).result(LIMIT)) == list(range(WORKERS))


def test_tasks_that_wait_for_tasks_need_no_more_workers(single: Executor) -> None:
    def countdown(number: int) -> int:
        return 0 if not number else 1 + single.submit(countdown, number - 1).result()

    assert single.submit(countdown, 50).result(LIMIT) == 50
    stats = single.stats()
    assert (stats.completed, stats.pending, stats.workers) == (51, 0, 1)


def test_task_of_a_task_that_is_taken_out_of_turn_runs_once(single: Executor) -> None:
    ran: list[int] = []

    def nest() -> int:
        tasks = [single.submit(ran.append, number) for number in range(5)]
        tasks[2].result()
        return len(ran)

    assert single.submit(nest).result(LIMIT) == 1
    single.barrier().result(LIMIT)
    assert ran == [2, 0, 1, 3, 4]


def test_idle_workers_steal_the_tasks_of_a_busy_one(executor: Executor) -> None:
    barrier = threading.Barrier(3)

    def nest() -> None:
        executor.submit(barrier.wait, LIMIT)
        executor.submit(barrier.wait, LIMIT)
        barrier.wait(LIMIT)

    executor.submit(nest).result(LIMIT)
    executor.barrier().result(LIMIT)
    assert executor.stats().stolen == 2


def test_barrier_waits_for_what_was_submitted_before(executor: Executor) -> None:
    gate, other = Gate(), Gate()
    assert executor.barrier().result(LIMIT) is None, "there is nothing to wait for"
    first = executor.submit(gate)
    barrier = executor.barrier()
    later = executor.submit(other)
    assert not barrier.done()
    gate.go.set()
    assert barrier.result(LIMIT) is None
    assert first.done()
    assert not later.done()
    other.go.set()


def test_barrier_passes_cancelled_and_failed_tasks(single: Executor) -> None:
    gate = Gate()
    single.submit(gate)
    pending = single.submit(int)
    single.submit(fail, ValueError())
    barrier = single.barrier()
    pending.cancel()
    gate.go.set()
    assert barrier.result(LIMIT) is None


def test_gathered_results_are_in_order(executor: Executor) -> None:
    tasks = [executor.submit(abs, -number) for number in range(50)]
    assert executor.gather(*tasks).result(LIMIT) == list(range(50))
    assert executor.gather().result(LIMIT) == []


def test_first_error_is_that_of_the_gathering(executor: Executor) -> None:
    gate = Gate()
    held, error = executor.submit(gate), ValueError()
    assert executor.gather(held, executor.submit(fail, error)).exception(LIMIT) is error
    gathered = executor.gather(held, executor.submit(fail, error), return_exceptions=True)
    assert not gathered.done()
    gate.go.set()
    assert gathered.result(LIMIT) == [None, error]


def test_task_that_gathers_others_runs_what_no_worker_is_free_for(single: Executor) -> None:
    def gather() -> list[int]:
        return single.gather(*[single.submit(abs, -n) for n in range(3)]).result(LIMIT)

    assert single.submit(gather).result(LIMIT) == [0, 1, 2]


def test_cancelled_gathering_cancels_what_does_not_run(single: Executor) -> None:
    gate = Gate()
    held = single.submit(gate)
    assert gate.running.wait(LIMIT)
    pending = [single.submit(int) for _ in range(3)]
    assert single.gather(held, *pending).cancel()
    assert all(task.cancelled() for task in pending)
    gate.go.set()
    assert held.result(LIMIT) is None


def test_cancelled_task_is_an_error_of_the_gathering(single: Executor) -> None:
    gate = Gate()
    single.submit(gate)
    pending = single.submit(int)
    gathered = single.gather(pending)
    pending.cancel()
    assert isinstance(gathered.exception(LIMIT), CancelledError)
    gate.go.set()


def test_only_futures_can_be_gathered(single: Executor) -> None:
    with pytest.raises(TypeError, match=r"^gather\(\) takes futures of .*, got int$"):
        single.gather(5)  # type: ignore[arg-type]


def test_map_is_that_of_the_standard_library(executor: Executor) -> None:
    assert list(executor.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
    assert list(executor.map(pow, range(10), range(5), chunksize=3)) == [1, 1, 4, 27, 256]
    results = executor.map(divmod, [1, 1, 1], [2, 0, 1])
    assert next(results) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_map_is_lazy_with_a_buffer(executor: Executor) -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            yield number

    results = executor.map(abs, numbers(), buffersize=3)
    assert read == [0, 1, 2]
    assert next(results) == 0
    assert read == [0, 1, 2, 3]
    assert list(results) == list(range(1, 10))


def test_map_that_is_given_up_cancels_what_does_not_run(single: Executor) -> None:
    gate = Gate()
    results = single.map(lambda number: gate() if number else None, range(5))
    assert next(results) is None
    assert gate.running.wait(LIMIT)
    results.close()  # type: ignore[attr-defined]
    gate.go.set()
    single.barrier().result(LIMIT)
    assert single.stats().cancelled == 3


def test_map_times_out(single: Executor) -> None:
    gate = Gate()
    with pytest.raises(TimeoutError):
        next(single.map(gate, [1], timeout=0.001))
    gate.go.set()


def test_map_whose_iterable_raises_leaves_no_tasks(single: Executor) -> None:
    gate = Gate()
    single.submit(gate)

    def numbers() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        single.map(fail, numbers())
    gate.go.set()
    single.barrier().result(LIMIT)
    assert single.stats().cancelled == 1


def test_chunksize_and_buffersize_are_positive(single: Executor) -> None:
    with pytest.raises(ValueError, match=r"^chunksize must be >= 1, got 0$"):
        single.map(abs, [1], chunksize=0)
    with pytest.raises(ValueError, match=r"^buffersize must be >= 1, got 0$"):
        single.map(abs, [1], buffersize=0)
