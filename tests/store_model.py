"""What a store of a cache has to do, said in the simplest way, to be compared with one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import strategies as st

from penstock.stores import Change, Record

__all__ = ["HOUR", "OPERATIONS", "Model", "record"]

HOUR = 3600.0


def record(value: object, *, age: float = 0.0, **given: Any) -> Record:
    """Return a record that was born some seconds ago; it lives for ever unless it is told."""
    return Record(value, time.time() - age, **{"ttl": None, **given})


_KEYS = ["a", "ab", "b", "a*", "", "\0"]
_TAGS = ["t", "u"]
_key = st.sampled_from(_KEYS)
_keys = st.lists(_key, min_size=1, max_size=3, unique=True)
_tags = st.lists(st.sampled_from(_TAGS), max_size=2, unique=True)
_value = st.integers(0, 99)
_patterns = st.lists(
    st.sampled_from(["*", "a*", "ab*", "?", "[ab]", "a[*]", "b", ""]), min_size=1, max_size=2
)
OPERATIONS = st.one_of(
    st.tuples(st.just("set"), _keys, _value, _tags),
    st.tuples(st.just("fill"), _keys, _value, _tags, st.integers(0, 5)),
    st.tuples(st.just("delete"), _keys),
    st.tuples(st.just("tags"), _tags),
    st.tuples(st.just("patterns"), _patterns),
    st.tuples(st.just("replay_set"), _keys, _value, _tags, st.booleans()),
    st.tuples(st.just("replay_delete"), _keys, st.booleans()),
)


class Model:
    """What a store does: every write has a number, a fill an older one."""

    def __init__(self, uncertain: float = 0.0) -> None:
        self.uncertain = uncertain
        self.clock = 0
        self.entries: dict[str, tuple[int, int | None, tuple[str, ...]]] = {}
        self.invalid: list[tuple[int, str, str]] = []
        self.bases: list[tuple[int, int]] = []

    def put(self, key: str, version: int, value: int | None, tags: Sequence[str] = ()) -> bool:
        """Write, unless something newer is there."""
        if key in self.entries and self.entries[key][0] > version:
            return False
        self.entries[key] = version, value, tuple(tags)
        return True

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def find(self, key: str) -> int | None:
        version, value, tags = self.entries.get(key, (0, None, ()))
        for number, kind, name in self.invalid:
            hit = name in tags if kind == "tag" else fnmatchcase(key, name)
            if hit and number > version:
                return None
        return value

    async def compare(self, store: Any) -> None:
        reading = await store.get_many(_KEYS)
        found = [each and each.value for each in reading.records]
        assert found == [self.find(key) for key in _KEYS]
        self.bases.append((self.clock, reading.base))

    async def set(self, store: Any, keys: list[str], value: int, tags: list[str]) -> None:
        await store.set_many([(key, record(value, tags=tuple(tags))) for key in keys])
        version = self.tick()
        for key in keys:
            self.put(key, version, value, tags)

    async def fill(
        self, store: Any, keys: list[str], value: int, tags: list[str], back: int
    ) -> None:
        """Store what was loaded some operations ago."""
        await self.compare(store)
        clock, base = self.bases[-1 - back % len(self.bases)]
        items = [(key, record(value, tags=tuple(tags))) for key in keys]
        stored = await store.set_many(items, base=base)
        expected = [self.put(key, clock, value, tags) for key in keys]
        # One that is invalid from the start need not be stored.
        for key, done, may in zip(keys, stored, expected, strict=True):
            assert done <= may
            assert done or not may or self.find(key) is None

    async def delete(self, store: Any, keys: list[str]) -> None:
        await store.delete_many(keys)
        version = self.tick()
        for key in keys:
            self.put(key, version, None)

    async def tags(self, store: Any, tags: list[str]) -> None:
        await store.invalidate(tags=tags)
        version = self.tick()
        self.invalid += [(version, "tag", tag) for tag in tags]

    async def patterns(self, store: Any, patterns: list[str]) -> None:
        await store.invalidate(patterns=patterns)
        version = self.tick()
        self.invalid += [(version, "pattern", pattern) for pattern in patterns]

    async def replay_set(
        self, store: Any, keys: list[str], value: int, tags: list[str], is_old: bool
    ) -> None:
        ours = record(value, tags=tuple(tags))
        await asyncio.sleep(self.uncertain)
        at = time.monotonic() - (HOUR if is_old else 0)
        await store.replay([Change("set", tuple(keys), ours, at)])
        version = -1 if is_old else self.tick()
        for key in keys:
            self.put(key, version, value, tags)

    async def replay_delete(self, store: Any, keys: list[str], is_old: bool) -> None:
        await asyncio.sleep(self.uncertain)
        at = time.monotonic() - (HOUR if is_old else 0)
        await store.replay([Change("delete", tuple(keys), None, at)])
        version = -1 if is_old else self.tick()
        for key in keys:
            self.put(key, version, None)
