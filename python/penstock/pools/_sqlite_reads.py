"""Reads that threads do: those that wait at the same time share a hop."""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop
from collections import deque
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from penstock.flow._deadline import ambient
from penstock.pools._sqlite_queue import Queue
from penstock.pools._sqlite_reading import LATE, Drain, Read

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable

    from penstock.pools._sqlite_store import Store
    from penstock.pools._sqlite_work import Parameters, Take

__all__ = ["Reads"]

#: Seconds after which a statement is interrupted once more: it may not have begun the first time.
_AGAIN: Final = 0.005
#: Seconds between looks at what waits, when there is nothing new for a long time.
_RARELY: Final = 0.1


class Reads(Queue[Read]):
    """
    Reads that wait, and threads that do them: one, as long as no statement takes long.

    No read is left lying. Whoever brings one looks at `active` after it is in the queue, and calls
    for a drain if there is none; a drain leaves `active` before it looks into the queue for the
    last time. One that is behind a statement which takes long is seen by the watch of its loop.

    Args:
        store: Has the connections.
        supply: Is called by each drain, for what else is to be done in a thread.
    """

    __slots__ = ("_is_held_up", "_supply", "active", "spare", "watches")

    def __init__(self, store: Store, supply: Callable[[], object]) -> None:
        super().__init__(store.reader)
        self._supply = supply
        #: The drains that have a reader, or are in line for one. A dict: its steps are atomic.
        self.active: dict[Drain, None] = {}
        #: Those that have nothing to do.
        self.spare: list[Drain] = []
        #: All of them have to do with statements that take long.
        self._is_held_up = False
        #: Loops of which somebody waits for a drain that others have called.
        self.watches: dict[AbstractEventLoop, _Watch] = {}

    async def fetch(self, sql: str, parameters: Parameters, take: Take[Any]) -> Any:
        """
        Return what there is to take, read in a thread.

        Raises:
            AcquireTimeout: No reader had time for it.
            DeadlineExceeded: The ambient deadline was over first.
            CancelledError: When the statement has ended, if it had begun.
        """
        read = self._put(sql, parameters, take)
        try:
            return await read.future
        except CancelledError:
            if read.claim():
                read.is_over = True
            else:
                await self._stop(read)
            raise
        finally:
            if not read.is_over and not read.claim():  # dropped with its loop
                read.stop()
            if read.timer is not None:
                read.timer.cancel()

    def kill(self) -> None:
        """Fail what waits; interrupt what runs."""
        self.end()
        for drain in list(self.active):
            drain.stop()

    def _put(self, sql: str, parameters: Parameters, take: Take[Any]) -> Read:
        """Have a statement read: its future is done when that is done."""
        loop = get_running_loop()
        read = Read(sql, parameters, loop, take)
        self.pending.append(read)
        watch = self.watches.get(loop)
        if not self.active:
            self.store.keep_tidy(loop)
            if not self._call() and watch is None:
                watch = self._watch(loop)
        else:
            if self._is_held_up:
                self._call()
            if watch is None:
                watch = self._watch(loop)
        if watch is not None:
            read.since = loop.time()
            watch.reads.append(read)
        if ambient() is not None:
            read.timer = self.limit(read, None)
        return read

    def _call(self) -> bool:
        """Have one more drain, if there may be; whether it has a reader already."""
        if len(self.active) >= self.store.options.readers:
            return False
        self._is_held_up = False
        try:
            drain = self.spare.pop()
        except IndexError:
            drain = Drain(self)
        self.active[drain] = None
        return self.call(drain)

    async def _stop(self, read: Read) -> None:
        """Have a statement end that has begun, and wait for that."""
        loop = read.loop
        while not read.is_over:
            if read.stop():
                self.store.counts.interrupted += 1
            read.future = waiter = loop.create_future()
            again = loop.call_later(_AGAIN, _wake, waiter)
            try:
                await waiter
            except CancelledError:
                continue
            finally:
                again.cancel()

    # --- for drains -------------------------------------------------------------------------------

    def supply(self) -> None:
        """Do what else is to be done in a thread."""
        if self.store.options.inline_limit is not None:
            with suppress(Exception):
                self._supply()

    @property
    def has_reader(self) -> bool:
        """Whether there is a drain that has a reader."""
        return any(not drain.is_in_line for drain in list(self.active))

    @property
    def in_line(self) -> int:
        """How many drains wait for a reader."""
        return sum(drain.is_in_line for drain in list(self.active))

    @property
    def is_served(self) -> bool:
        """Whether a drain will get to what waits soon."""
        return any(not drain.is_late for drain in list(self.active))

    def has_another(self, drain: Drain) -> bool:
        """Whether another drain will get to what waits soon."""
        return any(other is not drain and not other.is_late for other in list(self.active))

    def catch_up(self, drain: Drain) -> None:
        """Note that what took long has ended."""
        drain.is_late = self._is_held_up = False

    def is_watched(self, before: AbstractEventLoop, now: AbstractEventLoop) -> bool:
        """Whether a loop learns of what is done, even while a statement of *now* runs."""
        return before is now or before in self.watches

    # --- what takes long --------------------------------------------------------------------------

    def _watch(self, loop: AbstractEventLoop) -> _Watch:
        for other in list(self.watches):
            if other.is_closed():
                self.watches.pop(other, None)
        watch = self.watches[loop] = _Watch(self, loop)
        return watch

    def look(self) -> None:
        """See which statements take long: have another drain for what is behind them."""
        now = perf_counter()
        drains = list(self.active)
        for drain in drains:
            if now - drain.begun > LATE:
                drain.is_late = True
                drain.tell()
        self._is_held_up = all(drain.is_late for drain in drains)
        if self._is_held_up and self.pending:
            self._call()


class _Watch:
    """
    Looks after the reads of a loop, as long as some wait: one timer for all of them.

    Args:
        queue: Where they wait.
        loop: Their loop.
    """

    __slots__ = ("_delay", "_limit", "_loop", "_queue", "reads")

    def __init__(self, queue: Reads, loop: AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._limit = queue.store.options.acquire_timeout
        #: In the order of their coming.
        self.reads: deque[Read] = deque()
        self._delay = LATE
        self._arm()

    def _arm(self) -> None:
        delay, limit = self._delay, self._limit
        if limit is not None:
            left = self.reads[0].since - self._loop.time() if self.reads else 0.0
            delay = min(delay, max(left + self._grace(limit), 0.0))
        self._loop.call_later(delay, self._tick)

    def _grace(self, limit: float) -> float:
        """Return how long to wait at most: a drain that has a reader is as good as a free one."""
        return max(limit, LATE) if self._queue.has_reader else limit

    def _tick(self) -> None:
        queue, reads = self._queue, self.reads
        queue.look()
        self._delay = min(self._delay * 2, _RARELY)
        limit = self._limit
        until = float("-inf") if limit is None else self._loop.time() - self._grace(limit)
        while reads:
            read = reads[0]
            if read.is_claimed:
                self._delay = LATE
            elif limit is not None and read.since <= until:
                queue.expire(read, limit)
            else:
                break
            reads.popleft()
        if reads or any(drain.done for drain in list(queue.active)):
            self._arm()
        elif queue.watches.get(self._loop) is self:
            del queue.watches[self._loop]


def _wake(waiter: Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
