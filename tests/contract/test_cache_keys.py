"""Keys whose comparison runs code that raises, uses the cache, or waits."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from types import ModuleType
from typing import Any

import pytest
from tests.threads import LIMIT, spawn


class Key:
    """Equal to keys of the same name; all have one hash; ``hook`` runs at every comparison."""

    hook: Callable[[], object] | None = None

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        hook, Key.hook = Key.hook, None
        if hook is not None:
            hook()
        return isinstance(other, Key) and self.name == other.name

    def __repr__(self) -> str:
        return f"<{self.name}>"


@pytest.fixture(autouse=True)
def _no_hook() -> None:
    Key.hook = None


OPERATIONS: dict[str, Callable[..., object]] = {
    "get": lambda cache: cache.get(Key("a")),
    "get item": lambda cache: cache[Key("a")],
    "set": lambda cache: cache.set(Key("a"), 2),
    "set new": lambda cache: cache.set(Key("new"), 2),
    "in": lambda cache: Key("a") in cache,
    "peek": lambda cache: cache.peek(Key("a")),
    "pop": lambda cache: cache.pop(Key("a"), None),
    "touch": lambda cache: cache.touch(Key("a")),
    "ttl of": lambda cache: cache.ttl_of(Key("a")),
    "get or load": lambda cache: cache.get_or_load(Key("new"), str),
    "get many": lambda cache: cache.get_many([Key("a"), Key("b"), Key("new")]),
    "setdefault": lambda cache: cache.setdefault(Key("new"), 3),
    "begin": lambda cache: cache._begin(Key("new")),
    "invalidate": lambda cache: cache._invalidate(Key("a")),
}


def make(backend: ModuleType, **options: object) -> Any:
    cache = backend.Cache(9, **options)
    cache.update([(Key("a"), 1), (Key("b"), 2), ("plain", 3)])
    # A flight is found by its key as an entry is.
    cache._begin(Key("x"))
    return cache


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_exception_of_eq_reaches_the_caller(backend: ModuleType, name: str) -> None:
    cache = make(backend)

    def hook() -> None:
        raise ZeroDivisionError

    Key.hook = hook
    with pytest.raises(ZeroDivisionError):
        OPERATIONS[name](cache)
    assert list(cache.values()) == [1, 2, 3]
    OPERATIONS[name](cache)


RE_ENTRANCES: dict[str, Callable[..., object]] = {
    "get": lambda cache: cache.get(Key("b")),
    "read plain": lambda cache: cache["plain"],
    "set": lambda cache: cache.set(Key("b"), 5),
    "set the same": lambda cache: cache.set(Key("a"), 5),
    "set the new": lambda cache: cache.set(Key("new"), 5),
    "pop the same": lambda cache: cache.pop(Key("a"), None),
    "pop and set again": lambda cache: (cache.pop(Key("a"), None), cache.set(Key("a"), 6)),
    "clear": lambda cache: cache.clear(),
    "resize": lambda cache: cache.resize(1),
    "load": lambda cache: cache.get_or_load(Key("new"), lambda key: 5),
    "begin": lambda cache: cache._begin(Key("new")),
    "iterate": lambda cache: (list(cache), len(cache), cache.stats()),
    "fill": lambda cache: [cache.set(Key(str(number)), number) for number in range(20)],
}


@pytest.mark.parametrize("inner", RE_ENTRANCES)
@pytest.mark.parametrize("outer", OPERATIONS)
def test_eq_may_use_the_cache(backend: ModuleType, outer: str, inner: str) -> None:
    cache = make(backend)
    Key.hook = lambda: RE_ENTRANCES[inner](cache)
    try:
        OPERATIONS[outer](cache)
    except KeyError:
        assert inner in {"clear", "pop the same", "resize", "fill"}
    Key.hook = None
    entries = list(cache.items())
    assert len(entries) == len({repr(key) for key, _ in entries}), "an entry is there twice"
    assert cache.stats().size == len(entries) <= 9
    assert cache.stats().weight == len(entries)
    for key, value in entries:
        assert cache[key] == value


def test_a_key_inserted_during_its_own_insertion_is_replaced(backend: ModuleType) -> None:
    log: list[object] = []
    cache = make(backend, on_evict=lambda *victim: log.append(victim))
    Key.hook = lambda: cache.set(Key("new"), "inner")
    cache.set(Key("new"), "outer")
    assert [victim[1:] for victim in log] == [("inner", "replaced")]  # type: ignore[index]  # tuples
    assert cache.get(Key("new")) == "outer"


def test_a_flight_that_is_begun_while_its_key_is_compared_is_shared(backend: ModuleType) -> None:
    cache = make(backend)
    inner: list[object] = []
    Key.hook = lambda: inner.append(cache._begin(Key("new")))
    assert [cache._begin(Key("new"))] == inner


def test_a_flight_that_is_invalidated_while_its_key_is_compared_is_not_joined(
    backend: ModuleType,
) -> None:
    cache = backend.Cache(9)
    flight = cache._begin(Key("x"))
    Key.hook = lambda: cache.pop(Key("x"), None)
    assert cache._begin(Key("x")).valid is True
    assert flight.valid is False


def test_eq_that_never_stops_changing_the_keys_ends(backend: ModuleType) -> None:
    cache = backend.Cache(None)

    class Restless:
        busy = False

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            if not Restless.busy:
                Restless.busy = True
                cache.clear()
                cache[Restless()] = 1
                Restless.busy = False
            return False

    cache[Restless()] = 1
    with pytest.raises(RuntimeError):
        cache.get(Restless())
    cache.clear()
    assert len(cache) == 0


def test_a_comparison_that_waits_holds_up_nobody_else(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    waiting, release = Event(), Event()

    class Slow(Key):
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            waiting.set()
            assert release.wait(LIMIT)
            return super().__eq__(other)

    cache[Slow("a")] = 1
    reader = spawn(cache.get, Slow("a"))
    assert waiting.wait(LIMIT)
    cache["other"] = 2
    assert cache["other"] == 2
    assert len(cache) == 2
    release.set()
    assert reader.result() == 1


def test_the_stored_key_is_asked_whether_it_equals_the_other(backend: ModuleType) -> None:
    class Asked:
        def __init__(self) -> None:
            self.asked = 0

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            self.asked += 1
            return True

    stored, other = Asked(), Asked()
    cache = backend.Cache(9)
    cache[stored] = 1
    assert cache[other] == 1
    assert (stored.asked, other.asked) == (1, 0)


def test_what_eq_returns_is_taken_for_its_truth(backend: ModuleType) -> None:
    class Truthy(Key):
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            return []  # type: ignore[return-value]  # falsy, not False

    cache = backend.Cache(9)
    cache[Truthy("a")] = 1
    cache[Truthy("a")] = 2
    assert len(cache) == 2


def test_an_exception_of_hash_reaches_the_caller(backend: ModuleType) -> None:
    class Broken:
        def __hash__(self) -> int:
            raise ZeroDivisionError

    cache = make(backend)
    operations: list[Callable[[], object]] = [
        lambda: cache.get(Broken()),
        lambda: cache.set(Broken(), 1),
        lambda: cache.get_or_load(Broken(), str),
        lambda: Broken() in cache,
    ]
    for operation in operations:
        with pytest.raises(ZeroDivisionError):
            operation()
