"""Waiting for permits, in tasks of any event loop and in threads: what Rust does not do."""

from __future__ import annotations

from asyncio import _get_running_loop, get_running_loop
from datetime import timedelta
from threading import TIMEOUT_MAX, Lock, local
from typing import TYPE_CHECKING, Protocol

from penstock import _backend
from penstock.errors import AcquireTimeout, LimitExceeded

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

__all__ = ["Due", "TaskWaiter", "ThreadWaiter", "Waiters", "refuse_loop", "seconds_of"]


class Due(Protocol):
    """Whose time it is that ended a wait, if not the caller's own."""

    def error(self) -> Exception:
        """Return what to raise."""
        ...


def seconds_of(deadline: float | timedelta | None) -> float | None:
    """
    Return how long somebody is willing to wait: 0.0 for not at all, None for as long as it takes.

    Raises:
        TypeError: *deadline* is no duration.
        ValueError: It is not finite, or too long.
    """
    if deadline is None:
        return None
    seconds: object = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds <= 0:
        return 0.0
    return _backend.duration("deadline", deadline)


def refuse_loop(instead: str = "async with") -> None:
    """
    Do nothing in a thread that may wait.

    Raises:
        RuntimeError: It has an event loop to run; the message says what to use *instead*.
    """
    if _get_running_loop() is not None:
        raise RuntimeError(f"waiting here would block the event loop: use {instead}")


class _Waiter:
    """Somebody in line, and whether the permits that it was granted are its own."""

    __slots__ = ("__weakref__", "_fate", "is_expired", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.is_expired = False
        self._fate = [None]

    def disown(self) -> bool:
        """Whether the permits are the caller's to pass on: True once, for whoever asks first."""
        # Popping is one step, which no thread and no finalizer can come in between of.
        try:
            self._fate.pop()
        except IndexError:
            return False
        return True


class TaskWaiter(_Waiter):
    """A task that waits for a future: True when it was granted, False when its time was over."""

    __slots__ = ("future", "loop")

    def __init__(self, weight: int, loop: AbstractEventLoop) -> None:
        # Not by super(): most waits are here, and most of them are short.
        self.weight = weight
        self.is_expired = False
        self._fate = [None]
        self.loop = loop
        self.future = loop.create_future()

    def wake(self, running: AbstractEventLoop | None) -> bool:
        """Let it go on; False if its loop never will."""
        if self.loop is running:
            if not self.future.done():
                self.future.set_result(True)
            return True
        try:
            self.loop.call_soon_threadsafe(self._grant)
        except RuntimeError:  # closed
            return False
        return True

    def _grant(self) -> None:
        if not self.future.done():
            self.future.set_result(True)


class ThreadWaiter(_Waiter):
    """A thread that waits for a lock."""

    __slots__ = ("lock",)

    def __init__(self, weight: int) -> None:
        super().__init__(weight)
        self.lock = Lock()
        self.lock.acquire()

    def wake(self, running: AbstractEventLoop | None) -> bool:
        """Let it go on."""
        if self.lock.locked():
            self.lock.release()
        return True


class _Passing(local):
    """Permits of waiters that are gone, which this thread is passing on right now."""

    todo: list[Callable[[], None]] | None = None


_passing = _Passing()


def _do_all(todo: list[Callable[[], None]]) -> None:
    try:
        while todo:
            todo.pop()()
    finally:
        if todo:  # one of them raised: the others are done all the same
            _do_all(todo)


class Waiters(_backend.WaiterQueue):
    """
    Permits, and a queue of tasks and threads that wait for them.

    Permits are handed over: they are taken for a waiter when it is taken off the queue, and nobody
    gets in between. A waiter that is cancelled after that passes them on, and so does the queue for
    one whose event loop was closed.

    Args:
        limit: How many permits there are, at least 1.
        order: Who is first in line: ``"fifo"``, ``"lifo"``, or ``"priority"`` (the lowest number).
        max_waiting: How many may wait, None for any number.
        timer: Seconds on a clock of your own, for statistics.

    Cost: entering and leaving uncontended is native; a wait is a coroutine, a future and, with a
        deadline, a timer. Any number of threads and event loops.
    """

    __slots__ = ("_max_waiting",)

    def __init__(
        self,
        limit: int,
        order: str = "fifo",
        max_waiting: int | None = None,
        timer: Callable[[], float] | None = None,
    ) -> None:
        self._max_waiting = max_waiting
        self._init(limit, order, max_waiting, timer)

    @staticmethod
    def _time_left(seconds: float | None) -> tuple[float | None, Due | None]:
        """Return how long to wait at most, and whose time that is if it is not the caller's own."""
        return seconds, None

    def _refused(self) -> Exception:
        """Return what to raise when the queue is full."""
        message = f"{self.waiting} wait already, and at most {self._max_waiting} may"
        return LimitExceeded(message, waiting=self.waiting, max_waiting=self._max_waiting or 0)

    def _expired(self, seconds: float) -> Exception:
        """Return what to raise when a waiter's own time was over."""
        return AcquireTimeout(f"no permit became free within {seconds:g} s", seconds=seconds)

    def _alarm(
        self, loop: AbstractEventLoop, waiter: TaskWaiter, ticket: int, seconds: float
    ) -> TimerHandle | None:
        """End a wait after *seconds*; return what to cancel when it is over before."""
        return loop.call_later(seconds, self._expire, waiter, ticket)

    async def _wait(self, weight: int, priority: int, deadline: float | timedelta | None) -> None:
        """Wait in a task; what was granted is noted as its own."""
        seconds, due = self._time_left(None if deadline is None else seconds_of(deadline))
        loop = get_running_loop()
        waiter = TaskWaiter(weight, loop)
        ticket = self._enqueue(waiter, weight, priority)
        timer = None
        try:
            if ticket:
                if seconds is not None or ticket < 0:
                    self._check_in(waiter, ticket, seconds, due)
                    timer = self._alarm(loop, waiter, ticket, seconds or 0.0)
                await waiter.future
                self._check_time(waiter, seconds, due)
            self._begin()
        except BaseException:  # cancelled, or dropped with its loop
            self._leave(waiter, ticket)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _block(self, weight: int, priority: int, deadline: float | timedelta | None) -> None:
        """Wait in a thread; what was granted is noted as its own."""
        refuse_loop()
        seconds, due = self._time_left(seconds_of(deadline))
        waiter = ThreadWaiter(weight)
        ticket = self._enqueue(waiter, weight, priority)
        try:
            if ticket:
                self._check_in(waiter, ticket, seconds, due)
                timeout = -1.0 if seconds is None else min(seconds, TIMEOUT_MAX)
                if not waiter.lock.acquire(timeout=timeout):
                    waiter.is_expired = self._withdraw(ticket, True)
                self._check_time(waiter, seconds, due)
            self._begin()
        except BaseException:  # a signal handler raised
            self._leave(waiter, ticket)
            raise

    def _check_in(
        self, waiter: _Waiter, ticket: int, seconds: float | None, due: Due | None
    ) -> None:
        """Raise if there was no place in the line, or there is no time to spend there."""
        if ticket < 0:
            waiter.is_expired = True
            raise self._refused()
        # Unless somebody has just made room, there is no time for that to happen.
        if seconds == 0:
            waiter.is_expired = self._withdraw(ticket, True)
            self._check_time(waiter, seconds, due)

    def _check_time(self, waiter: _Waiter, seconds: float | None, due: Due | None) -> None:
        """Raise if the time was over before there was a grant."""
        if waiter.is_expired:
            raise self._late(seconds, due)

    def _late(self, seconds: float | None, due: Due | None) -> Exception:
        return self._expired(seconds or 0.0) if due is None else due.error()

    def _expire(self, waiter: TaskWaiter, ticket: int) -> None:
        """End a wait, unless it has ended some other way in the same tick."""
        if not waiter.future.done() and self._withdraw(ticket, True):
            waiter.is_expired = True
            waiter.future.set_result(False)

    def _leave(self, waiter: _Waiter, ticket: int) -> None:
        """Do without the permits, granted or not."""
        if not waiter.is_expired and not self._withdraw(ticket, False) and waiter.disown():
            self._pass_on(waiter.weight)

    def _wake(self, waiters: list[TaskWaiter | ThreadWaiter]) -> None:
        """Let those go on who were granted permits."""
        running = _get_running_loop()
        waiters.reverse()
        try:
            while waiters:
                waiter = waiters[-1]
                if not waiter.wake(running) and waiter.disown():
                    self._pass_on(waiter.weight)
                waiters.pop()
        finally:
            if waiters:  # a signal handler raised: nobody else would ever wake them
                self._wake(waiters[::-1])

    def _pass_on(self, weight: int) -> None:
        """Give back what somebody was granted who is gone."""

        def pass_on() -> None:
            try:
                # Noted first, or the release would take back the note of somebody else.
                self._begin()
            finally:
                # Not that of a subclass, which may take no outcome.
                _backend.WaiterQueue.release(self, weight, outcome="ignored")

        # The next one may be gone too: one after another, not one inside another.
        todo = _passing.todo
        if todo is not None:
            todo.append(pass_on)
            return
        _passing.todo = todo = [pass_on]
        try:
            _do_all(todo)
        finally:
            _passing.todo = None
