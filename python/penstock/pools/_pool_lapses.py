"""When those who wait for a connection give up: one timer for all of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import ref

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

    from penstock._waiters import TaskWaiter
    from penstock.pools._pool_line import Line

__all__ = ["Lapses"]

#: By how many seconds a timer may come before its time: the clock of a loop is that coarse.
_EARLY: Final = 1e-6


class Lapses:
    """
    Who waits until when.

    Nearly all who wait do so for the same time, and most of them in vain for none of it: a timer of
    the event loop for each would cost more than all the rest of a wait.
    """

    __slots__ = ("__weakref__", "_line", "_queue", "_ref", "_timer")

    def __init__(self, line: Line) -> None:
        self._line = ref(line)
        #: By the time at which they give up; those that have ended are dropped in passing.
        self._queue: deque[tuple[float, TaskWaiter, int]] = deque()
        self._timer: TimerHandle | None = None
        self._ref: ref[Lapses] = ref(self)

    def add(
        self, loop: AbstractEventLoop, waiter: TaskWaiter, ticket: int, seconds: float
    ) -> TimerHandle | None:
        """End a wait after *seconds*; return a timer to cancel if it has one of its own."""
        queue, until = self._queue, loop.time() + seconds
        while queue and queue[0][1].future.done():
            queue.popleft()
        if queue and until < queue[-1][0]:  # somebody who is in more of a hurry than the others
            return loop.call_at(until, _expire, self._line, waiter, ticket)
        queue.append((until, waiter, ticket))
        timer = self._timer
        if timer is not None and until < timer.when():  # it was set for one who has left
            timer.cancel()
            timer = None
        if timer is None:
            self._timer = loop.call_at(until, _tick, self._ref, loop)
        return None

    def tick(self, loop: AbstractEventLoop) -> None:
        """End the waits whose time is over."""
        queue, now = self._queue, loop.time()
        self._timer = None
        while queue:
            until, waiter, ticket = queue[0]
            if not waiter.future.done():
                if until > now + _EARLY:
                    self._timer = loop.call_at(until, _tick, self._ref, loop)
                    return
                _expire(self._line, waiter, ticket)
            queue.popleft()


def _expire(line: ref[Line], waiter: TaskWaiter, ticket: int) -> None:
    this = line()
    if this is not None:
        this._expire(waiter, ticket)


def _tick(lapses: ref[Lapses], loop: AbstractEventLoop) -> None:
    # Not a method: a timer would keep a pool alive that everybody has forgotten.
    this = lapses()
    if this is not None:
        this.tick(loop)
