"""The threads that refresh stale values: started once, replaced, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from tests.clock import Clock
from tests.stress.harness import in_child
from tests.stress.test_threads import THREADS, together
from tests.threads import LIMIT

from penstock import cached
from penstock.caching import _sync


@in_child
def test_first_stale_hits_of_all_threads_start_one_refresh() -> None:
    make = _sync._Background.__init__

    def make_slowly(self: object) -> None:
        threading.Event().wait(0.05)  # time enough for all to find that nothing is there yet
        make(self)

    _sync._Background.__init__ = make_slowly
    clock, go, left = Clock(), threading.Event(), threading.Semaphore(0)
    calls: Counter[str] = Counter()

    @cached(ttl=10, stale=5, timer=clock, on_evict=lambda *_: left.release())
    def load(key: str) -> str:
        calls[key] += 1
        assert not clock.now or go.wait(LIMIT)
        return key

    keys = list("abcdefgh")
    for key in keys:
        load(key)
    clock.advance(10)
    assert together(lambda number: [load(key) for key in keys]) == [keys] * THREADS
    go.set()
    for _ in keys:
        assert left.acquire(timeout=LIMIT)
    assert calls == Counter(dict.fromkeys(keys, 2))


@in_child
def test_refresh_that_hangs_does_not_keep_the_process_from_ending() -> None:
    clock, inside = Clock(), threading.Event()

    @cached(ttl=10, stale=5, timer=clock)
    def load(key: str) -> str:
        if clock.now:
            inside.set()
            threading.Event().wait()
        return key

    load("a")
    clock.advance(10)
    assert load("a") == "a"
    assert inside.wait(LIMIT)


@in_child
def test_refreshes_that_exit_do_not_stop_later_ones() -> None:
    logging.disable()
    clock, refreshed = Clock(), threading.Event()
    exits = threading.Semaphore(0)

    @cached(ttl=10, stale=5, timer=clock, on_evict=lambda *_: refreshed.set())
    def load(key: int) -> int:
        if clock.now and key < 10:
            exits.release()
            raise SystemExit  # ends a thread, quietly
        return key

    for key in range(11):
        load(key)
    clock.advance(10)
    for key in range(10):
        assert load(key) == key
        assert exits.acquire(timeout=LIMIT / 2), "nobody refreshes"
    assert load(10) == 10
    assert refreshed.wait(LIMIT / 2)
