"""`CircuitBreaker` in several threads and event loops."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from tests.clock import Clock
from tests.forks import in_child
from tests.threads import LIMIT, spawn

from penstock.errors import CircuitOpen
from penstock.flow._breaker import CircuitBreaker

THREADS = 8
CALLS = 500


def fail() -> None:
    raise OSError


def test_no_call_is_lost_or_counted_twice() -> None:
    breaker = CircuitBreaker(window=10_000, min_calls=10_000)

    @breaker
    def work(number: int) -> None:
        if number % 5 == 0:
            raise OSError

    def run() -> None:
        for number in range(CALLS):
            try:
                if number % 2:
                    work(number)
                else:
                    with breaker:
                        work.__wrapped__(number)  # type: ignore[attr-defined]
            except OSError:
                pass

    for thread in [spawn(run) for _ in range(THREADS)]:
        thread.result()
    stats = breaker.stats()
    assert (stats.calls, stats.failures) == (THREADS * CALLS, THREADS * CALLS // 5)
    assert (stats.state, stats.window_calls) == ("closed", THREADS * CALLS)


def test_it_opens_once_and_all_threads_see_it() -> None:
    told: list[Any] = []
    breaker = CircuitBreaker(
        window=50, min_calls=50, timer=Clock(), on_change=lambda _, *change: told.append(change)
    )

    def run() -> int:
        refused = 0
        for _ in range(CALLS):
            try:
                breaker.call(fail)
            except OSError:
                assert refused == 0, "it called although it was open"
            except CircuitOpen:
                refused += 1
        return refused

    refused = sum(thread.result() for thread in [spawn(run) for _ in range(THREADS)])
    stats = breaker.stats()
    assert told == [("closed", "open")]
    assert stats.opened == 1
    assert stats.rejected == refused
    # Calls that were under way when it opened are of the old generation.
    assert 50 <= stats.calls <= THREADS * CALLS - refused


def test_on_trial_no_more_than_allowed_run_at_a_time() -> None:
    clock = Clock()
    breaker = CircuitBreaker(trial_calls=2, jitter=0.0, open_for=10, timer=clock)
    breaker.trip()
    clock.advance(10)
    entered, refused = threading.Semaphore(0), threading.Semaphore(0)
    leave = threading.Event()

    def run() -> bool:
        try:
            with breaker:
                entered.release()
                assert leave.wait(LIMIT)
        except CircuitOpen:
            refused.release()
            return False
        return True

    threads = [spawn(run) for _ in range(THREADS)]
    for _ in range(2):
        assert entered.acquire(timeout=LIMIT)
    for _ in range(THREADS - 2):
        assert refused.acquire(timeout=LIMIT)
    leave.set()
    assert sum(thread.result() for thread in threads) == 2
    assert breaker.state == "closed"


def test_event_loops_may_share_one() -> None:
    breaker = CircuitBreaker(window=1000, min_calls=1000)

    @breaker
    async def work() -> None:
        await asyncio.sleep(0)
        raise OSError

    async def main() -> None:
        results = await asyncio.gather(*(work() for _ in range(50)), return_exceptions=True)
        assert {type(each) for each in results} == {OSError}

    for thread in [spawn(asyncio.run, main()) for _ in range(4)]:
        thread.result()
    assert breaker.stats().failures == 200


def test_on_change_runs_in_the_thread_that_caused_it() -> None:
    where: list[int] = []
    breaker = CircuitBreaker(on_change=lambda *_: where.append(threading.get_ident()))

    def trip() -> int:
        breaker.trip()
        return threading.get_ident()

    assert [spawn(trip).result()] == where
    breaker.reset()
    assert where[1] == threading.get_ident()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_what_there_was() -> None:
    breaker = CircuitBreaker(window=2)
    with pytest.raises(OSError):
        breaker.call(fail)

    def check() -> None:
        assert breaker.stats().failures == 1
        with pytest.raises(OSError):
            breaker.call(fail)
        assert breaker.state == "open"

    assert in_child(check)
    assert breaker.state == "closed"
