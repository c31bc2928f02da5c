"""What only the pure twin has to be watched for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.clock import Clock
from tests.interrupts import at_every_step
from tests.threads import spawn

from penstock import _pure
from penstock.errors import RecursiveLoad

ROOT = Path(__file__).parents[2]


def stale(cache: _pure.Cache[object, object]) -> int:
    deadlines = cache._engine.table.deadlines
    return len(deadlines._heap) - len(deadlines.pending)


@pytest.mark.parametrize("options", [{"tti": 5}, {"ttl": 5}])
def test_deadlines_that_no_longer_count_take_no_memory(
    clock: Clock, options: dict[str, Any]
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


class Recursion(RuntimeError):
    """A load that waits for itself."""


@pytest.fixture(autouse=True)
def _recursion() -> Iterator[None]:
    _pure.set_recursive_load(Recursion)
    yield
    _pure.set_recursive_load(RecursiveLoad)


class Subject:
    """A small cache with an entry that is due, and a record of what was put into it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.stored: list[int] = []
        self.loaded: list[int] = []
        self.told: list[int] = []
        self.cache: Any = _pure.Cache(
            3,
            tti=4,
            timer=self.clock,
            weigher=lambda key, value: 1,
            on_evict=lambda key, value, cause: self.told.append(value),
        )
        self.set(B, ttl=1)
        self.set(A)
        self.set(1)
        self.clock.now = 1.0

    def set(self, key: int, ttl: float | None = None) -> None:
        self.stored.append(len(self.stored))
        self.cache.set(key, self.stored[-1], ttl=ttl)

    def fill(self) -> None:
        for key in (A, B, C, 1):
            self.set(key)

    def load(self, key: int) -> None:
        def loader(key: int) -> int:
            self.loaded.append(-1 - len(self.loaded))
            return self.loaded[-1]

        # A finalizer may find that its own thread is loading the key.
        with suppress(Recursion):
            self.cache.get_or_load(key, loader)

    def popitem(self) -> None:
        try:
            self.cache.popitem()
        except KeyError as error:
            if error.args != ("popitem(): cache is empty",):
                raise

    def check(self) -> None:
        check(self.cache)
        table = self.cache._engine.table
        keys = [entry.key for entry in table.order]
        assert len(keys) == len(set(keys)), "a key is there twice"
        assert len(keys) <= (self.cache.maxsize or 3)
        values = self.told + [entry.value for entry in table.order]
        assert len(values) == len(set(values)), "an entry was told and is there"
        assert set(self.stored) <= set(values) <= {*self.stored, *self.loaded}


OPERATIONS: dict[str, Callable[[Subject], object]] = {
    "set": lambda subject: subject.set(A, ttl=3),
    "set new": lambda subject: subject.set(C, ttl=3),
    "get": lambda subject: subject.cache.get(A),
    "touch": lambda subject: subject.cache.touch(A),
    "pop": lambda subject: subject.cache.pop(A, None),
    "pop lone": lambda subject: subject.cache.pop(1, None),
    "popitem": lambda subject: subject.popitem(),
    "expire": lambda subject: subject.cache.expire(),
    "clear": lambda subject: subject.cache.clear(),
    "load": lambda subject: subject.load(C),
    "begin": lambda subject: subject.cache._abandon(subject.cache._begin(C)),
    "resize": lambda subject: subject.cache.resize(1),
    "fill": lambda subject: subject.fill(),
}


@pytest.mark.parametrize(
    "inner", ["set", "set new", "get", "pop", "pop lone", "clear", "load", "fill"]
)
@pytest.mark.parametrize("outer", OPERATIONS)
def test_an_interruption_at_any_step_leaves_the_parts_in_step(outer: str, inner: str) -> None:
    subjects: list[Subject] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        subject = Subject()
        subjects[:] = [subject]
        return lambda: OPERATIONS[outer](subject), lambda: OPERATIONS[inner](subject)

    steps = []
    for step in at_every_step("penstock._pure", prepare):
        subjects[0].check()
        assert not subjects[0].cache._engine.guard.index
        steps.append(step)
    assert len(steps) > 20


@pytest.mark.parametrize("outer", ["begin", "abandon", "invalidate", "supersede"])
def test_a_flight_begun_at_any_step_stays_registered(outer: str) -> None:
    begun: list[_pure.Flight] = []
    caches: list[Any] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        cache: Any = _pure.Cache(3)
        flight = None if outer == "begin" else cache._begin(A)
        operation = {
            "begin": lambda: cache._begin(A),
            "abandon": lambda: cache._abandon(flight),
            "invalidate": lambda: cache.set(A, 1),
            "supersede": lambda: cache._begin(A, True),
        }[outer]
        begun.clear()
        caches[:] = [cache]
        return operation, lambda: begun.append(cache._begin(B))

    for _ in at_every_step("penstock._pure", prepare):
        assert [caches[0]._begin(B)] == begun
        registered = [f.key for chain in caches[0]._engine.guard.index.values() for f in chain]
        assert sorted(registered) == ([A, B] if outer in {"begin", "supersede"} else [B])


@pytest.mark.usefixtures("taking_turns")
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_takes_the_lock(name: str) -> None:
    subject = Subject()
    engine = subject.cache._engine
    entries = list(engine.table.order)
    with engine.guard.lock:
        thread = spawn(OPERATIONS[name], subject)
        assert list(engine.table.order) == entries
        assert not engine.guard.index
        assert engine.table.counters.hits == 0
    thread.result()
    subject.check()


def test_the_version_is_that_of_the_crate() -> None:
    cargo = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE)
    assert version is not None
    assert _pure.build_info()["version"] == version[1]


def test_the_twin_imports_nothing_from_the_floors_above() -> None:
    for source in (ROOT / "python/penstock/_pure").glob("*.py"):
        imported = re.findall(r"(?m)^\s*(?:from|import)\s+(penstock[\w.]*)", source.read_text())
        assert all(name.startswith("penstock._pure") for name in imported), source.name
