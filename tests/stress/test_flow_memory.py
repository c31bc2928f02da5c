"""However often flow control is used, neither objects nor memory are left behind."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from tests.clock import Clock
from tests.permits import make_breaker, make_gate, make_queue
from tests.stress.harness import cases, in_child, rounds
from tests.stress.hostile import Oops, error_of
from tests.stress.leaks import check_no_growth
from tests.threads import LIMIT, spawn

from penstock import AcquireTimeout, CircuitBreaker, Limiter, RateLimiter, _backend
from penstock.flow import aimd

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = rounds(3_000)


def adaptive() -> Limiter:
    """One whose windows are short: it keeps the latencies of one."""
    return Limiter(aimd(1.0, initial=1, interval=0.001))


BLOCKS: dict[str, Callable[[], Any]] = {
    "limiter": lambda: Limiter(3),
    "adaptive limiter": adaptive,
    "slot": lambda: Limiter(3).slot(2),
    "slot of an adaptive limiter": lambda: adaptive().slot(2),
    "breaker": CircuitBreaker,
    "breaker that measures": lambda: CircuitBreaker(slow_after=5),
    "breaker that forgets": lambda: CircuitBreaker(window_seconds=1, failure_rate=1),
    "rate": lambda: RateLimiter(1e9, 1000),
}


def fail_now_and_then(number: int) -> None:
    if number % 3 == 0:
        raise Oops


@in_child
@cases("what", BLOCKS)
def test_blocks_in_a_thread_leave_nothing(what: str) -> None:
    block = BLOCKS[what]()

    def run(calls: int) -> None:
        for number in range(calls):
            with block:
                pass
            with contextlib.suppress(Oops), block:
                fail_now_and_then(number)

    # Nothing else is called of it: what would tidy up, as `stats()`, may never be.
    check_no_growth(lambda calls: spawn(run, calls).result(), CALLS)


@in_child
@cases("what", BLOCKS)
def test_blocks_in_tasks_leave_nothing(what: str) -> None:
    block = BLOCKS[what]()

    async def main(calls: int) -> None:
        for number in range(calls):
            async with block:
                pass
            with contextlib.suppress(Oops):
                async with block:
                    fail_now_and_then(number)

    check_no_growth(lambda calls: asyncio.run(main(calls)), CALLS)


@in_child
def test_waits_leave_nothing() -> None:
    for limiter in (Limiter(1), Limiter(1, order="priority"), adaptive()):

        async def wait(number: int) -> None:
            deadline = (None, 60.0, 0, 1e-6)[number % 4]
            with contextlib.suppress(AcquireTimeout):
                async with limiter.slot(deadline=deadline, priority=number % 5):
                    await asyncio.sleep(0)

        async def main(calls: int) -> None:
            for _ in range(calls // 8):
                tasks = [asyncio.ensure_future(wait(number)) for number in range(8)]
                await asyncio.sleep(0)
                tasks[5].cancel()
                await asyncio.wait(tasks)

        check_no_growth(lambda calls: asyncio.run(main(calls)), CALLS)
        assert (limiter.in_use, limiter.waiting) == (0, 0)


@in_child
def test_what_is_taken_one_by_one_and_given_back_together_leaves_no_notes() -> None:
    limiter = Limiter(aimd(1.0, initial=10))

    def run(calls: int) -> None:
        for _ in range(calls):
            for _ in range(8):
                assert limiter.try_acquire()
            limiter.release(8)

    # The samples of the latest second or so are more at one time than at another.
    check_no_growth(run, rounds(15_000))


@in_child
def test_note_of_what_was_given_back_with_other_permits_is_forgotten() -> None:
    clock = Clock()
    queue = make_queue(_backend, 5, timer=clock)
    queue._sample(1.0, 1)
    for _ in range(3):
        queue.try_acquire()
    queue.release(3, outcome="ignored")
    clock.advance(1000)
    # Taken by one thread, given back by another: nobody knows for how long it was held.
    spawn(queue.try_acquire).result()
    queue.release()
    assert queue.told == []


@in_child
def test_calls_leave_no_leases() -> None:
    clock = Clock()
    breaker = make_breaker(_backend, count=5, slow_after=1.0, trial_calls=3, timer=clock)

    def run(calls: int) -> None:
        for number in range(calls):
            clock.advance(0.1)
            with contextlib.suppress(breaker.Refused):
                lease = breaker._begin()
                breaker._end(lease, ("success", "failure", "ignored", "success")[number % 4])
                breaker._end(lease, "success")  # once too often
            breaker.told.clear()

    check_no_growth(run, rounds(20_000))
    clock.advance(100)
    assert breaker._begin() < 10


@in_child
def test_errors_leave_nothing() -> None:
    queue = make_queue(_backend, 1, max_waiting=1)
    gate, breaker = make_gate(_backend, 1.0, 2), make_breaker(_backend)
    calls: list[Callable[[], object]] = [
        queue.release,
        lambda: queue.release(10**30),
        lambda: queue.release(outcome=object()),
        lambda: queue.acquire("1"),
        lambda: queue.acquire(1, priority=10**30),
        lambda: queue.acquire(1, priority=object()),
        lambda: queue.try_acquire(bad=1),
        lambda: queue.resize(0),
        lambda: queue._init(1, max_waiting=object()),
        lambda: queue.__aexit__(Oops, Oops(), None),
        lambda: gate._take(3),
        lambda: gate.acquire(object()),
        lambda: gate.try_acquire(0),
        lambda: breaker._end(0, object()),
        lambda: breaker._end(None, "success"),
        lambda: breaker.trip(float("nan")),
        lambda: breaker.trip("x"),
        lambda: breaker.__aexit__(1, 2),
    ]
    queue.acts["outcome"] = lambda *_: fail_now_and_then(0)

    def run(count: int) -> None:
        for _ in range(count // 10):
            for call in calls:
                error_of(call)
            queue.told.clear()
            breaker.told.clear()

    check_no_growth(run, CALLS)


@in_child
def test_threads_that_wait_and_end_leave_nothing() -> None:
    limiter, rate = Limiter(1), RateLimiter(1e6)

    def work(go: threading.Event) -> None:
        assert go.wait(LIMIT)
        for number in range(20):
            slot = limiter.slot(deadline=(1e-6, 5)[number % 2])
            with contextlib.suppress(AcquireTimeout), slot, rate:
                pass

    def run(calls: int) -> None:
        for _ in range(calls // 80):
            go = threading.Event()
            threads = [spawn(work, go) for _ in range(4)]
            go.set()
            for thread in threads:
                thread.result()

    check_no_growth(run, CALLS)
    assert (limiter.in_use, limiter.waiting, rate.waiting) == (0, 0, 0)
