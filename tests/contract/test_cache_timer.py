"""The clock of a cache: when it is read, what it may return, and jitter."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from tests.clock import Clock

OPERATIONS: dict[str, Callable[..., object]] = {
    "set": lambda cache: cache.set("a", 1),
    "set item": lambda cache: cache.__setitem__("a", 1),
    "get": lambda cache: cache.get("a"),
    "get item": lambda cache: cache["a"],
    "get many": lambda cache: cache.get_many(["a", "x", "a"]),
    "peek": lambda cache: cache.peek("a"),
    "in": lambda cache: "a" in cache,
    "ttl of": lambda cache: cache.ttl_of("a"),
    "touch": lambda cache: cache.touch("a"),
    "pop": lambda cache: cache.pop("a"),
    "popitem": lambda cache: cache.popitem(),
    "delete": lambda cache: cache.__delitem__("a"),
    "hit of get_or_load": lambda cache: cache.get_or_load("a", str),
    "expire": lambda cache: cache.expire(),
    "len": len,
    "iter": iter,
    "items": lambda cache: cache.items(),
    "stats": lambda cache: cache.stats(),
    "resize": lambda cache: cache.resize(5),
    "invalidate": lambda cache: cache._invalidate("a"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_timer_is_called_once_per_operation(
    backend: ModuleType, clock: Clock, name: str
) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache["a"] = 1
    clock.calls = 0
    OPERATIONS[name](cache)
    assert clock.calls == 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_timer_is_not_called_where_nothing_can_expire(
    backend: ModuleType, clock: Clock, name: str
) -> None:
    cache = backend.Cache(3, timer=clock)
    cache.set("a", 1, ttl=None)
    OPERATIONS[name](cache)
    assert clock.calls == 0


def test_the_timer_is_called_once_an_entry_was_given_a_ttl(
    backend: ModuleType, clock: Clock
) -> None:
    cache = backend.Cache(3, timer=clock)
    cache["a"] = 1
    assert cache.touch("x", ttl=1) is False
    assert clock.calls == 1
    cache.get("a")
    assert clock.calls == 1
    cache.set("a", 1, ttl=1)
    assert clock.calls == 2
    cache.get("a")
    assert clock.calls == 3
    cache.clear()
    calls = clock.calls
    cache.get("a")
    assert clock.calls == calls + 1


def test_the_timer_measures_loads(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, timer=clock)

    def load(key: str) -> str:
        clock.advance(1.5)
        return key

    cache.get_or_load("a", load)
    assert cache.stats().load_seconds == 1.5


def test_a_timer_that_goes_backwards_is_held(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    clock.now = 100.0
    cache["a"] = 1
    clock.now = 50.0
    assert cache.ttl_of("a") == 10.0
    cache["b"] = 1
    clock.now = 109.0
    assert cache.ttl_of("b") == 1.0
    clock.now = 110.0
    assert "a" not in cache
    clock.now = 50.0
    assert "a" not in cache
    assert "b" not in cache


def test_a_timer_may_return_ints_and_negative_numbers(backend: ModuleType) -> None:
    now = [-100]
    cache = backend.Cache(3, ttl=10, timer=lambda: now[0])
    cache["a"] = 1
    now[0] = -91
    assert cache.ttl_of("a") == 1.0
    now[0] = -90
    assert "a" not in cache


def test_readings_are_rounded_to_the_nearest_nanosecond(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=1, timer=clock)
    cache["a"] = 1
    clock.now = 1 - 0.6e-9
    assert "a" in cache
    clock.now = 1 - 0.4e-9
    assert "a" not in cache


BAD_READINGS: list[tuple[object, type[Exception], str]] = [
    (True, TypeError, "timer must return a float, got bool"),
    ("1", TypeError, "timer must return a float, got str"),
    (None, TypeError, "timer must return a float, got NoneType"),
    (float("nan"), ValueError, "timer must return a finite number of seconds, got nan"),
    (float("-inf"), ValueError, "timer must return a finite number of seconds, got -inf"),
    (9.1e9, ValueError, "timer must return a finite number of seconds, got 9100000000.0"),
    (-9_000_000_001, ValueError, "timer must return a finite number of seconds, got -9000000001"),
    (10**400, ValueError, f"timer must return a finite number of seconds, got {10**400}"),
]


@pytest.mark.parametrize(("reading", "kind", "message"), BAD_READINGS)
def test_a_bad_reading_is_refused_and_changes_nothing(
    backend: ModuleType, reading: object, kind: type[Exception], message: str
) -> None:
    now: list[object] = [0]
    cache = backend.Cache(3, ttl=10, timer=lambda: now[0])
    cache["a"] = 1
    now[0] = reading
    operations: list[Callable[[], object]] = [
        lambda: cache.set("b", 2),
        lambda: cache.get("a"),
        lambda: cache.pop("a"),
        lambda: len(cache),
        lambda: cache.touch("a"),
        lambda: cache.get_or_load("b", str),
    ]
    for operation in operations:
        with pytest.raises(kind) as caught:
            operation()
        assert str(caught.value) == message
    now[0] = 1
    assert list(cache.items()) == [("a", 1)]
    assert cache.stats() == backend.CacheStats(size=1, weight=1, maxsize=3)


def test_an_exception_of_the_timer_reaches_the_caller(backend: ModuleType) -> None:
    def timer() -> float:
        raise ZeroDivisionError("no time")

    cache = backend.Cache(3, ttl=10, timer=timer)
    with pytest.raises(ZeroDivisionError, match="no time"):
        cache["a"] = 1


def test_jitter_shortens_the_ttl_at_random_within_its_limits(
    backend: ModuleType, clock: Clock
) -> None:
    cache = backend.Cache(None, ttl=100, jitter=0.5, timer=clock)
    for number in range(300):
        cache[number] = number
    left = [cache.ttl_of(number) for number in range(300)]
    assert all(50 < seconds <= 100 for seconds in left)
    assert min(left) < 65
    assert max(left) > 85
    assert len(set(left)) > 250


def test_jitter_applies_to_an_entrys_own_ttl_but_not_to_tti(
    backend: ModuleType, clock: Clock
) -> None:
    cache = backend.Cache(None, tti=1000, jitter=0.5, timer=clock)
    for number in range(100):
        cache.set(number, number, ttl=100)
        cache.set(-1 - number, number)
    own = [cache.ttl_of(number) for number in range(100)]
    assert len(set(own)) > 80
    assert all(50 < seconds <= 100 for seconds in own)
    assert {cache.ttl_of(-1 - number) for number in range(100)} == {1000.0}


def test_without_jitter_ttls_are_exact(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(None, ttl=100, jitter=0, timer=clock)
    cache["a"] = 1
    assert cache.ttl_of("a") == 100.0


def test_the_default_clock_lets_entries_live(backend: ModuleType) -> None:
    cache = backend.Cache(3, ttl=1000, tti=900)
    cache["a"] = 1
    assert cache["a"] == 1
    assert 800 < cache.ttl_of("a") <= 900
    cache.set("b", 1, ttl=1e-9)
    while "b" in cache:
        pass
    assert cache.get("b") is None
