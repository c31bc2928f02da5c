"""Threads that miss the same key share one load."""

from __future__ import annotations

from threading import Barrier, Event
from types import ModuleType

import pytest
from tests.threads import LIMIT, spawn

pytestmark = pytest.mark.usefixtures("taking_turns")


class Loader:
    """A load that goes on until it is released, and then comes to the outcome chosen."""

    def __init__(self, outcome: object = None) -> None:
        self.outcome = outcome
        self.calls = 0
        self.entered = Event()
        self.release = Event()

    def __call__(self, key: object) -> object:
        self.calls += 1
        self.entered.set()
        assert self.release.wait(LIMIT)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def test_waiting_threads_share_the_value(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    loader = Loader(object())
    threads = [spawn(cache.get_or_load, "a", loader) for _ in range(8)]
    loader.release.set()
    assert {id(thread.result()) for thread in threads} == {id(loader.outcome)}
    assert loader.calls == 1
    stats = cache.stats()
    assert (stats.misses, stats.loads, stats.hits) == (8, 1, 0)


def test_equal_keys_share_a_load(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    loader = Loader("value")
    threads = [spawn(cache.get_or_load, key, loader) for key in (1, 1.0, True)]
    loader.release.set()
    assert [thread.result() for thread in threads] == ["value"] * 3
    assert loader.calls == 1
    assert [type(key) for key in cache] == [int]


def test_different_keys_are_loaded_side_by_side(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    together = Barrier(3, timeout=LIMIT)
    threads = [spawn(cache.get_or_load, key, lambda key: together.wait() and key) for key in "abc"]
    for thread in threads:
        thread.result()
    assert len(cache) == 3


def test_waiting_threads_share_an_exception(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    loader = Loader(LookupError("gone"))
    threads = [spawn(cache.get_or_load, "a", loader) for _ in range(8)]
    loader.release.set()
    assert [thread.wait().error for thread in threads] == [loader.outcome] * 8
    assert loader.calls == 1
    assert cache.stats().load_failures == 1
    assert cache.get_or_load("a", str) == "a"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_waiting_threads_try_again_when_the_leader_is_interrupted(
    backend: ModuleType, kind: type[BaseException]
) -> None:
    cache = backend.Cache(9)
    first, second = Loader(kind()), Loader("value")
    leader = spawn(cache.get_or_load, "a", first)
    waiting = [spawn(cache.get_or_load, "a", second) for _ in range(5)]
    second.release.set()
    first.release.set()
    assert type(leader.wait().error) is kind
    assert [thread.result() for thread in waiting] == ["value"] * 5
    assert (first.calls, second.calls) == (1, 1)
    stats = cache.stats()
    assert (stats.misses, stats.loads, stats.load_failures) == (6, 1, 1)


def test_none_is_shared_like_any_value(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    loader = Loader(None)
    threads = [spawn(cache.get_or_load, "a", loader) for _ in range(3)]
    loader.release.set()
    assert [thread.result() for thread in threads] == [None] * 3
    assert loader.calls == 1


def test_a_heavy_value_is_shared_though_it_is_not_stored(backend: ModuleType) -> None:
    cache = backend.Cache(9, weigher=lambda key, value: 10)
    loader = Loader("heavy")
    threads = [spawn(cache.get_or_load, "a", loader) for _ in range(3)]
    loader.release.set()
    assert [thread.result() for thread in threads] == ["heavy"] * 3
    assert loader.calls == 1
    assert len(cache) == 0


def test_a_bad_weight_fails_the_whole_load(backend: ModuleType) -> None:
    cache = backend.Cache(9, weigher=lambda key, value: -1)
    loader = Loader("value")
    threads = [spawn(cache.get_or_load, "a", loader) for _ in range(3)]
    loader.release.set()
    assert {type(thread.wait().error) for thread in threads} == {ValueError}


def test_waiters_of_an_invalidated_load_still_get_its_value(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    old, new = Loader("old"), Loader("new")
    before = [spawn(cache.get_or_load, "a", old) for _ in range(3)]
    cache.pop("a", None)
    after = [spawn(cache.get_or_load, "a", new) for _ in range(3)]
    assert new.calls == 1
    old.release.set()
    assert [thread.result() for thread in before] == ["old"] * 3
    assert "a" not in cache
    new.release.set()
    assert [thread.result() for thread in after] == ["new"] * 3
    assert cache["a"] == "new"
    assert (old.calls, new.calls) == (1, 1)


def test_a_value_set_meanwhile_is_served_to_new_callers(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    loader = Loader("loaded")
    leader = spawn(cache.get_or_load, "a", loader)
    cache["a"] = "set"
    assert spawn(cache.get_or_load, "a", str).result() == "set"
    loader.release.set()
    assert leader.result() == "loaded"
    assert cache["a"] == "set"


def test_threads_that_wait_for_each_other_are_told(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    inside = Barrier(2, timeout=LIMIT)

    def load(key: int) -> object:
        inside.wait()
        return cache.get_or_load(1 - key, str)

    threads = [spawn(cache.get_or_load, key, load) for key in (0, 1)]
    errors = [str(thread.wait().error) for thread in threads]
    # One sees the cycle; the other waited for it and shares its error.
    assert len(set(errors)) == 1
    assert errors[0] in {f"loading key {key} would wait for itself" for key in (0, 1)}
    assert all(isinstance(thread.error, RuntimeError) for thread in threads)
    assert cache.get_or_load(0, str) == "0"


def test_a_cycle_through_several_caches_and_threads_is_seen(backend: ModuleType) -> None:
    caches = [backend.Cache(9) for _ in range(4)]
    inside = Barrier(4, timeout=LIMIT)

    def load(number: int) -> object:
        inside.wait()
        following = (number + 1) % 4
        return caches[following].get_or_load(following, str)

    threads = [spawn(caches[number].get_or_load, number, load) for number in range(4)]
    errors = {str(thread.wait().error) for thread in threads}
    assert len(errors) == 1
    assert errors.pop().endswith("would wait for itself")


def test_a_load_that_has_ended_is_not_part_of_a_cycle(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    asked = Event()

    def load_b(key: str) -> object:
        asked.set()
        return cache.get_or_load("a", str)

    def both() -> tuple[object, object]:
        def load_a(key: str) -> str:
            other.append(spawn(cache.get_or_load, "b", load_b))
            assert asked.wait(LIMIT)
            return "value"

        # The thread that waits for "a" has not woken up yet when this one asks for "b".
        return cache.get_or_load("a", load_a), cache.get_or_load("b", str)

    other: list[object] = []
    assert spawn(both).result() == ("value", "value")


def test_a_thread_that_gets_the_error_does_not_keep_the_load(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    loader = Loader(LookupError())
    threads = [spawn(cache.get_or_load, "a", loader) for _ in range(2)]
    loader.release.set()
    for thread in threads:
        thread.wait()
    assert len(cache) == 0
    flight = cache._begin("a")
    assert flight.valid
    assert cache._commit(flight, "value", 0.0) is True
    assert cache["a"] == "value"
