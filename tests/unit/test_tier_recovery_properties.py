"""Recovery against what two processes know to have done, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.clock import Clock
from tests.loading import settle
from tests.model_store import ModelStore
from tests.model_tiers import WALL
from tests.steps import now, run

from penstock.caching._tier import Tier
from penstock.stores import Record

KEYS = ["a", "ab", "b"]
keys = st.sampled_from(KEYS)
tags = st.sampled_from([(), ("s",), ("s", "t")])
what = st.one_of(
    st.tuples(st.just("set"), keys, tags),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("tags"), st.sampled_from(["s", "t"])),
    st.tuples(st.just("patterns"), st.sampled_from(["a*", "?", "*b", "*"])),
)
steps = st.one_of(
    what,
    st.tuples(st.just("other"), what),
    st.tuples(st.just("cancelled"), what, st.integers(1, 4)),
    st.tuples(st.just("read"), keys),
    st.tuples(st.just("load"), keys, tags),
    st.tuples(st.just("fill")),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 0.3, 3.0])),
    st.tuples(
        st.just("mode"),
        st.sampled_from(["ok", "ok", "slow", "down", "refusing", "full", "hung", "mute"]),
    ),
)
programs = st.lists(steps, min_size=3, max_size=40)


@dataclass
class Value:
    """What was set, or loaded: it is as new as the moment at which that began."""

    key: str
    tags: tuple[str, ...]
    at: float
    is_set: bool


@dataclass
class World:
    """A process that asks a store through a tier, one that reaches it, and what both have done."""

    tier: Tier
    store: ModelStore
    values: list[Value] = field(default_factory=list)
    #: When each change began, and what values it made invalid.
    changes: list[tuple[float, Callable[[Value], bool]]] = field(default_factory=list)
    loads: list[tuple[str, Record, int]] = field(default_factory=list)

    def value(self, key: str, tags: tuple[str, ...], *, is_set: bool) -> Record:
        self.values.append(Value(key, tags, now(), is_set))
        return Record(len(self.values) - 1, WALL, None, tags=tags)

    def is_alive(self, value: Value, before: float) -> bool:
        """Whether nothing that began before then, and after it, has made it invalid."""
        return not any(value.at < at < before and kills(value) for at, kills in self.changes)

    def change(self, kind: str, name: str, tags: tuple[str, ...] = ()) -> tuple[Any, Any, Any]:
        """Note that something is changed; return its record, and what to give to `invalidate`."""
        if kind in {"set", "delete"}:
            self.changes.append((now(), lambda value: value.key == name))
            new = self.value(name, tags, is_set=True) if kind == "set" else None
            return new, [], []
        if kind == "tags":
            self.changes.append((now(), lambda value: name in value.tags))
            return None, [name], []
        self.changes.append((now(), lambda value: fnmatchcase(value.key, name)))
        return None, [], [name]

    async def mine(self, kind: str, name: str, *more: Any) -> None:
        new, tags, patterns = self.change(kind, name, *more)
        if new is not None:
            await self.tier.set([(name, new)])
        elif kind == "delete":
            await self.tier.delete([name])
        else:
            await self.tier.invalidate(tags, patterns)

    async def other(self, what: tuple[Any, ...]) -> None:
        """As the other process, that no fault concerns."""
        kind, name, *more = what
        mode, self.store.mode = self.store.mode, "ok"
        new, tags, patterns = self.change(kind, name, *more)
        if new is not None:
            await self.store.set_many([(name, new)])
        elif kind == "delete":
            await self.store.delete_many([name])
        else:
            await self.store.invalidate(tags=tags, patterns=patterns)
        self.store.mode = mode

    async def cancelled(self, what: tuple[Any, ...], after: int) -> None:
        task = asyncio.ensure_future(self.mine(*what))
        await settle(after)
        task.cancel()
        await asyncio.wait([task])
        while self.tier._writes:  # the next one comes after it
            await asyncio.wait([call.ended() for call in self.tier._writes])

    async def read(self, key: str) -> Any:
        begun = now()
        reading = await self.tier.read([key])
        if reading is not None and reading.records[0] is not None:
            number: Any = reading.records[0].value
            assert self.is_alive(self.values[number], begun), (key, number)
        return reading

    async def load(self, key: str, tags: tuple[str, ...]) -> None:
        """Miss it, and load it: it is stored later."""
        reading = await self.read(key)
        if reading is not None and reading.records[0] is None:
            await asyncio.sleep(0.001)
            new = self.value(key, tags, is_set=False)
            self.loads.append((key, new, reading.base))

    async def fill(self) -> None:
        if self.loads:
            key, new, base = self.loads.pop()
            await self.tier.fill([(key, new)], base)

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def mode(self, mode: str) -> None:
        self.store.mode = mode

    async def play(self, program: list[tuple[Any, ...]]) -> None:
        for name, *args in program:
            # No two things at the same moment: nobody could tell which is newer.
            await asyncio.sleep(0.001)
            if name in {"set", "delete", "tags", "patterns"}:
                await self.mine(name, *args)
            else:
                step: Callable[..., Coroutine[Any, Any, object]] = getattr(self, name)
                await step(*args)

    async def end(self, *, may_forget: bool) -> None:
        """Let all that was missed be replayed, and look at what is there then."""
        self.store.mode = "ok"
        await asyncio.sleep(60.0)
        assert self.tier.stats().pending == 0
        await self.tier.aclose()
        await settle()
        for key in KEYS:
            there = self.store.valid(key)
            alive = [
                number
                for number, value in enumerate(self.values)
                if value.key == key and self.is_alive(value, now())
            ]
            if there is not None:
                assert there.value in alive
            elif not may_forget:
                assert not [number for number in alive if self.values[number].is_set]


async def play(program: list[tuple[Any, ...]], *, may_forget: bool, **options: Any) -> None:
    store = ModelStore()
    timer = asyncio.get_running_loop().time
    world = World(Tier(store, timer=timer, clock=Clock(WALL), moment=timer, **options), store)
    await world.play(program)
    await world.end(may_forget=may_forget)


@given(programs)
def test_the_newest_wins_whatever_fails_in_between(program: list[tuple[Any, ...]]) -> None:
    run(play(program, may_forget=False, keep_sets=1e9, failures=2), collect=False)


@given(programs)
def test_without_a_breaker_the_same_is_so(program: list[tuple[Any, ...]]) -> None:
    """More calls reach the store."""
    options = {"failures": 10**6, "min_calls": 10**6, "keep_sets": 1e9}
    run(play(program, may_forget=False, **options), collect=False)


@given(programs)
def test_with_little_memory_it_forgets_and_nothing_comes_back(
    program: list[tuple[Any, ...]],
) -> None:
    options = {"max_pending": 2, "keep_sets": 1.0, "failures": 3}
    run(play(program, may_forget=True, **options), collect=False)
