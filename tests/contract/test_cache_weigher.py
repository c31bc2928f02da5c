"""With a weigher, maxsize bounds the sum of the weights."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from tests.clock import Clock

LARGEST = 2**63 - 1


def test_the_sum_of_the_weights_is_bounded(backend: ModuleType) -> None:
    cache = backend.Cache(10, weigher=lambda key, value: value)
    cache.update(a=4, b=3, c=3)
    assert cache.stats().weight == 10
    cache["d"] = 5
    assert list(cache.items()) == [("c", 3), ("d", 5)]
    stats = cache.stats()
    assert (stats.size, stats.weight, stats.maxsize, stats.evictions) == (2, 8, 10, 2)


def test_the_weigher_gets_key_and_value(backend: ModuleType) -> None:
    seen: list[tuple[object, object]] = []

    def weigher(key: object, value: object) -> int:
        seen.append((key, value))
        return 1

    cache = backend.Cache(10, weigher=weigher)
    cache["a"] = 1
    cache["a"] = 2
    cache.get_or_load("b", str)
    cache.get("a")
    cache.touch("a")
    cache.pop("a")
    assert seen == [("a", 1), ("a", 2), ("b", "b")]


def test_without_a_weigher_every_entry_weighs_one(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    cache.update(a=100, b=200)
    assert cache.stats().weight == cache.stats().size == 2


def test_an_entry_heavier_than_maxsize_is_refused(backend: ModuleType) -> None:
    log: list[object] = []
    cache = backend.Cache(
        10, weigher=lambda key, value: value, on_evict=lambda *victim: log.append(victim)
    )
    cache.update(a=4, b=3)
    writes: list[Callable[[], object]] = [
        lambda: cache.set("a", 11),
        lambda: cache.set("c", 11, ttl=5),
        lambda: cache.__setitem__("c", 11),
        lambda: cache.update(c=11),
        lambda: cache.setdefault("c", 11),
        lambda: cache.set_many({"c": 11}),
    ]
    for write in writes:
        with pytest.raises(ValueError, match=r"^weight 11 exceeds maxsize 10$"):
            write()
    assert list(cache.items()) == [("a", 4), ("b", 3)]
    assert log == []
    cache["c"] = 10
    assert list(cache.items()) == [("c", 10)]


def test_a_heavy_loaded_value_is_returned_and_not_stored(backend: ModuleType) -> None:
    cache = backend.Cache(10, weigher=lambda key, value: value)
    cache["a"] = 1
    assert cache.get_or_load("b", lambda key: 11) == 11
    assert list(cache.items()) == [("a", 1)]
    assert cache.stats().loads == 1


def test_a_replaced_entry_changes_the_sum(backend: ModuleType) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(
        10, weigher=lambda key, value: value, on_evict=lambda *victim: log.append(victim)
    )
    cache.update(a=2, b=3, c=4)
    cache["a"] = 6
    assert log == [("a", 2, "replaced"), ("b", 3, "size")]
    assert list(cache.items()) == [("c", 4), ("a", 6)]
    cache["a"] = 1
    assert cache.stats().weight == 5
    cache["c"] = 10
    assert list(cache.items()) == [("c", 10)]
    assert cache.stats().weight == 10


def test_weightless_entries_need_no_room(backend: ModuleType) -> None:
    cache = backend.Cache(1, weigher=lambda key, value: value)
    for number in range(50):
        cache[number] = 0
    cache["heavy"] = 1
    assert len(cache) == 51
    assert cache.stats().weight == 1


def test_room_is_made_in_the_order_of_recency_whatever_the_weights(backend: ModuleType) -> None:
    cache = backend.Cache(2, weigher=lambda key, value: value)
    cache.update(a=0, b=1, c=0, d=1)
    cache["e"] = 1
    assert list(cache) == ["c", "d", "e"]


def test_every_way_out_lowers_the_sum(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(100, weigher=lambda key, value: value, timer=clock)
    cache.set("expires", 1, ttl=1)
    cache.update(a=2, b=4, c=8, d=16, e=32)
    clock.now = 1.0
    assert cache.stats().weight == 62
    cache.pop("a")
    assert cache.stats().weight == 60
    del cache["b"]
    assert cache.stats().weight == 56
    assert cache.popitem() == ("c", 8)
    assert cache.stats().weight == 48
    cache.resize(40)
    assert cache.stats().weight == 32
    cache.clear()
    assert cache.stats().weight == 0


def test_an_unbounded_cache_still_weighs(backend: ModuleType) -> None:
    cache = backend.Cache(None, weigher=lambda key, value: value)
    cache.update(a=LARGEST)
    assert cache.stats().weight == LARGEST


class Index:
    """What works as an int."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number


def test_a_weight_may_be_anything_that_works_as_an_int(backend: ModuleType) -> None:
    cache = backend.Cache(Index(10), weigher=lambda key, value: Index(value))
    cache["a"] = 4
    assert cache.stats().weight == 4
    assert cache.maxsize == 10


BAD_WEIGHTS: list[tuple[object, type[Exception], str]] = [
    (True, TypeError, "weigher must return an int, got bool"),
    (1.0, TypeError, "weigher must return an int, got float"),
    (None, TypeError, "weigher must return an int, got NoneType"),
    (-1, ValueError, "weigher must return an int >= 0, got -1"),
    (-(10**30), ValueError, f"weigher must return an int >= 0, got {-(10**30)}"),
    (2**63, ValueError, f"weigher must return an int <= {LARGEST}, got {2**63}"),
    (10**30, ValueError, f"weigher must return an int <= {LARGEST}, got {10**30}"),
]


@pytest.mark.parametrize(("weight", "kind", "message"), BAD_WEIGHTS)
def test_a_bad_weight_is_refused_and_changes_nothing(
    backend: ModuleType, weight: object, kind: type[Exception], message: str
) -> None:
    weights: list[object] = [1]
    cache = backend.Cache(10, weigher=lambda key, value: weights[0])
    cache["a"] = 1
    weights[0] = weight
    for key in ("a", "b"):
        with pytest.raises(kind) as caught:
            cache.set(key, 2)
        assert str(caught.value) == message
    assert list(cache.items()) == [("a", 1)]
    with pytest.raises(kind) as caught:
        cache.get_or_load("b", str)
    assert str(caught.value) == message
    weights[0] = 1
    assert cache.get_or_load("b", str) == "b"


def test_an_exception_of_the_weigher_reaches_the_caller(backend: ModuleType, clock: Clock) -> None:
    def weigher(key: object, value: object) -> int:
        return 1 // int(str(value))

    cache = backend.Cache(10, ttl=5, weigher=weigher, timer=clock)
    cache["a"] = 1
    clock.now = 5.0
    calls = clock.calls
    with pytest.raises(ZeroDivisionError):
        cache["b"] = 0
    assert clock.calls == calls
    assert cache.expire() == 1


def test_a_weigher_may_use_the_cache(backend: ModuleType) -> None:
    def weigher(key: str, value: int) -> int:
        if key == "a":
            cache["b"] = 2
        return 1

    cache = backend.Cache(2, weigher=weigher)
    cache["a"] = 1
    assert list(cache.items()) == [("b", 2), ("a", 1)]


def test_a_weigher_that_removes_the_key_keeps_its_load_from_being_stored(
    backend: ModuleType,
) -> None:
    def weigher(key: object, value: object) -> int:
        cache.pop(key, None)
        return 1

    cache = backend.Cache(9, weigher=weigher)
    assert cache.get_or_load("a", str) == "a"
    assert "a" not in cache


def test_a_load_that_was_invalidated_is_not_weighed(backend: ModuleType) -> None:
    weighed: list[object] = []

    def weigher(key: object, value: object) -> int:
        weighed.append(key)
        return 1

    cache = backend.Cache(9, weigher=weigher)
    flight = cache._begin("a")
    cache.pop("a", None)
    assert cache._commit(flight, 1, 0.0) is False
    assert weighed == []


def test_a_heavy_write_takes_due_entries_before_live_ones(
    backend: ModuleType, clock: Clock
) -> None:
    log: list[object] = []
    cache = backend.Cache(
        10,
        weigher=lambda key, value: value,
        timer=clock,
        on_evict=lambda *victim: log.append(victim),
    )
    cache["live"] = 5
    for number in range(8):
        cache.set(number, 0, ttl=1)
    cache.set("due", 5, ttl=2)
    clock.now = 2.0
    cache["new"] = 5
    assert log == [*((number, 0, "expired") for number in range(8)), ("due", 5, "expired")]
    assert list(cache) == ["live", "new"]
