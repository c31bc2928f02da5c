"""`Executor` with threads that interrupt each other all of the time, at its end, and for long."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
from collections import Counter
from typing import Any

from tests.stress.harness import collect, in_child, rounds
from tests.stress.leaks import check_no_growth
from tests.threads import LIMIT, spawn

from penstock.errors import TaskExpired
from penstock.flow._executor import Executor

THREADS = 8


@in_child
def test_no_task_is_left_lying_with_many_producers() -> None:
    sys.setswitchinterval(1e-6)
    for workers in (1, 2, 8):
        with Executor(workers) as executor:

            def produce(offset: int, executor: Executor = executor) -> int:
                total = 0
                for number in range(rounds(300)):
                    tasks = [executor.submit(abs, -each) for each in range(number % 4 + 1)]
                    # Workers fall asleep, and are woken, all of the time.
                    total += sum(task.result(LIMIT) for task in tasks) + offset
                return total

            threads = [spawn(produce, offset) for offset in range(THREADS)]
            sums = [thread.result() for thread in threads]
            assert len({total - rounds(300) * offset for offset, total in enumerate(sums)}) == 1
            now = executor.stats()
            assert now.submitted == now.completed


@in_child
def test_no_task_is_left_lying_with_many_producers_on_locks() -> None:
    from penstock._pure.parker import Parker
    from penstock.flow._executor import _future, _worker

    _worker.Parker = _future.Parker = Parker
    sys.setswitchinterval(1e-6)
    with Executor(4) as executor:

        def produce() -> None:
            for _ in range(rounds(500)):
                assert executor.submit(abs, -1).result(LIMIT) == 1

        for thread in [spawn(produce) for _ in range(THREADS)]:
            thread.wait().result()


@in_child
def test_tasks_of_tasks_of_tasks_all_end() -> None:
    sys.setswitchinterval(1e-6)
    with Executor(3) as executor:

        def fib(number: int) -> int:
            if number < 2:
                return number
            one, two = executor.submit(fib, number - 1), executor.submit(fib, number - 2)
            return one.result(LIMIT) + two.result(LIMIT)

        assert executor.submit(fib, 13).result(LIMIT) == 233
        assert executor.stats().pending == 0


@in_child
def test_mixed_use_resolves_every_future() -> None:
    sys.setswitchinterval(1e-5)
    executor = Executor(4, max_pending=50)
    outcomes: Counter[str] = Counter()

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(rounds(400)):
            view = executor.with_options(
                priority=dice.choice([None, -1, 0, 1]),
                deadline=dice.choice([None, 0.0005, 60]),
                validate=dice.choice([None, None, lambda value: value != 3]),
                key=dice.choice([None, None, "a", "b"]),
            )
            task = view.submit(abs, -dice.randrange(5))
            if dice.random() < 0.2:
                task.cancel()
            try:
                task.result(LIMIT)
            except TaskExpired:
                outcomes["expired"] += 1
            except BaseException as error:
                outcomes[type(error).__name__] += 1
            else:
                outcomes["result"] += 1

    for thread in [spawn(work, seed) for seed in range(THREADS)]:
        thread.result()
    assert set(outcomes) <= {"result", "expired", "ValueError", "CancelledError"}, outcomes
    executor.shutdown()
    now = executor.stats()
    assert now.pending == now.busy == 0
    assert now.submitted == now.completed + now.failed + now.cancelled + now.expired
    assert len(executor._ledger) == 0
    assert executor._core.places is not None
    assert executor._core.places.in_use == 0


@in_child
def test_loops_and_cancellation_in_many_threads() -> None:
    sys.setswitchinterval(1e-5)
    with Executor(4) as executor:

        async def main(seed: int) -> None:
            dice = random.Random(seed)
            for _ in range(rounds(60)):
                runs = [asyncio.ensure_future(executor.run(abs, -1)) for _ in range(10)]
                await asyncio.sleep(0)
                for run in dice.sample(runs, 3):
                    run.cancel()
                done, _ = await asyncio.wait(runs, timeout=LIMIT)
                assert len(done) == 10

        for thread in [spawn(asyncio.run, main(seed)) for seed in range(4)]:
            thread.result()
        executor.barrier().result(LIMIT)
        now = executor.stats()
        assert now.submitted == now.completed + now.cancelled


@in_child
def test_barriers_are_never_early_and_always_come() -> None:
    sys.setswitchinterval(1e-6)
    with Executor(4) as executor:

        def work() -> None:
            for _ in range(rounds(100)):
                tasks = [executor.submit(abs, -1) for _ in range(5)]
                executor.barrier().result(LIMIT)
                assert all(task.done() for task in tasks)

        for thread in [spawn(work) for _ in range(4)]:
            thread.result()


@in_child
def test_calls_leave_nothing_behind() -> None:
    def run(calls: int) -> None:
        with Executor(2) as executor:
            plain = executor.with_options(priority=1, deadline=60, key="k")
            for _ in range(calls // 20):
                for task in [executor.submit(abs, -1) for _ in range(15)]:
                    task.result(LIMIT)
                plain.submit(int).result(LIMIT)
                executor.barrier().result(LIMIT)
                executor.gather(executor.submit(int), executor.submit(int)).result(LIMIT)
                executor.submit(int, "x").exception(LIMIT)

    check_no_growth(run, rounds(3000))


@in_child
def test_awaited_calls_leave_nothing_behind() -> None:
    async def main(calls: int) -> None:
        executor = Executor(2)
        for _ in range(calls // 10):
            await asyncio.gather(*(executor.run(abs, -1) for _ in range(9)))
            await executor.submit(abs, -1)
        await executor.aclose()

    check_no_growth(lambda calls: asyncio.run(main(calls)), rounds(3000))


@in_child
def test_threads_and_descriptors_do_not_add_up() -> None:
    def once() -> None:
        executor = Executor(3)
        barrier = threading.Barrier(3)
        for task in [executor.submit(barrier.wait) for _ in range(3)]:
            task.result(LIMIT)
        if os.getpid() % 2:
            executor.shutdown()

    once()
    collect()
    for _ in range(rounds(30)):
        once()
    collect()
    end = time.monotonic() + LIMIT
    while threading.active_count() > 1:
        assert time.monotonic() < end, threading.enumerate()
        time.sleep(0.001)
    assert len(os.listdir("/proc/self/fd")) < 30


@in_child
def test_garbage_with_executors_is_collected() -> None:
    gc.disable()
    for _ in range(20):
        executor: Any = Executor(1)
        executor.itself = executor
        executor.submit(int).result(LIMIT)
    del executor
    collect()
    end = time.monotonic() + LIMIT
    while threading.active_count() > 1:
        assert time.monotonic() < end, threading.enumerate()
        time.sleep(0.001)


# --- the end of the interpreter ------------------------------------------------------------------


@in_child
def test_end_waits_for_what_is_pending() -> None:
    executor = Executor(2)
    done: list[int] = []

    def late(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    for number in range(10):
        executor.submit(late, number)
    import atexit

    atexit.register(lambda: None if len(done) == 10 else os._exit(1))


@in_child
def test_end_with_executors_that_are_idle_and_one_in_a_cycle() -> None:
    sys.modules["keeps"] = Executor(2)  # type: ignore[assignment]
    sys.modules["keeps"].submit(int).result()
    executor: Any = Executor(1)
    executor.itself = executor
    executor.with_options(deadline=3600).submit(int).result()


@in_child
def test_nothing_is_accepted_at_the_end() -> None:
    executor = Executor(2)
    executor.submit(int).result()

    def submit() -> None:
        for each in (executor, Executor(1)):
            try:
                each.submit(int)
            except RuntimeError as error:
                if "after interpreter shutdown" in str(error):
                    continue
            os._exit(1)

    import atexit

    atexit.register(submit)


@in_child
def test_end_while_a_daemon_thread_submits() -> None:
    executor = Executor(2)
    begun = threading.Event()

    def submit() -> None:
        try:
            while True:
                executor.submit(int).result()
                begun.set()
        except RuntimeError:
            pass

    threading.Thread(target=submit, daemon=True).start()
    assert begun.wait(LIMIT)


@in_child
def test_end_with_processes_that_are_idle() -> None:
    executor = Executor(2, processes=True)
    assert executor.submit(abs, -1).result() == 1
    sys.modules["keeps"] = executor  # type: ignore[assignment]
