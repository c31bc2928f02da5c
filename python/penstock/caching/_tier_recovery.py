"""What a store has missed while it did not answer, until it has got it."""

from __future__ import annotations

import asyncio
import logging
import random
from contextvars import Context
from typing import TYPE_CHECKING, Final

from penstock.errors import StoreTimeout, StoreUnavailable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Awaitable, Callable, Sequence

    from penstock.caching._tier_pending import Pending
    from penstock.stores import Change, Store

__all__ = ["Recovery"]

logger = logging.getLogger("penstock.caching")

#: Changes in one call.
_CHUNK: Final = 200
#: How many single changes a store may refuse before it is left alone until the next attempt.
_REFUSALS: Final = 3


class Recovery:
    """
    Replays what a store has missed, once it answers again.

    Args:
        store: The store.
        ask: Calls a method of the store, and returns what it raised, or None.
        pending: What it has missed; filled by somebody else.
        backoff: The shortest and the longest of the pauses between two attempts, before they are
            shortened at random.
        keep_sets: Seconds after which a value is no longer replayed, but deleted: who deleted it
            since then may have left no trace.
        timer: The clock of the changes.
        clock: Wall clock, of the records.
        pass_on: Called with what the store has got, before that is forgotten.
        done: Called when nothing is pending any more.
    """

    __slots__ = (
        "_ask",
        "_backoff",
        "_chunk",
        "_clock",
        "_done",
        "_keep_sets",
        "_loop",
        "_pass_on",
        "_patience",
        "_pending",
        "_refused",
        "_store",
        "_task",
        "_timer",
        "replayed",
    )

    def __init__(
        self,
        store: Store,
        ask: Callable[..., Awaitable[BaseException | None]],
        pending: Pending,
        *,
        backoff: tuple[float, float],
        keep_sets: float,
        timer: Callable[[], float],
        clock: Callable[[], float],
        pass_on: Callable[[list[Change]], Awaitable[None]],
        done: Callable[[], object],
    ) -> None:
        self._store = store
        self._ask = ask
        self._pending = pending
        self._backoff = backoff
        self._keep_sets = keep_sets
        self._timer = timer
        self._clock = clock
        self._pass_on = pass_on
        self._done = done
        self._chunk = _CHUNK
        # How often each pending change was refused, by its identity; and how many may be so yet.
        self._refused: dict[int, int] = {}
        self._patience = _REFUSALS
        self._loop: AbstractEventLoop | None = None
        self._task: Task[None] | None = None
        self.replayed = 0

    def start(self) -> None:
        """Begin in the running loop, unless it has begun there."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._task is None or self._task.done():
            self._loop = loop
            self._task = loop.create_task(self._run(), context=Context())

    def begin_anew(self) -> object:
        """Leave what is under way to another process, and return it."""
        left, self._task, self._loop = self._task, None, None
        return left

    async def stop(self) -> None:
        """Stop; what is pending stays so."""
        task, self._task = self._task, None
        if task is not None and not task.done() and self._loop is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        least, most = self._backoff
        failures = 0
        while self._pending:
            # Full jitter: many processes have lost the same store at the same moment.
            await asyncio.sleep(random.uniform(0.0, min(most, least * 2.0 ** min(failures, 60))))
            failures = 0 if await self.attempt() else failures + 1

    async def attempt(self) -> bool:
        """Replay once all that is pending now; False if the store does not take it."""
        if await self._ask(self._store.ping) is not None:
            return False
        changes, refused = self._pending.changes(), self._refused
        self._refused = refused = {id(change): refused.get(id(change), 0) for change in changes}
        self._patience = _REFUSALS
        # What may be refused again must not hold up the others.
        changes.sort(key=lambda change: refused[id(change)])
        at = 0
        while at < len(changes):
            chunk = changes[at : at + self._chunk]
            at += len(chunk)
            if not await self._replay(chunk):
                return False
        if not self._pending:
            self._done()
        return self._patience == _REFUSALS

    async def _replay(self, chunk: list[Change]) -> bool:
        """Replay some changes, and have done with them; False to leave the store alone."""
        error = await self._ask(self._store.replay, self._prepared(chunk))
        if error is None:
            await self._pass_on(chunk)
            self.replayed += self._pending.discard(chunk)
            self._chunk = min(_CHUNK, 2 * self._chunk)
            return True
        if isinstance(error, StoreTimeout):
            self._chunk = max(1, len(chunk) // 2)
        if isinstance(error, StoreTimeout | StoreUnavailable):
            return False
        if len(chunk) > 1:
            middle = len(chunk) // 2
            return await self._replay(chunk[:middle]) and await self._replay(chunk[middle:])
        change = chunk[0]
        if isinstance(error, TypeError | ValueError):
            return await self._give_up(change, error)
        self._refused[id(change)] = self._refused.get(id(change), 0) + 1
        self._patience -= 1
        return self._patience > 0

    async def _give_up(self, change: Change, error: BaseException) -> bool:
        """Have done with a change that the store will never take."""
        logger.warning("%s does not take %r: %s", self._store.name, change.names[0], error)
        if change.kind != "set":  # then it has nothing of that name either
            self._pending.discard([change])
            return True
        delete = change._replace(kind="delete", record=None)
        self._pending.replace(change, delete)
        return await self._replay([delete])

    def _prepared(self, chunk: Sequence[Change]) -> list[Change]:
        """Return what to replay: no value that is of no use any more, or older than it says."""
        now, wall = self._timer(), self._clock()
        return [
            change if change.record is None else self._aged(change, now, wall) for change in chunk
        ]

    def _aged(self, change: Change, now: float, wall: float) -> Change:
        record = change.record
        assert record is not None
        waited = now - change.at
        if wall - record.born < waited:  # the clock was set back
            record = record._replace(born=wall - waited)
        if waited > self._keep_sets or record.usable(wall) <= 0.0:
            return change._replace(kind="delete", record=None)
        return change._replace(record=record)
