"""Leases of keys in Redis: one process at a time holds one, the others are woken."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING, Final

from penstock.stores._redis_scripts import LEASE, RELEASE
from penstock.stores._store import Grant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.stores._redis_session import Session

__all__ = ["Leases"]

#: Keys that one may wait for, of which those that nobody has come back for are forgotten first.
_MAX_WAITS: Final = 10_000


class Leases:
    """
    How a store takes and gives back leases.

    Args:
        session: On whose connection.
        subscribe: Returns when releases are listened to.
    """

    __slots__ = ("_session", "_subscribe", "_waits")

    def __init__(self, session: Session, subscribe: Callable[[], Awaitable[object]]) -> None:
        self._session = session
        self._subscribe = subscribe
        #: By key: done as soon as the lease that somebody else had is released.
        self._waits: dict[str, asyncio.Future[None]] = {}

    async def acquire(self, key: str, seconds: float) -> Grant:
        """Ask for the lease of *key*."""
        grant = await self._ask(key, seconds, "0")
        if grant.token:
            return grant
        # Nothing is to be missed between the answer and the wait for it.
        await self._subscribe()
        waits = self._waits
        while len(waits) >= _MAX_WAITS:
            self._wake(next(iter(waits)))
        wait = waits.get(key)
        if wait is None or wait.done():
            waits[key] = self._session.loop.create_future()
        grant = await self._ask(key, seconds, "1")
        if grant.token:
            self._wake(key)
        return grant

    async def _ask(self, key: str, seconds: float, waits: str) -> Grant:
        names = self._session.options.names
        args = max(1, ceil(seconds * 1000)), waits
        keys = *names.own, names.lease + key
        token, left = await self._session.run(LEASE, keys, args, list, int, int)
        if token:
            self._session.counts.leases += 1
            return Grant(token)
        self._session.counts.leases_refused += 1
        return Grant(0, max(left, 0) / 1000)

    async def released(self, key: str, seconds: float) -> None:
        """Return when the lease of *key* is released, or so many seconds later."""
        wait = self._waits.get(key)
        if wait is not None and not wait.done():
            await asyncio.wait([wait], timeout=seconds)

    async def release(self, key: str, token: int) -> None:
        """Give the lease of *key* back."""
        names = self._session.options.names
        await self._session.run(RELEASE, (names.lease + key,), (token, names.wake, key), int)

    def woken(self, key: str) -> None:
        """The lease of *key* was released."""
        wait = self._waits.get(key)
        if wait is not None:
            self._wake(key)

    def _wake(self, key: str) -> None:
        wait = self._waits.pop(key, None)
        if wait is not None and not wait.done():
            wait.set_result(None)

    def wake_all(self) -> None:
        """Nobody would be told of a release any more."""
        for key in list(self._waits):
            self._wake(key)
