"""A store in memory that does all that the protocol asks for, and faults to put into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Self

from penstock.caching import TieredCache
from penstock.errors import StoreUnavailable
from penstock.stores._store import Change, Grant, Message, Reading, Record

__all__ = ["MemoryStore", "PromptStore", "Shared", "Tiers"]


class Shared:
    """
    What stores of several "processes" have in common: a server in memory.

    Args:
        clock: Wall clock, for the ages of records.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.now = 0
        self.records: dict[str, Record] = {}
        #: When keys were deleted, by the store's clock.
        self.tombstones: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        self.rules: dict[str, int] = {}
        #: The tokens of the leases that are held, and until when.
        self.leases: dict[str, tuple[int, float]] = {}
        self.waiting: dict[str, list[asyncio.Future[None]]] = {}
        self.stores: list[MemoryStore] = []

    def tick(self) -> int:
        self.now += 1
        return self.now

    def valid(self, key: str) -> Record | None:
        record = self.records.get(key)
        if record is None or record.usable(self.clock()) <= 0:
            return None
        if any(self.tags.get(tag, 0) > record.version for tag in record.tags):
            return None
        newest = [at for pattern, at in self.rules.items() if fnmatchcase(key, pattern)]
        return None if newest and max(newest) > record.version else record

    def put(self, key: str, record: Record, base: int | None) -> bool:
        if base is None:
            version = self.tick()
        else:
            there = self.records.get(key)
            newest = max(self.tombstones.get(key, 0), 0 if there is None else there.version)
            if newest > base:
                return False
            version = base
        self.tombstones.pop(key, None)
        self.records[key] = record._replace(version=version)
        return True

    def remove(self, key: str) -> None:
        self.records.pop(key, None)
        self.tombstones[key] = self.tick()

    def publish(self, origin: MemoryStore, message: Message) -> None:
        for store in self.stores:
            if store is not origin and store.receive is not None and store.is_connected:
                store.loop.call_soon(store.receive, message)

    def release(self, key: str) -> None:
        self.leases.pop(key, None)
        for future in self.waiting.pop(key, []):
            if not future.done():
                future.set_result(None)


class MemoryStore:
    """
    A store over a `Shared`.

    Args:
        shared: What it has in common with others; None: a new one.
        name: Its name.
    """

    def __init__(self, shared: Shared | None = None, name: str = "memory") -> None:
        self.shared = Shared() if shared is None else shared
        self.shared.stores.append(self)
        self._name = name
        #: The calls: the method, and its keys, tags or patterns.
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        #: What each call raises instead of doing something.
        self.error: Exception | None = None
        #: While it is not set, calls wait: before they do something, and before they answer.
        self.before = asyncio.Event()
        self.after = asyncio.Event()
        #: The same for reads only, before they answer.
        self.read = asyncio.Event()
        for event in (self.before, self.after, self.read):
            event.set()
        #: Values that it cannot encode.
        self.refuses: tuple[type, ...] = (set,)
        self.receive: Callable[[Message], None] | None = None
        self.lost: Callable[[], None] | None = None
        self.is_connected = True
        self.closed = False
        self.loop: asyncio.AbstractEventLoop

    @property
    def name(self) -> str:
        return self._name

    def asked(self, method: str) -> list[tuple[str, ...]]:
        """What it was asked to do by calls of a method."""
        return [names for called, names in self.calls if called == method]

    async def _begin(self, method: str, names: Sequence[str]) -> None:
        self.calls.append((method, tuple(names)))
        if not self.before.is_set():
            await self.before.wait()
        if self.error is not None:
            raise self.error

    async def _end(self) -> None:
        if not self.after.is_set():
            await self.after.wait()

    def encode(self, key: str, record: Record) -> bytes:
        if isinstance(record.value, self.refuses):
            raise TypeError(f"cannot encode {type(record.value).__name__}")
        return repr(record.value).encode()

    async def get_many(self, keys: Sequence[str]) -> Reading:
        await self._begin("get", keys)
        reading = Reading([self.shared.valid(key) for key in keys], self.shared.now)
        if not self.read.is_set():
            await self.read.wait()
        await self._end()
        return reading

    async def set_many(
        self, items: Sequence[tuple[str, Record]], *, base: int | None = None
    ) -> list[bool]:
        for key, record in items:
            self.encode(key, record)
        names = [key for key, _ in items]
        await self._begin("set" if base is None else "fill", names)
        stored = [self.shared.put(key, record, base) for key, record in items]
        if base is None:
            self.shared.publish(self, Message("set", tuple(names), self.shared.now))
        await self._end()
        return stored

    async def delete_many(self, keys: Sequence[str]) -> None:
        await self._begin("delete", keys)
        for key in keys:
            self.shared.remove(key)
        self.shared.publish(self, Message("delete", tuple(keys), self.shared.now))
        await self._end()

    async def invalidate(self, *, tags: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        await self._begin("invalidate", [*tags, *patterns])
        version = self.shared.tick()
        self.shared.tags.update(dict.fromkeys(tags, version))
        self.shared.rules.update(dict.fromkeys(patterns, version))
        if tags:
            self.shared.publish(self, Message("tags", tuple(tags), version))
        if patterns:
            self.shared.publish(self, Message("patterns", tuple(patterns), version))
        await self._end()

    async def replay(self, changes: Sequence[Change]) -> None:
        await self._begin("replay", [name for change in changes for name in change.names])
        for change in changes:
            if change.kind == "set":
                assert change.record is not None
                self.shared.put(change.names[0], change.record, None)
            elif change.kind == "delete":
                self.shared.remove(change.names[0])
            else:
                table = self.shared.tags if change.kind == "tags" else self.shared.rules
                table.update(dict.fromkeys(change.names, self.shared.tick()))
        await self._end()

    async def ping(self) -> None:
        await self._begin("ping", ())

    async def aclose(self) -> None:
        self.closed = True

    def stats(self) -> object:
        return len(self.calls)

    # a lease for each key, and who waits for it

    async def acquire(self, key: str, seconds: float) -> Grant:
        await self._begin("acquire", [key])
        now = asyncio.get_running_loop().time()
        _, until = self.shared.leases.get(key, (0, 0.0))
        if until > now:
            grant = Grant(0, until - now)
        else:
            grant = Grant(self.shared.tick(), 0.0)
            self.shared.leases[key] = grant.token, now + seconds
        await self._end()
        return grant

    async def released(self, key: str, timeout: float) -> None:  # noqa: ASYNC109
        await self._begin("released", [key])
        if key in self.shared.leases:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.shared.waiting.setdefault(key, []).append(future)
            await asyncio.wait([future], timeout=timeout)

    async def release(self, key: str, token: int) -> None:
        await self._begin("release", [key])
        if self.shared.leases.get(key, (0, 0.0))[0] == token:
            self.shared.release(key)

    # what others change

    async def listen(self, receive: Callable[[Message], None], lost: Callable[[], None]) -> None:
        await self._begin("listen", ())
        self.loop = asyncio.get_running_loop()
        self.receive, self.lost = receive, lost

    async def unlisten(self) -> None:
        self.receive = self.lost = None

    def disconnect(self) -> None:
        """Lose the connection over which others tell."""
        self.is_connected = False
        assert self.lost is not None
        self.lost()

    def reconnect(self) -> None:
        self.is_connected = True
        assert self.lost is not None
        self.lost()

    # faults

    def fail(self, error: Exception | None = None) -> None:
        """Answer nothing but errors."""
        self.error = StoreUnavailable("no connection") if error is None else error

    def hang(self) -> None:
        """Do nothing, and answer nothing."""
        self.before.clear()

    def mend(self) -> None:
        """Answer again; those who wait are answered too."""
        self.error = None
        for event in (self.before, self.after, self.read):
            event.set()


class PromptStore(MemoryStore):
    """One that can be read without a task of the cache's."""

    timeout = 0.25

    def ask_many(
        self,
        keys: Sequence[str],
        answered: Callable[[Reading | None, BaseException | None], object],
    ) -> bool:
        loop = asyncio.get_running_loop()

        async def answer() -> None:
            try:
                async with asyncio.timeout(self.timeout):
                    reading = await self.get_many(keys)
            except Exception as error:
                answered(None, error)
            else:
                answered(reading, None)

        self.task = loop.create_task(answer())
        return True


class Tiers:
    """
    A `TieredCache` over stores in memory, all on the clock of the running loop.

    Args:
        stores: How many stores there are.
        shared: What they have in common with those of other "processes", nearest first.
        prompt: Whether the nearest one is a `PromptStore`.
        options: Of the cache; without any it has a ttl, but neither leases nor a backplane.
    """

    def __init__(
        self,
        stores: int = 1,
        shared: Sequence[Shared] = (),
        *,
        prompt: bool = False,
        **options: Any,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self.shared = list(shared) or [Shared(clock) for _ in range(stores)]
        self.stores = [
            (PromptStore if prompt and not number else MemoryStore)(each, f"store {number}")
            for number, each in enumerate(self.shared)
        ]
        for name, value in {"ttl": 60, "lease": None, "backplane": False}.items():
            options.setdefault(name, value)
        self.cache = TieredCache(*self.stores, timer=clock, clock=clock, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self.stores:
            store.mend()
        await self.cache.aclose()

    def forget(self) -> None:
        """Let the first tier forget everything."""
        self.cache._local.clear()

    def in_memory(self, key: str) -> object:
        """What the first tier has, fresh or not; "nothing" if it has nothing."""
        entry = self.cache._local.cache.peek(key)
        return "nothing" if entry is None else entry.value

    def stored(self, key: str) -> list[object]:
        """What the stores have, nearest first; "nothing" where there is nothing."""
        found = [shared.valid(key) for shared in self.shared]
        return ["nothing" if record is None else record.value for record in found]
