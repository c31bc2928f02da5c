"""Front and Entry: what is served at once, and what the subclass is asked."""

from __future__ import annotations

import asyncio
import gc
import pickle
import weakref
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock


def make_front(backend: ModuleType, cache: Any) -> Any:
    """A front that tells what its hooks are asked."""

    class Front(backend.Front):  # type: ignore[misc, name-defined]  # of either backend
        def __init__(self, cache: object) -> None:
            self._attach(cache)

        def _get(self, key: object, default: object, entry: object) -> object:
            return ("get", key, default, entry)

        def _get_or_load(
            self, key: object, loader: object, entry: object, **options: object
        ) -> object:
            return ("load", key, loader, entry, options)

    return Front(cache)


def put(
    backend: ModuleType, front: Any, cache: Any, key: object, value: object, **options: Any
) -> Any:
    """An entry that was looked at."""
    grace = options.pop("grace", 0.0)
    entry = backend.Entry(value, None, grace)
    entry.epoch = front._epoch
    cache.set(key, entry, **options)
    return entry


async def wait(awaitable: Any) -> object:
    return await awaitable


def test_a_hit_is_ready(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    front = make_front(backend, cache)
    value = object()
    put(backend, front, cache, "a", value)
    for served in (
        front.get("a"), front.get("a", 3), front.get(key="a"), front.get_or_load("a", print),
        front.get_or_load("a", print, ttl=3), front.get_or_load(key="a", loader=print),
        front.get_or_load("a", loader=print, ttl=3),
    ):  # fmt: skip
        assert type(served) is backend.Ready
        assert asyncio.run(wait(served)) is value
    assert cache.stats().hits == 7


def test_none_and_false_are_values(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    front = make_front(backend, cache)
    for value in (None, False, 0, ""):
        put(backend, front, cache, "a", value)
        assert asyncio.run(wait(front.get("a", "default"))) is value


def test_a_miss_asks_the_subclass(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    front = make_front(backend, cache)
    assert front.get("a") == ("get", "a", None, None)
    assert front.get("a", 3) == ("get", "a", 3, None)
    assert front.get(default=3, key="a") == ("get", "a", 3, None)
    assert front.get_or_load("a", print) == ("load", "a", print, None, {})
    assert front.get_or_load("a", print, ttl=3, tags=()) == (
        "load", "a", print, None, {"ttl": 3, "tags": ()},
    )  # fmt: skip
    assert front.get_or_load(loader=print, key="a", ttl=3) == ("load", "a", print, None, {"ttl": 3})
    assert cache.stats().misses == 6


def test_what_is_no_entry_is_a_miss(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    front = make_front(backend, cache)
    cache["a"] = "not an entry"
    assert front.get("a") == ("get", "a", None, None)


def test_a_new_entry_is_looked_at_first(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    front = make_front(backend, cache)
    entry = backend.Entry("value", "note")
    cache["a"] = entry
    assert entry.epoch == -1
    assert front.get("a") == ("get", "a", None, entry)
    entry.epoch = front._epoch
    assert asyncio.run(wait(front.get("a"))) == "value"


def test_an_entry_of_another_epoch_is_looked_at(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    front = make_front(backend, cache)
    entry = put(backend, front, cache, "a", "value")
    front._epoch += 1
    assert front._epoch == 1
    assert front.get("a") == ("get", "a", None, entry)
    assert front.get_or_load("a", print, ttl=2) == ("load", "a", print, entry, {"ttl": 2})
    front._epoch = 0
    assert asyncio.run(wait(front.get("a"))) == "value"


@pytest.mark.parametrize(("now", "served"), [(0, True), (69.9, True), (70, False), (99, False)])
def test_an_entry_in_its_grace_is_looked_at(
    backend: ModuleType, clock: Clock, now: float, served: bool
) -> None:
    cache = backend.Cache(10, ttl=100, timer=clock)
    front = make_front(backend, cache)
    entry = put(backend, front, cache, "a", "value", grace=30)
    clock.now = now
    answer = front.get("a")
    assert (type(answer) is backend.Ready) is served
    if not served:
        assert answer == ("get", "a", None, entry)


def test_an_expired_entry_is_not_handed_over(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(10, ttl=100, timer=clock)
    front = make_front(backend, cache)
    put(backend, front, cache, "a", "value", grace=30)
    clock.now = 100
    assert front.get("a") == ("get", "a", None, None)


def test_a_grace_longer_than_the_life_is_looked_at(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(10, timer=clock)
    front = make_front(backend, cache)
    entry = put(backend, front, cache, "a", "value", grace=1e9, ttl=1)
    assert front.get("a") == ("get", "a", None, entry)
    put(backend, front, cache, "a", "value", grace=1e9, ttl=None)
    assert asyncio.run(wait(front.get("a"))) == "value"


def test_what_a_hook_raises_is_passed_on(backend: ModuleType) -> None:
    class Front(backend.Front):  # type: ignore[misc, name-defined]  # of either backend
        def _get(self, key: object, default: object, entry: object) -> object:
            raise LookupError(key)

    front = Front()
    front._attach(backend.Cache(10))
    with pytest.raises(LookupError, match="a"):
        front.get("a")
    with pytest.raises(AttributeError, match="_get_or_load"):
        front.get_or_load("a", print)


def test_unhashable_keys_are_refused(backend: ModuleType) -> None:
    front = make_front(backend, backend.Cache(10))
    with pytest.raises(TypeError, match=r"^unhashable type: 'list'$"):
        front.get([])
    with pytest.raises(TypeError, match=r"^unhashable type: 'list'$"):
        front.get_or_load([], print)


def test_wrong_arguments_are_refused(backend: ModuleType) -> None:
    front = make_front(backend, backend.Cache(10))
    for call in (
        front.get, lambda: front.get("a", 1, 2), lambda: front.get("a", other=1),
        lambda: front.get_or_load("a"), lambda: front.get_or_load("a", print, 3),
        lambda: front.get_or_load("a", print, key="b"),
        lambda: front.get_or_load("a", print, loader=len),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            call()


def test_a_front_has_one_cache(backend: ModuleType) -> None:
    front = backend.Front("whatever", is_="allowed")
    with pytest.raises(RuntimeError, match=r"^the front has no cache$"):
        front.get("a")
    with pytest.raises(TypeError, match=r"^cache must be a Cache, got dict$"):
        front._attach({})
    front._attach(backend.Cache(10))
    with pytest.raises(RuntimeError, match=r"^the front has its cache already$"):
        front._attach(backend.Cache(10))


@pytest.mark.parametrize("epoch", ["1", 1.0, True, None])
def test_an_epoch_is_an_int(backend: ModuleType, epoch: object) -> None:
    name = type(epoch).__name__
    for owner, attribute in ((backend.Entry(1, 2), "epoch"), (backend.Front(), "_epoch")):
        with pytest.raises(TypeError, match=f"^epoch must be an int, got {name}$"):
            setattr(owner, attribute, epoch)


@pytest.mark.parametrize("epoch", [-2, 2**63, -(2**70)])
def test_an_epoch_has_a_range(backend: ModuleType, epoch: int) -> None:
    message = f"^epoch must be >= -1 and <= 9223372036854775807, got {epoch}$"
    for owner, attribute in ((backend.Entry(1, 2), "epoch"), (backend.Front(), "_epoch")):
        with pytest.raises(ValueError, match=message):
            setattr(owner, attribute, epoch)


def test_an_entry_tells_what_it_was_given(backend: ModuleType) -> None:
    value, note = object(), object()
    entry = backend.Entry(value, note, 1.5)
    assert (entry.value, entry.note, entry.grace, entry.epoch) == (value, note, 1.5, -1)
    assert backend.Entry(1, note=2, grace=0).grace == 0.0
    entry.epoch = 2**63 - 1
    assert entry.epoch == 2**63 - 1
    for name in ("value", "note", "grace"):
        with pytest.raises(AttributeError):
            setattr(entry, name, 1)


@pytest.mark.parametrize(
    ("grace", "error"),
    [
        (-1, "^grace must be > 0, got -1$"),
        (float("nan"), "^grace must be finite, got nan$"),
        (10**10, "^grace must be <= 9000000000 seconds, got 10000000000$"),
    ],
)
def test_a_grace_has_a_range(backend: ModuleType, grace: float, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        backend.Entry(1, 2, grace)


@pytest.mark.parametrize("grace", ["1", False, None])
def test_a_grace_is_a_number(backend: ModuleType, grace: object) -> None:
    name = type(grace).__name__
    message = f"^grace must be a number of seconds or a timedelta, got {name}$"
    with pytest.raises(TypeError, match=message):
        backend.Entry(1, 2, grace)


def test_an_entry_has_no_subclasses(backend: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"is not an acceptable base type$"):
        type("Sub", (backend.Entry,), {})


def test_neither_can_be_pickled(backend: ModuleType) -> None:
    for thing in (backend.Entry(1, 2), backend.Front()):
        with pytest.raises(TypeError, match=r"^cannot pickle '"):
            pickle.dumps(thing)


def test_a_cycle_through_both_is_collected(backend: ModuleType) -> None:
    class Thing:
        pass

    cache = backend.Cache(10)
    front = make_front(backend, cache)
    thing, note = Thing(), Thing()
    thing.front = note.front = front  # type: ignore[attr-defined]
    put(backend, front, cache, "a", thing)
    cache["b"] = backend.Entry(1, note)
    alive = [weakref.ref(thing), weakref.ref(note), weakref.ref(front)]
    del cache, front, thing, note
    gc.collect()
    assert [reference() for reference in alive] == [None, None, None]


def test_a_cycle_of_an_entry_alone_is_collected(backend: ModuleType) -> None:
    class Thing:
        pass

    thing = Thing()
    thing.entry = backend.Entry(thing, thing)  # type: ignore[attr-defined]
    alive = weakref.ref(thing)
    del thing
    gc.collect()
    assert alive() is None


def test_an_override_in_a_subclass_is_found(backend: ModuleType) -> None:
    class Odd(backend.Front):  # type: ignore[misc, name-defined]  # of either backend
        def get(self, key: object, default: object = None) -> object:
            return "mine"

    class Odder(Odd):
        pass

    assert Odder().get("a") == "mine"
