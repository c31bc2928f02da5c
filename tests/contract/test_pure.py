"""What only the pure twin has to be watched for."""

from __future__ import annotations

import gc
import random
import re
import sys
from pathlib import Path

import pytest

from penstock import _pure
from tests.clock import Clock

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


@pytest.mark.usefixtures("eager_collector")
@pytest.mark.parametrize("seed", range(6))
def test_a_finalizer_in_the_middle_of_an_operation_leaves_the_parts_in_step(
    clock: Clock, seed: int
) -> None:
    generator = random.Random(seed)
    cache: _pure.Cache[object, object] = _pure.Cache(
        8, tti=4, timer=clock, weigher=lambda key, value: 1
    )

    def operate() -> None:
        # Few hashes, so that chains are long and change often.
        key = generator.choice([0, sys.hash_info.modulus, -sys.hash_info.modulus, 1, 2])
        choice = generator.randrange(7)
        if choice < 3:
            cache.set(key, choice, ttl=generator.choice([None, 1, 2, 3]))
        elif choice == 3:
            cache.pop(key, None)
        elif choice == 4:
            cache.get(key)
        elif choice == 5:
            cache._abandon(cache._begin(key))
        else:
            clock.advance(0.25)
            cache.expire()

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            operate()

    for _ in range(1000):
        Garbage()
        operate()
    gc.collect()
    check(cache)
    assert not cache._engine.guard.index


def test_the_version_is_that_of_the_crate() -> None:
    cargo = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE)
    assert version is not None
    assert _pure.build_info()["version"] == version[1]


def test_the_twin_imports_nothing_from_the_floors_above() -> None:
    for source in (ROOT / "python/penstock/_pure").glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import)\s+(penstock[\w.]*)", source.read_text(), re.M)
        assert all(name.startswith("penstock._pure") for name in imported), source.name
