"""What tests of tiers share: a first tier on clocks of its own, and a tier over a model store."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.clock import Clock
from tests.loading import settle
from tests.model_store import ModelStore

from penstock import Cache
from penstock._backend import Entry, Front
from penstock.caching._local import Local
from penstock.caching._tier import Tier
from penstock.stores import Reading, Record

__all__ = [
    "WALL",
    "Tier1",
    "end_of_outage",
    "heal",
    "outage",
    "record",
    "store_directly",
    "tier_of",
    "values",
]

WALL = 50_000.0


def tier_of(store: ModelStore | None = None, **options: Any) -> tuple[Tier, Any]:
    """A tier on the clock of the running loop, and its store."""
    store = store or ModelStore()
    options.setdefault("clock", Clock(WALL))
    timer = asyncio.get_running_loop().time
    # The model store knows no other time.
    return Tier(store, timer=timer, **{"moment": timer, **options}), store


def record(value: object = "value", ttl: float | None = 60.0, **more: Any) -> Record:
    return Record(value, WALL, ttl, **more)


def values(reading: Reading | None) -> list[object]:
    assert reading is not None
    return [None if each is None else each.value for each in reading.records]


async def heal(tier: Tier, store: ModelStore) -> None:
    """Let the store answer, and all that it kept end."""
    store.mode = "ok"
    await asyncio.sleep(10.0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # those that cannot be cancelled look at the mode again
    await tier.aclose()
    await settle()


async def outage(store: ModelStore, *keys: str) -> None:
    """Put values there, and let the store fail then."""
    for key in keys:
        await store.set_many([(key, record(f"old {key}", tags=("tag",)))])
    await asyncio.sleep(0.001)
    store.calls.clear()
    store.mode = "down"


async def end_of_outage(tier: Any, store: ModelStore) -> None:
    store.mode = "ok"
    await asyncio.wait([tier._recovery._task])
    assert tier.stats().pending == 0


async def store_directly(store: ModelStore, key: str, value: object = "direct") -> None:
    """As another process does, which reaches it."""
    mode, store.mode = store.mode, "ok"
    await asyncio.sleep(0.001)
    await store.set_many([(key, record(value))])
    await asyncio.sleep(0.001)
    store.mode = mode


class Hooked(Front):
    """A front that tells what it cannot answer itself."""

    def _get(self, key: object, default: object, entry: Entry | None) -> Any:
        return "hook", entry


class Tier1:
    """A Local with all that belongs to it, on clocks of its own."""

    def __init__(self, **options: Any) -> None:
        self.timer = Clock(1000.0)
        self.wall = Clock(50_000.0)
        self.cache: Cache[str, Entry] = Cache(100, timer=self.timer)
        self.front = Hooked()
        self.front._attach(self.cache)  # type: ignore[arg-type]  # of any keys
        self.local = Local(self.cache, self.front, timer=self.timer, clock=self.wall, **options)

    def advance(self, seconds: float) -> None:
        self.timer.advance(seconds)
        self.wall.advance(seconds)

    def record(self, value: object = "value", ttl: float | None = 60.0, **more: Any) -> Record:
        return Record(value, self.wall.now, ttl, **more)

    def fill(self, key: str = "key", record: Record | None = None, **options: Any) -> Entry | None:
        token = options.pop("token", self.local.token())
        return self.local.fill(key, record or self.record(), token, **options)

    def state(self, key: str = "key") -> str:
        """Of the entry, "absent" if there is none."""
        entry = self.cache.peek(key)
        return "absent" if entry is None else self.local.state(entry, self.timer.now)

    def served(self, key: str = "key") -> bool:
        """Whether the front answers by itself."""
        return not isinstance(self.front.get(key), tuple)
