"""A store of a cache in memory that does what stores promise, and fails as it is told to."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.errors import StoreError, StoreUnavailable
from penstock.stores import Change, Grant, Reading, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LeasingStore", "ModelStore", "PromptStore"]

T = TypeVar("T")


class ModelStore:
    """
    A store on the clock of the running loop, with no time of its own.

    Its *mode* says what becomes of a call:

    - "ok": it is done at once.
    - "slow": it is done, and answered after `delay` seconds.
    - "down": StoreUnavailable.
    - "refusing": what changes it raises StoreError; all else is "ok".
    - "full": a call that sets anything does.
    - "hung": nothing is done, and there is no answer.
    - "deaf": the same, and the call cannot be cancelled.
    - "mute": it is done, and there is no answer.
    - "late": it is done after `delay` seconds, whoever was cancelled meanwhile.
    """

    name = "model"

    def __init__(self) -> None:
        self.mode = "ok"
        self.delay = 0.1
        #: Names of the methods that were called.
        self.calls: list[str] = []
        #: Those that are under way.
        self.busy = 0
        self.most_busy = 0
        self.clock = 0
        self.data: dict[str, Record | int] = {}
        self.tags: dict[str, int] = {}
        self.patterns: dict[str, int] = {}
        self.replayed: list[Change] = []
        #: What it does not store, and with what error.
        self.refused: dict[str, Exception] = {}
        #: What it says it has not stored.
        self.skipped: set[str] = set()
        self.is_closed = False
        self.background: set[asyncio.Future[Any]] = set()
        self._awaited: dict[str, asyncio.Event] = {}

    async def called(self, method: str) -> None:
        """Return when *method* is called the next time."""
        await self._awaited.setdefault(method, asyncio.Event()).wait()

    # --- faults ---

    async def _answer(
        self, method: str, do: Callable[[], T], *, changes: bool = True, grows: bool = False
    ) -> T:
        self.calls.append(method)
        if method in self._awaited:
            self._awaited.pop(method).set()
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            return await self._fail_or(do, changes, grows)
        finally:
            self.busy -= 1

    async def _fail_or(self, do: Callable[[], T], changes: bool, grows: bool) -> T:
        mode = self.mode
        if mode == "down":
            raise StoreUnavailable("the model is down")
        if mode == "refusing" and changes:
            raise StoreError("READONLY")
        if mode == "full" and grows:
            raise StoreError("OOM")
        if mode == "late":
            return await self._late(do)
        while mode in {"hung", "deaf"}:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if mode == "hung":
                    raise
                mode = self.mode  # until it is mended
        result = do()
        if mode == "slow":
            await asyncio.sleep(self.delay)
        elif mode == "mute":
            await asyncio.get_running_loop().create_future()
        return result

    async def _late(self, do: Callable[[], T]) -> T:
        async def work() -> T:
            await asyncio.sleep(self.delay)
            return do()

        task = asyncio.ensure_future(work())
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return await asyncio.shield(task)

    # --- what it promises ---

    def tick(self) -> int:
        self.clock = max(self.clock + 1, int(asyncio.get_running_loop().time() * 1e6))
        return self.clock

    def newest(self, key: str) -> int:
        """The version of what is there, be it a tombstone."""
        there = self.data.get(key, 0)
        return there if isinstance(there, int) else there.version

    def valid(self, key: str) -> Record | None:
        there = self.data.get(key)
        if there is None or isinstance(there, int):
            return None
        rules = [version for p, version in self.patterns.items() if fnmatchcase(key, p)]
        rules += [self.tags.get(tag, 0) for tag in there.tags]
        return there if there.version >= max(rules, default=0) else None

    def encode(self, key: str, record: Record) -> bytes:
        if key in self.refused:
            raise self.refused[key]
        return b""

    async def get_many(self, keys: Sequence[str]) -> Reading:
        def do() -> Reading:
            return Reading([self.valid(key) for key in keys], self.clock)

        return await self._answer("get_many", do, changes=False)

    async def set_many(
        self, items: Sequence[tuple[str, Record]], *, base: int | None = None
    ) -> list[bool]:
        for key, record in items:
            self.encode(key, record)

        def do() -> list[bool]:
            return [self._set(key, record, base) for key, record in items]

        return await self._answer("set_many" if base is None else "fill", do, grows=True)

    def _set(self, key: str, record: Record, base: int | None) -> bool:
        if key in self.skipped or (base is not None and self.newest(key) > base):
            return False
        self.data[key] = record._replace(version=self.tick() if base is None else base)
        return True

    async def delete_many(self, keys: Sequence[str]) -> None:
        def do() -> None:
            version = self.tick()
            self.data.update(dict.fromkeys(keys, version))

        await self._answer("delete_many", do)

    async def invalidate(self, *, tags: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        def do() -> None:
            version = self.tick()
            self.tags.update(dict.fromkeys(tags, version))
            self.patterns.update(dict.fromkeys(patterns, version))

        await self._answer("invalidate", do)

    async def replay(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == "set":
                assert change.record is not None
                self.encode(change.names[0], change.record)

        def do() -> None:
            self.replayed += changes
            for change in changes:
                self._replay(change, int(change.at * 1e6))

        grows = any(change.kind == "set" for change in changes)
        await self._answer("replay", do, grows=grows)

    def _replay(self, change: Change, version: int) -> None:
        for name in change.names:
            if change.kind in {"tags", "patterns"}:
                table = self.tags if change.kind == "tags" else self.patterns
                table[name] = max(version, table.get(name, 0))
            elif self.newest(name) <= version:
                record = change.record
                self.data[name] = version if record is None else record._replace(version=version)

    async def ping(self) -> None:
        await self._answer("ping", lambda: None, changes=False)

    async def aclose(self) -> None:
        self.is_closed = True
        await self._answer("aclose", lambda: None, changes=False)

    def stats(self) -> object:
        return self


class LeasingStore(ModelStore):
    """The same with leases, which end only when they are given back."""

    def __init__(self) -> None:
        super().__init__()
        self.holders: dict[str, int] = {}
        self.waiting: list[asyncio.Future[None]] = []

    async def acquire(self, key: str, seconds: float) -> Grant:
        def do() -> Grant:
            if key in self.holders:
                return Grant(0, seconds)
            self.holders[key] = self.tick()
            return Grant(self.holders[key])

        return await self._answer("acquire", do)

    async def released(self, key: str, timeout: float) -> None:  # noqa: ASYNC109
        self.calls.append("released")
        if self.mode != "ok":
            raise StoreUnavailable("the model is down")
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future

    async def release(self, key: str, token: int) -> None:
        def do() -> None:
            if self.holders.get(key) == token:
                del self.holders[key]
            for future in self.waiting:
                future.done() or future.set_result(None)

        await self._answer("release", do)


class PromptStore(ModelStore):
    """The same, which can be asked without a task, and tells when it is told to."""

    timeout = 0.25
    takes_encoded = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Callable[[Reading | None, BaseException | None], None]] = []
        self.encoded: list[bytes] = []

    def ask_many(
        self,
        keys: Sequence[str],
        answered: Callable[[Reading | None, BaseException | None], None],
    ) -> bool:
        if self.mode == "busy":
            return False
        if self.mode == "broken":
            raise RuntimeError("broken")
        self.calls.append("ask_many")
        reading = Reading([self.valid(key) for key in keys], self.clock)
        error = StoreUnavailable("the model is down") if self.mode == "down" else None
        self.asked.append(lambda *_: answered(None, error) if error else answered(reading, None))
        return True

    def answer(self) -> None:
        """Tell all that was asked."""
        asked, self.asked = self.asked, []
        for answered in asked:
            answered(None, None)

    async def set_many(
        self,
        items: Sequence[tuple[str, Record]],
        *,
        base: int | None = None,
        encoded: Sequence[bytes] | None = None,
    ) -> list[bool]:
        self.encoded += encoded or ()
        return await super().set_many(items, base=base)
