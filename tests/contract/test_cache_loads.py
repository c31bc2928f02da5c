"""get_or_load in one thread."""

from __future__ import annotations

from types import ModuleType

import pytest
from tests.clock import Clock

from penstock.errors import RecursiveLoad


def test_a_miss_calls_the_loader_with_the_key_and_stores(backend: ModuleType) -> None:
    calls: list[object] = []
    cache = backend.Cache(9)

    def load(key: object) -> str:
        calls.append(key)
        return f"value of {key}"

    assert cache.get_or_load("a", load) == "value of a"
    assert cache.get_or_load("a", load) == "value of a"
    assert calls == ["a"]
    assert cache.peek("a") == "value of a"


def test_a_loaded_entry_has_the_ttl_asked_for(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, ttl=10, timer=clock)
    cache.get_or_load("a", str)
    cache.get_or_load("b", str, ttl=3)
    cache.get_or_load("c", str, ttl=None)
    cache.get_or_load("d", str, ttl=...)
    assert [cache.ttl_of(key) for key in "abcd"] == [10.0, 3.0, None, 10.0]


def test_a_ttl_starts_when_the_load_ends(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, ttl=10, timer=clock)
    cache.get_or_load("a", lambda key: clock.advance(7))
    assert cache.ttl_of("a") == 10.0


def test_an_expired_entry_is_loaded_again(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, ttl=10, timer=clock)
    cache.get_or_load("a", lambda key: 1)
    clock.now = 10.0
    assert cache.get_or_load("a", lambda key: 2) == 2
    assert cache.stats().expirations == 1


def test_a_failure_reaches_the_caller_and_is_not_cached(backend: ModuleType) -> None:
    error = LookupError("no such user")
    calls: list[object] = []

    def load(key: object) -> None:
        calls.append(key)
        raise error

    cache = backend.Cache(9)
    for _ in range(3):
        with pytest.raises(LookupError) as caught:
            cache.get_or_load("a", load)
        assert caught.value is error
    assert len(calls) == 3
    assert len(cache) == 0
    stats = cache.stats()
    assert (stats.misses, stats.loads, stats.load_failures) == (3, 0, 3)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_base_exception_is_a_failure_too(
    backend: ModuleType, kind: type[BaseException], clock: Clock
) -> None:
    def load(key: object) -> None:
        clock.advance(2)
        raise kind

    cache = backend.Cache(9, timer=clock)
    with pytest.raises(kind):
        cache.get_or_load("a", load)
    assert cache.stats().load_failures == 1
    assert cache.stats().load_seconds == 2.0
    assert cache.get_or_load("a", str) == "a"


def test_the_timer_of_a_broken_load_does_not_hide_its_error(backend: ModuleType) -> None:
    readings: list[object] = [0.0]
    cache = backend.Cache(9, timer=lambda: readings[-1])

    def load(key: object) -> None:
        readings.append("broken")
        raise LookupError

    with pytest.raises(LookupError):
        cache.get_or_load("a", load)
    readings.append(1.0)
    assert cache.get_or_load("a", str) == "a"


def test_a_key_that_loads_itself_is_recursive(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    messages: list[str] = []

    def load(key: object) -> object:
        try:
            return cache.get_or_load(key, load)
        except RuntimeError as error:
            messages.append(str(error))
            raise

    with pytest.raises(RuntimeError):
        cache.get_or_load("a", load)
    assert messages == ["key 'a' is already being loaded by this thread"]
    assert cache.get_or_load("a", str) == "a"


def test_recursion_through_other_keys_is_seen(backend: ModuleType) -> None:
    cache, other = backend.Cache(9), backend.Cache(9)

    def load(key: int) -> object:
        return other.get_or_load(key, lambda key: cache.get_or_load((key + 1) % 3, load))

    with pytest.raises(RuntimeError, match=r"^key 0 is already being loaded by this thread$"):
        cache.get_or_load(0, load)
    assert len(cache) == len(other) == 0


def test_a_load_may_load_other_keys(backend: ModuleType) -> None:
    cache = backend.Cache(99)

    def factorial(number: int) -> int:
        return number * cache.get_or_load(number - 1, factorial) if number else 1

    assert cache.get_or_load(20, factorial) == 2432902008176640000
    assert cache.stats().loads == 21


def test_the_class_of_the_recursion_error_can_be_set(backend: ModuleType) -> None:
    class Chosen(RuntimeError):
        pass

    cache = backend.Cache(9)
    backend.set_recursive_load(Chosen)
    try:
        with pytest.raises(Chosen, match=r"^key 'a' is already being loaded by this thread$"):
            cache.get_or_load("a", lambda key: cache.get_or_load(key, str))
    finally:
        backend.set_recursive_load(RecursiveLoad)


def test_a_value_set_during_its_load_stays(backend: ModuleType) -> None:
    cache = backend.Cache(9)

    def load(key: str) -> str:
        cache[key] = "set"
        return "loaded"

    assert cache.get_or_load("a", load) == "loaded"
    assert cache["a"] == "set"


@pytest.mark.parametrize(
    "invalidate",
    ["pop", "delete", "clear", "_invalidate", "set and pop"],
)
def test_a_load_that_was_invalidated_is_not_stored(backend: ModuleType, invalidate: str) -> None:
    cache = backend.Cache(9)

    def load(key: str) -> str:
        if invalidate == "pop":
            assert cache.pop(key, None) is None
        elif invalidate == "delete":
            with pytest.raises(KeyError):
                del cache[key]
        elif invalidate == "clear":
            cache.clear()
        elif invalidate == "_invalidate":
            assert cache._invalidate(key) is False
        else:
            cache[key] = "set"
            assert cache.pop(key) == "set"
        return "loaded"

    assert cache.get_or_load("a", load) == "loaded"
    assert "a" not in cache
    assert cache.stats().loads == 1


def test_removing_another_key_invalidates_nothing(backend: ModuleType) -> None:
    cache = backend.Cache(9)

    def load(key: str) -> str:
        cache.pop("b", None)
        cache["c"] = 1
        cache.get(key)
        cache.touch(key)
        cache.expire()
        cache.resize(5)
        return "loaded"

    cache.get_or_load("a", load)
    assert cache["a"] == "loaded"


def test_a_load_after_an_invalidation_is_a_new_one(backend: ModuleType) -> None:
    cache = backend.Cache(9)

    def load(key: str) -> str:
        cache.pop(key, None)
        assert cache.get_or_load(key, lambda key: "newer") == "newer"
        return "older"

    assert cache.get_or_load("a", load) == "older"
    assert cache["a"] == "newer"


def test_popitem_leaves_the_load_of_another_key_of_its_hash_alone(backend: ModuleType) -> None:
    class One:
        def __hash__(self) -> int:
            return 1

    clock = Clock()
    cache = backend.Cache(10, timer=clock)
    flight = cache._begin(1, False)
    cache.set("first", 0, ttl=1)
    cache[One()] = 0
    clock.advance(2)  # what goes first has expired: it is not that which is popped
    cache.popitem()
    assert flight.valid


def test_popitem_keeps_a_load_of_its_key_from_being_stored(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache["a"] = "old"
    flight = cache._begin("a")
    assert cache.popitem() == ("a", "old")
    assert flight.valid is False
    assert cache._commit(flight, "late", 0.0) is False
    assert "a" not in cache
