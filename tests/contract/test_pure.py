"""What only the pure twin has to be watched for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from penstock import _pure
from penstock.errors import RecursiveLoad
from tests.clock import Clock
from tests.interrupts import at_every_step
from tests.threads import spawn

ROOT = Path(__file__).parents[2]


def stale(cache: _pure.Cache[object, object]) -> int:
    deadlines = cache._engine.table.deadlines
    return len(deadlines._heap) - len(deadlines.pending)


@pytest.mark.parametrize("options", [{"tti": 5}, {"ttl": 5}])
def test_deadlines_that_no_longer_count_take_no_memory(
    clock: Clock, options: dict[str, float]
) -> None:
    cache: _pure.Cache[object, object] = _pure.Cache(100, timer=clock, **options)
    for number in range(20_000):
        cache[number % 150] = number
        cache.get(number % 70)
        assert stale(cache) <= len(cache._engine.table.order) + 70
    assert len(cache) == 100


def test_an_emptied_cache_keeps_nothing(clock: Clock) -> None:
    cache: _pure.Cache[object, object] = _pure.Cache(None, ttl=5, timer=clock)
    for number in range(1000):
        cache[number] = number
    cache.clear()
    table = cache._engine.table
    assert not table.index
    assert not table.order
    assert not table.deadlines.pending
    assert not cache._engine.guard.index
    clock.now = 5.0
    cache.expire()
    assert not table.deadlines._heap


def check(cache: _pure.Cache[object, object]) -> None:
    """All parts of the bookkeeping tell the same."""
    table = cache._engine.table
    indexed = [entry for chain in table.index.values() for entry in chain]
    assert all(table.index.values())
    assert len(indexed) == len(table.order)
    assert set(indexed) == set(table.order)
    assert all(entry.alive for entry in indexed)
    assert all(hash(entry.key) == entry.hashed for entry in indexed)
    assert table.weight == sum(entry.weight for entry in indexed)
    timed = [entry for entry in indexed if entry.deadline < 1 << 80]
    assert len(timed) == len(table.deadlines.pending)
    on_heap = {turn for _, turn in table.deadlines._heap}
    for entry in timed:
        assert table.deadlines.pending[entry.turn] is entry
        assert entry.turn in on_heap


#: Three keys of one hash.
A, B, C = 0, sys.hash_info.modulus, -sys.hash_info.modulus

OPERATIONS: dict[str, Callable[[Any], object]] = {
    "set": lambda cache: cache.set(A, "outer", ttl=3),
    "set new": lambda cache: cache.set(C, "outer", ttl=3),
    "get": lambda cache: cache.get(A),
    "touch": lambda cache: cache.touch(A),
    "pop": lambda cache: cache.pop(A, None),
    "popitem": lambda cache: cache.popitem(),
    "expire": lambda cache: cache.expire(),
    "clear": lambda cache: cache.clear(),
    "load": lambda cache: cache.get_or_load(C, lambda key: "loaded"),
    "begin": lambda cache: cache._abandon(cache._begin(C)),
    "resize": lambda cache: cache.resize(1),
    "fill": lambda cache: cache.update({A: 1, B: 2, C: 3, 1: 4}),
}


class Recursion(RuntimeError):
    """A load that waits for itself."""


@pytest.fixture(autouse=True)
def _recursion() -> Iterator[None]:
    _pure.set_recursive_load(Recursion)
    yield
    _pure.set_recursive_load(RecursiveLoad)


def quietly(name: str, cache: Any) -> None:
    """Operate; the cache may be empty by then, and a finalizer may find its key being loaded."""
    with suppress(KeyError, Recursion):
        OPERATIONS[name](cache)


@pytest.mark.parametrize("inner", ["set", "set new", "get", "pop", "clear", "load", "fill"])
@pytest.mark.parametrize("outer", OPERATIONS)
def test_an_interruption_at_any_step_leaves_the_parts_in_step(outer: str, inner: str) -> None:
    caches: list[Any] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        clock = Clock()
        cache: Any = _pure.Cache(3, tti=4, timer=clock, weigher=lambda key, value: 1)
        cache.set(B, "due", ttl=1)
        cache.update({A: "a", 1: "one"})
        clock.now = 1.0
        caches[:] = [cache]
        return lambda: quietly(outer, cache), lambda: quietly(inner, cache)

    steps = 0
    for steps in at_every_step("penstock._pure", prepare):
        (cache,) = caches
        check(cache)
        keys = [entry.key for entry in cache._engine.table.order]
        assert len(keys) == len(set(keys)), f"a key is there twice after step {steps}"
        assert len(keys) <= (cache.maxsize or 3)
        assert not cache._engine.guard.index
    assert steps > 20


@pytest.mark.usefixtures("taking_turns")
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_takes_the_lock(name: str) -> None:
    cache: Any = _pure.Cache(3, ttl=5)
    cache.update({A: "a", B: "b"})
    entries = list(cache._engine.table.order)
    with cache._engine.guard.lock:
        thread = spawn(OPERATIONS[name], cache)
        assert list(cache._engine.table.order) == entries
        assert not cache._engine.guard.index
        assert cache._engine.table.counters.hits == 0
    thread.result()
    check(cache)


def test_the_version_is_that_of_the_crate() -> None:
    cargo = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE)
    assert version is not None
    assert _pure.build_info()["version"] == version[1]


def test_the_twin_imports_nothing_from_the_floors_above() -> None:
    for source in (ROOT / "python/penstock/_pure").glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import)\s+(penstock[\w.]*)", source.read_text(), re.M)
        assert all(name.startswith("penstock._pure") for name in imported), source.name
