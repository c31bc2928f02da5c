"""on_evict hears of every entry that left, after the operation and outside every lock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from tests.clock import Clock
from tests.threads import spawn

Victim = tuple[object, object, str]


@pytest.fixture
def log() -> list[Victim]:
    return []


def test_every_cause_is_told(backend: ModuleType, clock: Clock, log: list[Victim]) -> None:
    cache = backend.Cache(3, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache.update(a=1, b=2, c=3)
    cache["d"] = 4
    cache["b"] = 5
    cache.set("e", 6, ttl=1)
    clock.now = 1.0
    cache.expire()
    cache.pop("d")
    del cache["b"]
    cache.update(f=7, g=8)
    cache.popitem()
    cache.clear()
    assert log == [
        ("a", 1, "size"),
        ("b", 2, "replaced"),
        ("c", 3, "size"),
        ("e", 6, "expired"),
        ("d", 4, "deleted"),
        ("b", 5, "deleted"),
        ("f", 7, "deleted"),
        ("g", 8, "deleted"),
    ]


def test_replacing_a_value_by_itself_is_told(backend: ModuleType, log: list[Victim]) -> None:
    cache = backend.Cache(3, on_evict=lambda *victim: log.append(victim))
    cache["a"] = 1
    cache["a"] = 1
    assert log == [("a", 1, "replaced")]


def test_a_replaced_value_is_told_with_the_key_that_replaced_it(
    backend: ModuleType, log: list[Victim]
) -> None:
    cache = backend.Cache(3, on_evict=lambda *victim: log.append(victim))
    cache[1] = "old"
    cache[True] = "new"
    cache.pop(1.0)
    assert [(type(key), value, cause) for key, value, cause in log] == [
        (bool, "old", "replaced"),
        (int, "new", "deleted"),
    ]


def test_what_removes_nothing_tells_nothing(
    backend: ModuleType, clock: Clock, log: list[Victim]
) -> None:
    cache = backend.Cache(3, ttl=5, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache["a"] = 1
    cache.get("a")
    cache.touch("a")
    cache.pop("b", None)
    cache.expire()
    cache.reset_stats()
    cache.stats()
    assert log == []


def test_victims_are_told_in_the_order_in_which_they_left(
    backend: ModuleType, clock: Clock, log: list[Victim]
) -> None:
    cache = backend.Cache(4, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache.set("late", 1, ttl=2)
    cache.set("soon", 2, ttl=1)
    cache.set("old", 3)
    cache.set("new", 4)
    clock.now = 2.0
    cache["new"] = 5
    assert log == [("soon", 2, "expired"), ("late", 1, "expired"), ("new", 4, "replaced")]


def test_the_state_is_complete_before_on_evict_is_called(backend: ModuleType) -> None:
    seen: list[object] = []

    def on_evict(key: object, value: object, cause: str) -> None:
        seen.append((key, list(cache.items()), cache.stats().evictions))

    cache = backend.Cache(1, on_evict=on_evict)
    cache["a"] = 1
    cache["b"] = 2
    assert seen == [("a", [("b", 2)], 1)]


def test_on_evict_may_use_the_cache(backend: ModuleType, log: list[Victim]) -> None:
    def on_evict(key: int, value: str, cause: str) -> None:
        log.append((key, value, cause))
        if key < 3:
            cache[key + 10] = value
        cache.get(key)
        cache.clear()

    cache = backend.Cache(1, on_evict=on_evict)
    cache[0] = "x"
    cache[1] = "y"
    assert log == [(0, "x", "size"), (1, "y", "size"), (10, "x", "size"), (11, "y", "deleted")]
    assert len(cache) == 0


def test_on_evict_may_wait_for_another_thread_that_uses_the_cache(backend: ModuleType) -> None:
    def on_evict(key: object, value: object, cause: str) -> None:
        spawn(cache.set, "c", 3).result() if key == "a" else None

    cache = backend.Cache(1, on_evict=on_evict)
    cache["a"] = 1
    cache["b"] = 2
    assert list(cache) == ["c"]


OPERATIONS: dict[str, Callable[..., object]] = {
    "set": lambda cache: cache.set("new", 1),
    "replace": lambda cache: cache.set("b", 1),
    "clear": lambda cache: cache.clear(),
    "expire": lambda cache: cache.expire(),
    "resize": lambda cache: cache.resize(1),
    "len": len,
    "stats": lambda cache: cache.stats(),
    "pop": lambda cache: cache.pop("b"),
    "get": lambda cache: cache.get("a"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_exception_of_on_evict_reaches_the_caller(
    backend: ModuleType, clock: Clock, name: str
) -> None:
    errors = [ZeroDivisionError("on_evict")]

    def on_evict(key: object, value: object, cause: str) -> None:
        if errors:
            raise errors.pop()

    cache = backend.Cache(3, timer=clock, on_evict=on_evict)
    cache.set("a", 1, ttl=1)
    cache.set("b", 2)
    clock.now = 1.0
    error = errors[0]
    with pytest.raises(ZeroDivisionError) as caught:
        OPERATIONS[name](cache)
    assert caught.value is error


def test_the_first_exception_is_raised_and_the_others_reported(
    backend: ModuleType, log: list[Victim], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(args.exc_value))

    def on_evict(key: str, value: object, cause: str) -> None:
        log.append((key, value, cause))
        if key != "b":
            raise ValueError(key)

    cache = backend.Cache(9, on_evict=on_evict)
    cache.update(a=1, b=2, c=3, d=4)
    with pytest.raises(ValueError, match=r"^a$"):
        cache.clear()
    assert [key for key, _, _ in log] == ["a", "b", "c", "d"]
    assert [str(error) for error in reported] == ["c", "d"]
    assert len(cache) == 0


def test_a_base_exception_of_on_evict_is_treated_alike(
    backend: ModuleType, log: list[Victim], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(args.exc_value))

    def on_evict(key: str, value: object, cause: str) -> None:
        log.append((key, value, cause))
        raise KeyboardInterrupt(key)

    cache = backend.Cache(9, on_evict=on_evict)
    cache.update(a=1, b=2)
    with pytest.raises(KeyboardInterrupt, match=r"^a$"):
        cache.clear()
    assert len(log) == 2
    assert [type(error) for error in reported] == [KeyboardInterrupt]


def test_an_exception_of_on_evict_wins_over_a_key_error(backend: ModuleType, clock: Clock) -> None:
    def on_evict(key: object, value: object, cause: str) -> None:
        raise ZeroDivisionError

    cache = backend.Cache(9, ttl=1, timer=clock, on_evict=on_evict)
    cache["a"] = 1
    clock.now = 1.0
    with pytest.raises(ZeroDivisionError):
        cache["a"]
    with pytest.raises(KeyError):
        cache["a"]
