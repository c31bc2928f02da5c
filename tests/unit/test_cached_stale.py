"""`stale=` on ordinary functions: an old value is served while a thread refreshes it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.clock import Clock
from tests.threads import LIMIT

from penstock import Cache, cached

if TYPE_CHECKING:
    from collections.abc import Callable

TTL, STALE = 10, 5


class Source:
    """A cached function whose loads after the first one wait until they are let go."""

    def __init__(self, **options: object) -> None:
        self.clock = Clock()
        self.threads: list[threading.Thread] = []
        self.inside = threading.Event()
        self.go = threading.Event()
        self.replaced = threading.Event()
        self.error: BaseException | None = None
        self.load = cached(ttl=TTL, stale=STALE, timer=self.clock, on_evict=self._left, **options)(
            self._load
        )

    def _load(self, key: str) -> str:
        self.threads.append(threading.current_thread())
        number = len(self.threads)
        if number > 1:
            self.inside.set()
            assert self.go.wait(LIMIT)
        if self.error is not None:
            raise self.error
        return f"{key} {number}"

    def _left(self, key: str, value: str, cause: str) -> None:
        if cause == "replaced":
            self.replaced.set()


class Told(logging.Handler):
    """Says when something has been logged."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.event.set()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the library logs."""
    handler = Told()
    monkeypatch.setattr(logging.getLogger("penstock.caching"), "handlers", [handler])
    return handler


def until(condition: Callable[[], bool]) -> None:
    """Let other threads run until something has come about that sets no event."""
    while not condition():
        time.sleep(0)


def test_fresh_value_starts_no_refresh() -> None:
    source = Source()
    assert source.load("a") == "a 1"
    source.clock.advance(9.999)
    assert source.load("a") == "a 1"
    assert source.load.stats().loads == 1
    assert not source.inside.is_set()


def test_stale_value_is_served_while_a_thread_refreshes_it() -> None:
    source = Source()
    assert source.load("a") == "a 1"
    source.clock.advance(TTL)
    assert source.load("a") == "a 1"
    assert source.inside.wait(LIMIT)
    assert source.threads[1] is not threading.current_thread()
    assert source.load("a") == "a 1"
    source.go.set()
    assert source.replaced.wait(LIMIT)
    assert source.load("a") == "a 2"
    source.clock.advance(9.999)
    assert source.load("a") == "a 2"
    assert len(source.threads) == 2


def test_there_is_one_refresh_of_a_key_at_a_time() -> None:
    source = Source()
    source.load("a")
    source.clock.advance(TTL)
    for _ in range(20):
        assert source.load("a") == "a 1"
    assert source.inside.wait(LIMIT)
    for _ in range(20):
        assert source.load("a") == "a 1"
    source.go.set()
    assert source.replaced.wait(LIMIT)
    assert len(source.threads) == 2


def test_value_past_its_stale_time_is_loaded_in_the_foreground() -> None:
    source = Source()
    source.go.set()
    source.load("a")
    source.clock.advance(TTL + STALE)
    assert source.load("a") == "a 2"
    assert source.threads[1] is threading.current_thread()


def test_value_is_served_to_the_end_of_its_stale_time() -> None:
    source = Source()
    source.load("a")
    source.clock.advance(TTL + STALE - 0.001)
    assert source.load("a") == "a 1"
    source.go.set()
    assert source.replaced.wait(LIMIT)


def test_failing_refresh_is_logged_and_keeps_the_old_value(told: Told) -> None:
    source = Source()
    source.load("a")
    source.clock.advance(TTL)
    source.error = ValueError("source is down")
    source.go.set()
    assert source.load("a") == "a 1"
    assert told.event.wait(LIMIT)
    (record,) = told.records
    assert record.levelname == "WARNING"
    assert "'a'" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is source.error
    assert source.load("a") == "a 1"
    assert source.load.stats().load_failures >= 1


def test_refresh_is_tried_again_after_a_failure(told: Told) -> None:
    source = Source()
    source.load("a")
    source.clock.advance(TTL)
    source.error = ValueError("source is down")
    source.go.set()
    source.load("a")
    assert told.event.wait(LIMIT)
    source.error = None
    # The refresh that failed may not have been signed off yet.
    until(lambda: source.load("a") and source.replaced.is_set())
    assert source.load("a") == f"a {len(source.threads)}"


def test_invalidation_during_a_refresh_prevents_the_store() -> None:
    source = Source()
    source.load("a")
    source.clock.advance(TTL)
    source.load("a")
    assert source.inside.wait(LIMIT)
    assert source.load.invalidate("a") is True
    source.load.cache["a"] = "by hand"
    before = source.load.stats().loads
    source.go.set()
    until(lambda: source.load.stats().loads > before)
    assert source.load("a") == "by hand"


def test_keys_are_refreshed_side_by_side() -> None:
    source = Source()
    source.go.set()
    source.load("a")
    source.load("b")
    source.go.clear()
    source.inside.clear()
    source.clock.advance(TTL)
    assert [source.load("a"), source.load("b")] == ["a 1", "b 2"]
    source.go.set()
    until(lambda: source.load.stats().loads == 4)
    assert {source.load("a"), source.load("b")} in ({"a 3", "b 4"}, {"a 4", "b 3"})


def test_stale_hits_are_hits() -> None:
    source = Source()
    source.load("a")
    source.clock.advance(TTL)
    source.load("a")
    assert source.load.cache_info() == (1, 1, 1024, 1)
    source.go.set()
    assert source.replaced.wait(LIMIT)


def test_hit_reads_the_timer_once() -> None:
    clock = Clock()
    load = cached(ttl=TTL, stale=STALE, timer=clock)(str.upper)
    load("a")
    calls = clock.calls
    load("a")
    assert clock.calls == calls + 1


def test_arguments_reach_the_refresh_as_they_were_given() -> None:
    clock, done = Clock(), threading.Event()
    seen = []

    @cached(ttl=TTL, stale=STALE, timer=clock)
    def load(*args: object, **kwargs: object) -> None:
        seen.append((args, kwargs))
        if len(seen) == 2:
            done.set()

    load("a", 2, option="x")
    clock.advance(TTL)
    load("a", 2, option="x")
    assert done.wait(LIMIT)
    assert seen == [(("a", 2), {"option": "x"})] * 2


def test_method_is_refreshed_on_its_instance() -> None:
    clock, done = Clock(), threading.Event()

    class Service:
        def __init__(self) -> None:
            self.calls = 0

        @cached(ttl=TTL, stale=STALE, timer=clock, on_evict=lambda *_: done.set())
        def load(self, key: str) -> int:
            self.calls += 1
            return self.calls

    one, other = Service(), Service()
    assert [one.load("a"), other.load("a")] == [1, 1]
    clock.advance(TTL)
    assert one.load("a") == 1
    assert done.wait(LIMIT)
    assert one.load("a") == 2
    assert [one.calls, other.calls] == [2, 1]


def test_lifetime_is_ttl_and_stale_together() -> None:
    source = Source()
    source.load("a")
    assert source.load.cache.ttl == TTL + STALE
    assert source.load.cache.ttl_of("a") == TTL + STALE


def test_jitter_shortens_the_fresh_part_only() -> None:
    lifetimes = []
    load = cached(None, ttl=TTL, stale=STALE, jitter=0.5, timer=lambda: 0.0)(str)
    for number in range(500):
        load(number)
        lifetimes.append(load.cache.ttl_of(number))
    assert min(lifetimes) > TTL / 2 + STALE
    assert min(lifetimes) < TTL / 2 + STALE + 1
    assert TTL + STALE - 1 < max(lifetimes) <= TTL + STALE


def test_entry_set_by_hand_with_a_short_life_is_stale_from_the_start() -> None:
    done = threading.Event()
    clock = Clock()
    cache: Cache[object, object] = Cache(8, timer=clock, on_evict=lambda *_: done.set())
    load = cached(cache=cache, ttl=TTL, stale=STALE)(str.upper)
    cache.set("a", "by hand", ttl=STALE - 1)
    assert load("a") == "by hand"
    assert done.wait(LIMIT)
    assert load("a") == "A"


def test_entry_set_by_hand_without_a_limit_is_never_stale() -> None:
    clock = Clock()
    load = cached(ttl=TTL, stale=STALE, timer=clock)(str.upper)
    load.cache.set("a", "by hand", ttl=None)
    clock.advance(1_000_000)
    assert [load("a"), load("a")] == ["by hand", "by hand"]
    assert load.stats().loads == 0
