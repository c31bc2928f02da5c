"""Invalidation and refresh while a thread loads."""

from __future__ import annotations

import threading

from tests.threads import LIMIT, spawn
from tests.unit.test_cached_invalidation import outdate, ways

from penstock import cached


class HeldFunction:
    """A function whose first call waits, in whatever thread, until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.inside = threading.Event()
        self.go = threading.Event()

    def __call__(self, key: str) -> str:
        self.calls += 1
        number = self.calls
        if number == 1:
            self.inside.set()
            assert self.go.wait(LIMIT)
        return f"{key} {number}"


@ways
def test_outdated_load_reaches_its_waiters_and_is_not_stored(way: str) -> None:
    held = HeldFunction()
    load = cached(held)
    first = spawn(load, "a")
    assert held.inside.wait(LIMIT)
    outdate(load, way)
    held.go.set()
    assert first.result() == "a 1"
    assert "a" not in load.cache


@ways
def test_later_callers_start_a_new_load(way: str) -> None:
    held = HeldFunction()
    load = cached(held)
    first = spawn(load, "a")
    assert held.inside.wait(LIMIT)
    outdate(load, way)
    assert load("a") == "a 2"
    held.go.set()
    assert first.result() == "a 1"
    assert load("a") == "a 2"
    assert held.calls == 2


def test_value_set_by_hand_wins_over_a_load() -> None:
    held = HeldFunction()
    load = cached(held)
    first = spawn(load, "a")
    assert held.inside.wait(LIMIT)
    load.cache.set("a", "by hand")
    held.go.set()
    assert first.result() == "a 1"
    assert load("a") == "by hand"


def test_refresh_supersedes_the_load_under_way() -> None:
    held = HeldFunction()
    load = cached(held)
    first = spawn(load, "a")
    assert held.inside.wait(LIMIT)
    assert load.refresh("a") == "a 2"
    held.go.set()
    assert first.result() == "a 1"
    assert load("a") == "a 2"


def test_refresh_that_is_invalidated_is_not_stored() -> None:
    held = HeldFunction()
    load = cached(held)
    refresh = spawn(load.refresh, "a")
    assert held.inside.wait(LIMIT)
    load.cache_clear()
    held.go.set()
    assert refresh.result() == "a 1"
    assert "a" not in load.cache
