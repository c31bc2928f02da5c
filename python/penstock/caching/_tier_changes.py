"""What is changed in a tier: by calls that are not too large for their time."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from penstock.caching._tier_breaker import REFUSED
from penstock.caching._tier_missed import TierMissed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from penstock.caching._tier_call import Call
    from penstock.stores import Record
    from penstock.stores._store import Kind

__all__ = ["TierChanges"]

#: Bytes that are stored by one call.
_BYTES: Final = 1 << 20


class TierChanges(TierMissed):
    """
    A store that is changed.

    However much there is to be changed: each call has its own time, and what it does not do is all
    that was missed.
    """

    __slots__ = ()

    async def fill(self, items: Sequence[tuple[str, Record]], base: int) -> None:
        """
        Store what was missing when the clock of the store was *base*, unless it changed since.

        Args:
            items: Keys and records. Those that must not be stored yet, or cannot be, are left out.
            base: From the `Reading` that missed them.
        """
        at = 0
        while at < len(items):
            end = at + self._size
            await self._fill_some(items[at:end], base)
            at = end

    async def _fill_some(self, items: Sequence[tuple[str, Record]], base: int) -> None:
        """The same, in one call."""
        if self._pending:
            hides = self._pending.hides
            items = [item for item in items if not hides(item[0], item[1].tags)]
        error = await self._fill(items, base)
        if isinstance(error, (TypeError, ValueError)) and len(items) > 1:
            await self._fill([item for item in items if self._can_encode(*item)], base)

    async def _fill(self, items: Sequence[tuple[str, Record]], base: int) -> BaseException | None:
        """Try it; return what was wrong with the items."""
        lease = self._begin() if items else REFUSED
        if lease == REFUSED:
            return None
        store = partial(self._store.set_many, items, base=base)
        call = self._write(partial(self._end_fill, lease), store)
        await call.waiter
        return call.error

    def _can_encode(self, key: str, record: Record) -> bool:
        try:
            self._store.encode(key, record)
        except Exception:
            return False
        return True

    def _end_fill(self, lease: int, call: Call[list[bool]]) -> None:
        self._end_write(lease, call)
        if call.error is None:
            filled = sum(call.result)
            self._counts.fills += filled
            self.refused += len(call.result) - filled

    async def set(
        self, items: Sequence[tuple[str, Record]], encoded: Sequence[bytes] | None = None
    ) -> list[bool]:
        """
        Store what callers have set.

        Args:
            items: Keys and records, whose values can be encoded.
            encoded: What `encode` has returned for each, for a store that takes it.

        Returns:
            Which of them the store has taken. The others it gets later, or forgets.
        """
        stored: list[bool] = []
        while len(stored) < len(items):
            begin = len(stored)
            end = self._end_of(encoded, begin)
            if begin == 0 and end >= len(items):  # as nearly always
                return await self._set_some(items, encoded)
            part = None if encoded is None else encoded[begin:end]
            try:
                stored += await self._set_some(items[begin:end], part)
            except asyncio.CancelledError:
                # What was begun goes on; what was not, will be made up for.
                self._miss_sets(items[end:], self._moment())
                raise
        return stored

    def _end_of(self, encoded: Sequence[bytes] | None, begin: int) -> int:
        """Return where what can be stored by one call ends that begins there."""
        end = begin + self._size
        if encoded is not None:
            left = _BYTES
            for place, each in enumerate(encoded[begin:end], begin):
                left -= len(each)
                if left < 0:
                    return max(place, begin + 1)
        return end

    async def _set_some(
        self, items: Sequence[tuple[str, Record]], encoded: Sequence[bytes] | None
    ) -> list[bool]:
        """The same, in one call."""
        self._counts.sets += len(items)
        at = self._moment()
        lease = self._begin()
        if lease == REFUSED:
            self._miss_sets(items, at)
            self._recover()
            return [False] * len(items)
        store: Any = self._store.set_many
        if encoded is not None and self._takes_encoded:
            store = partial(store, encoded=encoded)
        call = self._write(partial(self._end_set, lease, items, at), store, items)
        await call.waiter
        return [False] * len(items) if call.error is not None else list(call.result)

    async def delete(self, keys: Sequence[str]) -> bool:
        """
        Remove *keys*.

        Args:
            keys: Any number of them.

        Returns:
            Whether the store has done it. If not, it does it later.
        """
        self._counts.deletes += len(keys)
        return await self._change_each("delete", keys, self._store.delete_many)

    async def invalidate(self, tags: Sequence[str] = (), patterns: Sequence[str] = ()) -> bool:
        """
        Make invalid what has one of *tags*, or a key that matches one of *patterns*.

        Args:
            tags: Any number of them.
            patterns: As fnmatch.fnmatchcase takes them.

        Returns:
            Whether the store has done it. If not, it does it later.
        """
        self._counts.invalidations += len(tags) + len(patterns)
        store = self._store
        if len(tags) + len(patterns) <= self._size:
            what: list[tuple[Kind, Sequence[str]]] = [("tags", tags), ("patterns", patterns)]
            return await self._change(what, partial(store.invalidate, tags=tags, patterns=patterns))
        try:
            done = await self._change_each("tags", tags, lambda names: store.invalidate(tags=names))
        except asyncio.CancelledError:
            self._miss("patterns", patterns, self._moment())
            raise
        others = lambda names: store.invalidate(patterns=names)  # noqa: E731
        return await self._change_each("patterns", patterns, others) and done

    async def _change_each(
        self, kind: Kind, names: Sequence[str], change: Callable[[Sequence[str]], Awaitable[None]]
    ) -> bool:
        """Change something of each of *names*, of not too many by one call."""
        done = True
        at = 0
        while at < len(names):
            end = at + self._size
            some = names[at:end]
            try:
                done = await self._change([(kind, some)], partial(change, some)) and done
            except asyncio.CancelledError:
                self._miss(kind, names[end:], self._moment())
                raise
            at = end
        return done

    async def _change(
        self,
        what: list[tuple[Kind, Sequence[str]]],
        function: Callable[[], Awaitable[None]],
    ) -> bool:
        """Change the store, now or later."""
        if not any(names for _, names in what):
            return True
        at = self._moment()
        lease = self._begin()
        if lease == REFUSED:
            for kind, names in what:
                self._miss(kind, names, at)
            self._recover()
            return False
        call = self._write(partial(self._end_change, lease, what, at), function)
        await call.waiter
        return call.error is None
