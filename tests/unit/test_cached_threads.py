"""`cached` functions called by eight threads at once."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.threads import LIMIT, spawn

from penstock import cached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 8


@pytest.fixture(autouse=True)
def _interleaving() -> Iterator[None]:
    """Let threads interrupt each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def together(work: Callable[[int], object]) -> list[object]:
    """Call work(0) to work(7) in threads that start at the same moment."""
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> object:
        barrier.wait(LIMIT)
        return work(number)

    return [thread.result() for thread in [spawn(run, number) for number in range(THREADS)]]


def test_every_key_is_loaded_exactly_once() -> None:
    calls: Counter[int] = Counter()

    @cached(maxsize=None)
    def load(key: int) -> object:
        calls[key] += 1
        return object()

    results = together(lambda _: [load(key) for key in range(500)])
    assert all(result == results[0] for result in results)
    assert calls == Counter(range(500))
    info = load.cache_info()
    assert info.hits + info.misses == THREADS * 500
    assert info.currsize == load.stats().loads == 500


def test_threads_that_come_during_a_load_wait_for_it() -> None:
    inside, go = threading.Event(), threading.Event()
    calls = []

    @cached
    def load(key: str) -> object:
        calls.append(key)
        inside.set()
        assert go.wait(LIMIT)
        return object()

    threads = [spawn(load, "a")]
    assert inside.wait(LIMIT)
    threads += [spawn(load, "a") for _ in range(THREADS - 1)]
    go.set()
    assert len({thread.result() for thread in threads}) == 1
    assert calls == ["a"]


def test_threads_that_wait_share_the_failure() -> None:
    inside, go = threading.Event(), threading.Event()
    error = ValueError("a")
    calls = []

    @cached
    def load(key: str) -> str:
        calls.append(key)
        if len(calls) == 1:
            inside.set()
            assert go.wait(LIMIT)
            raise error
        return key

    leader = spawn(load, "a")
    assert inside.wait(LIMIT)
    waiting = threading.Semaphore(0)

    def wait() -> str:
        waiting.release()
        return load("a")

    waiters = [spawn(wait) for _ in range(3)]
    for _ in waiters:
        assert waiting.acquire(timeout=LIMIT)
    go.set()
    assert leader.wait().error is error
    # Those that did come to wait share it; whoever came late found no load, and began one.
    for waiter in waiters:
        assert waiter.wait().error is error or waiter.result() == "a"
    assert load("a") == "a"
    assert len(calls) == 2


def test_interrupted_load_is_taken_over_by_a_waiter() -> None:
    class Interrupt(BaseException):
        pass

    inside, go = threading.Event(), threading.Event()
    calls = []

    @cached
    def load(key: str) -> str:
        calls.append(key)
        if len(calls) == 1:
            inside.set()
            assert go.wait(LIMIT)
            raise Interrupt
        return key

    leader = spawn(load, "a")
    assert inside.wait(LIMIT)
    waiters = [spawn(load, "a") for _ in range(3)]
    go.set()
    assert isinstance(leader.wait().error, Interrupt)
    assert [waiter.result() for waiter in waiters] == ["a"] * 3
    assert len(calls) == 2


def test_keys_are_loaded_side_by_side() -> None:
    barrier = threading.Barrier(THREADS)

    @cached
    def load(key: int) -> int:
        barrier.wait(LIMIT)  # all of them have to be in here at once
        return key

    assert together(load) == list(range(THREADS))


def test_evictions_invalidations_and_refreshes_at_once() -> None:
    @cached(maxsize=10)
    def load(key: int, *, scale: int = 1) -> tuple[int, int]:
        return (key, scale)

    def work(offset: int) -> None:
        for number in range(1000):
            key = (number * (offset + 3)) % 25
            assert load(key) == (key, 1)
            assert load(key, scale=offset) == (key, offset)
            if number % 10 == 0:
                load.invalidate(key)
                assert load.refresh(key) == (key, 1)
            if number % 300 == 0:
                load.cache_clear()

    together(work)
    assert load.cache_info().currsize <= 10
