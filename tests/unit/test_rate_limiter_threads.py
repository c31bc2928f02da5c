"""One `RateLimiter` for several threads and event loops, some of which end before their turn."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from time import monotonic

import pytest
from tests.clock import Clock
from tests.loading import settle
from tests.threads import LIMIT, spawn

from penstock.bench._virtual_loop import VirtualLoop, run
from penstock.errors import AcquireTimeout, DeadlineExceeded, LimitExceeded
from penstock.flow._deadline import deadline
from penstock.flow._rate import RateLimiter


def test_threads_wait_for_their_time() -> None:
    limiter, start = RateLimiter(1000.0), monotonic()

    @limiter
    def decorated() -> None:
        pass

    def work() -> None:
        with limiter:
            pass
        decorated()

    for thread in [spawn(work) for _ in range(5)]:
        thread.result()
    # Ten, of which the first did not have to wait: that is the subject here.
    assert monotonic() - start >= 0.009
    stats = limiter.stats()
    assert (stats.acquired, stats.waiting) == (10, 0)
    assert stats.wait_seconds > 0


def test_thread_that_would_be_too_late_is_told_at_once() -> None:
    limiter = RateLimiter(1e-6)
    with limiter:
        pass
    with pytest.raises(AcquireTimeout):
        limiter._block(1, 5.0)
    with deadline(5.0), pytest.raises(DeadlineExceeded), limiter:
        pass
    assert limiter.stats().timeouts == 2


def test_thread_is_turned_away_from_a_full_line() -> None:
    limiter = RateLimiter(1e-6, max_waiting=0)
    with limiter:
        pass
    with pytest.raises(LimitExceeded), limiter:
        pass
    assert limiter.stats().rejected == 1


def test_thread_with_an_event_loop_does_not_wait() -> None:
    async def main() -> None:
        limiter = RateLimiter(1e-6)
        with limiter:
            pass
        with pytest.raises(RuntimeError, match=r"would block the event loop"), limiter:
            pass
        assert limiter.stats().waiting == 0

    run(main())


def test_interrupted_thread_passes_its_turn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupt(BaseException):
        pass

    class Lock:
        def acquire(self, timeout: float = -1) -> bool:
            if timeout > 0:
                raise Interrupt
            return True

        def locked(self) -> bool:
            return False

    monkeypatch.setattr("penstock._waiters.Lock", Lock)
    limiter = RateLimiter(1e-6)
    with limiter:
        pass
    for number in (1, 2):
        with pytest.raises(Interrupt), limiter:
            pass
        stats = limiter.stats()
        assert (stats.waiting, stats.cancelled, stats.acquired) == (0, number, 1)


def test_new_rate_wakes_a_thread_that_waits() -> None:
    clock = Clock()
    limiter = RateLimiter(1e-6, timer=clock)
    limiter.try_acquire()
    thread = spawn(limiter.__enter__)
    while limiter._turns.current() is None:
        threading.Event().wait(1e-3)
    limiter.set_rate(1e-3)
    clock.advance(1e4)
    limiter.set_rate(1e3)  # from now on it looks at a clock that has gone on
    thread.result()
    assert limiter.stats().acquired == 2


def test_loops_and_threads_share_a_rate() -> None:
    limiter = RateLimiter(5000.0, 2)

    def in_thread() -> None:
        for _ in range(20):
            with limiter:
                pass

    async def tasks() -> None:
        async def task() -> None:
            for _ in range(5):
                async with limiter:
                    pass

        await asyncio.gather(*[task() for _ in range(4)])

    works = [in_thread, in_thread, *[lambda: asyncio.run(tasks())] * 2]
    start = monotonic()
    for thread in [spawn(work) for work in works]:
        thread.result()
    assert monotonic() - start >= (80 - 2) / 5000
    stats = limiter.stats()
    assert (stats.acquired, stats.waiting, stats.cancelled) == (80, 0, 0)


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_turn_of_a_task_whose_loop_was_closed_is_taken_back(
    count: int, is_kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "asyncio")  # it says that tasks were destroyed
    clock = Clock()
    limiter = RateLimiter(1.0, timer=clock)
    limiter.try_acquire()
    gone: list[asyncio.Future[None]] = []

    def abandon() -> None:
        loop = VirtualLoop()

        async def ask() -> None:
            gone.extend(asyncio.ensure_future(limiter.acquire()) for _ in range(count))
            await settle()

        loop.run_until_complete(ask())
        loop.close()

    spawn(abandon).result()
    assert limiter.waiting == count
    if not is_kept:
        gone.clear()
        gc.collect()
    clock.advance(1.0)
    thread = spawn(limiter.__enter__)
    thread.result()
    assert limiter.stats().acquired == 2
    gone.clear()
    gc.collect()
    assert limiter.waiting == 0
    clock.advance(1.0)
    assert limiter.try_acquire()


def test_head_in_another_thread_hears_of_a_new_rate() -> None:
    asked = threading.Event()
    limiter = RateLimiter(1e-6)
    limiter.try_acquire()

    async def ask() -> None:
        waiting = asyncio.ensure_future(limiter.acquire())
        await settle()
        asked.set()
        async with asyncio.timeout(LIMIT):
            await waiting

    thread = spawn(lambda: asyncio.run(ask()))
    assert asked.wait(LIMIT)
    limiter.set_rate(1e9)
    thread.result()
    assert limiter.stats().acquired == 2
