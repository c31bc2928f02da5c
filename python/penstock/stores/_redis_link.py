"""A connection that comes back: made when it is needed, and not too often while it fails."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from penstock.errors import ClosedError, StoreError, StoreUnavailable
from penstock.stores._redis_wire import Wire, forsake, pack_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.stores._redis_address import Address
    from penstock.stores._redis_stats import Counts

__all__ = ["Link"]

#: Seconds of the pause after the first failure, which doubles, and of the longest.
_PAUSE, _LONGEST = 0.05, 2.0
#: Seconds that a connection has to last for the failures before it to be forgotten.
_LASTING = 1.0


class Link:
    """
    A connection to a server, made anew on the next call after it was lost.

    Args:
        loop: That it lives in.
        address: Of the server.
        timeout: Seconds that a reply may take.
        connect_timeout: Seconds that it may take to connect and to be let in.
        counts: Of the store.
        greet: Does what follows the introduction.
        pushed: Is called with what the server says unasked.
        lost: Is called when a connection that was made is no more.
    """

    __slots__ = (
        "_address",
        "_before",
        "_connect_timeout",
        "_counts",
        "_error",
        "_failures",
        "_greet",
        "_lost",
        "_made_at",
        "_not_before",
        "_pushed",
        "_task",
        "_timeout",
        "closed",
        "loop",
        "wire",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        *,
        timeout: float,  # of each reply
        connect_timeout: float,
        counts: Counts,
        greet: Callable[[Wire], Awaitable[object]],
        pushed: Callable[[Wire, list[Any]], object],
        lost: Callable[[], object] | None = None,
    ) -> None:
        self.loop = loop
        self._address = address
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._counts = counts
        self._greet = greet
        self._pushed = pushed
        self._lost = lost
        self._before: tuple[int, str, str] | None = None
        #: The connection, while it is open and of use.
        self.wire: Wire | None = None
        self.closed = False
        self._task: asyncio.Task[Wire] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._made_at = 0.0
        self._error: StoreError | None = None

    async def connected(self) -> Wire:
        """
        Return the connection; make it if it is not there.

        Raises:
            StoreError: It cannot be made. It was tried just now, or so little ago that it is not
                tried again yet.
            ClosedError: The link is closed.
        """
        if self.wire is not None:
            return self.wire
        if self.closed:
            raise ClosedError(f"the store over Redis at {self._address} is closed")
        if self._task is None:
            if self.loop.time() < self._not_before:
                raise self._again()
            # Of its own: who is cancelled does not end it for the others.
            self._task = self.loop.create_task(self._connect(), name="penstock-redis-connect")
            self._task.add_done_callback(self._seen)
        task = self._task
        done, _ = await asyncio.wait([task])
        del done
        if task.cancelled():
            raise ClosedError(f"the store over Redis at {self._address} was closed")
        if task.exception() is not None:
            raise self._again()
        return task.result()

    def pause(self) -> float:
        """Return the seconds until it may be tried again."""
        return max(0.0, self._not_before - self.loop.time())

    def _seen(self, task: asyncio.Task[Wire]) -> None:
        if self._task is task:
            self._task = None
        if not task.cancelled():
            task.exception()

    def _again(self) -> StoreError:
        """Return the last error, for one more caller."""
        error = self._error
        if error is None:
            return StoreUnavailable(f"Redis at {self._address} was lost just now")
        again = type(error)(*error.args)
        again.__cause__ = error.__cause__
        return again

    async def _connect(self) -> Wire:
        wire = Wire(
            self.loop, str(self._address), self._connect_timeout, self._counts, self._pushed
        )
        where, seconds = f"Redis at {self._address}", self._connect_timeout
        try:
            async with asyncio.timeout(seconds):
                await self._address.open(self.loop, wire)
                number = await self._address.greet(wire)
                self._replace(wire, number)
                await self._greet(wire)
        except BaseException as error:
            wire.abort("it was not wanted any more")
            if isinstance(error, TimeoutError):
                reason = f"cannot connect to {where} within {seconds:g} s"
                self._failed(StoreUnavailable(reason), error)
            elif isinstance(error, StoreError):
                self._failed(error, error.__cause__)
            elif isinstance(error, OSError | ValueError):
                self._failed(StoreUnavailable(f"cannot connect to {where}: {error}"), error)
            raise
        if wire.closed is not None:
            self._failed(wire.lost_error(), None)
            raise wire.lost_error()
        wire.begin(self._timeout)
        wire.on_lost = self._on_lost
        self._counts.connects += 1
        self._made_at = self.loop.time()
        self.wire = wire
        return wire

    def _replace(self, wire: Wire, number: int) -> None:
        """Have the server end the connection before, and do nothing that it may still say."""
        if self._before is not None:
            # It comes in line before everything else that is asked here.
            forsake((wire.ask(pack_command(("CLIENT", "KILL", "ID", *self._before))),))
        peer = wire.name
        # The number alone is that of somebody else, once the server was started again.
        self._before = None if peer is None else (number, "ADDR", peer)

    def _failed(self, error: StoreError, cause: BaseException | None) -> None:
        error.__cause__ = cause
        self._error = error
        self._counts.failed_connects += 1
        self._wait()

    def _wait(self) -> None:
        """Try again later, at a moment of one's own: others have lost the same server."""
        span = min(_LONGEST, _PAUSE * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        self._not_before = self.loop.time() + random.uniform(0.0, span)

    def _on_lost(self, why: str) -> None:
        wire, self.wire = self.wire, None
        self._counts.disconnects += 1
        now = self.loop.time()
        if now - self._made_at < _LASTING and not self.closed:
            # As good as not made: not to be tried in a circle.
            self._error = StoreUnavailable(f"Redis at {self._address} was lost again: {why}")
            self._wait()
        else:
            self._failures = 0
        del wire
        if self._lost is not None:
            self._lost()

    async def close(self) -> None:
        """Close the connection, and make none any more."""
        self.closed = True
        task, wire = self._task, self.wire
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self.wire = None
        if wire is not None:
            wire.on_lost = None
            wire.abort("the store was closed")
