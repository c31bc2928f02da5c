"""Objects with a name are told of."""

from __future__ import annotations

import gc
import weakref
from types import ModuleType
from typing import Any

import pytest

from penstock import _backend, _components


class Told(list[Any]):
    """A hook that remembers what it was called with."""

    def __call__(self, named: Any) -> None:
        self.append((named, named.name, named.maxsize, len(named)))


@pytest.fixture
def told(backend: ModuleType) -> Any:
    """What the backend tells of."""
    hook = Told()
    backend.set_named(hook)
    yield hook
    # Only the caches of the backend in use are for the metrics.
    is_used = backend.Cache is _backend.Cache
    backend.set_named(_components.enter if is_used else id)


def test_a_cache_with_a_name_is_told_of_when_it_is_complete(
    backend: ModuleType, told: Told
) -> None:
    cache = backend.Cache(5, name="users")
    ((named, *seen),) = told
    assert named is cache
    assert seen == ["users", 5, 0]


def test_a_cache_with_an_empty_name_has_one(backend: ModuleType, told: Told) -> None:
    backend.Cache(5, name="")
    assert len(told) == 1


@pytest.mark.parametrize("options", [{}, {"name": None}])
def test_a_cache_without_a_name_is_not_told_of(
    backend: ModuleType, told: Told, options: dict[str, Any]
) -> None:
    backend.Cache(5, **options)
    assert told == []


def test_a_cache_that_was_refused_is_not_told_of(backend: ModuleType, told: Told) -> None:
    for options in ({"ttl": -1}, {"jitter": 5}, {"timer": 5}):
        with pytest.raises((TypeError, ValueError)):
            backend.Cache(5, name="users", **options)
    with pytest.raises(ValueError, match="maxsize"):
        backend.Cache(0, name="users")
    with pytest.raises(TypeError, match="name"):
        backend.Cache(5, name=5)
    assert told == []


def test_the_last_hook_is_called(backend: ModuleType, told: Told) -> None:
    backend.set_named(other := Told())
    backend.Cache(5, name="users")
    assert (len(told), len(other)) == (0, 1)


def test_what_the_hook_raises_reaches_whoever_made_the_cache(
    backend: ModuleType, told: Told
) -> None:
    def refuse(named: object) -> None:
        raise LookupError("not this one")

    backend.set_named(refuse)
    with pytest.raises(LookupError, match="not this one"):
        backend.Cache(5, name="users")


def test_the_hook_may_use_the_cache(backend: ModuleType, told: Told) -> None:
    backend.set_named(lambda cache: cache.set("a", 1))
    assert dict(backend.Cache(5, name="users")) == {"a": 1}


def test_the_hook_may_make_caches(backend: ModuleType, told: Told) -> None:
    made: list[Any] = []

    def hook(cache: Any) -> None:
        if cache.name:
            made.append(backend.Cache(5, name=cache.name[1:]))

    backend.set_named(hook)
    backend.Cache(5, name="abc")
    assert [cache.name for cache in made] == ["", "c", "bc"]


def test_nothing_is_kept_of_the_cache(backend: ModuleType, told: Told) -> None:
    dead: list[object] = []
    backend.set_named(lambda cache: dead.append(weakref.ref(cache)))
    backend.Cache(5, name="users")
    gc.collect()
    assert dead[0]() is None  # type: ignore[operator]
