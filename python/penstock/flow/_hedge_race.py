"""The calls that race for one answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Awaitable, Callable

    from penstock.flow._deadline import Due

__all__ = ["Race"]


class Race:
    """
    Calls of one function with the same arguments, of which the first one that returns wins.

    Args:
        call: Makes a call.
        may_start: Whether an extra one may be made now; it is made then.
        is_retried: Whether the next one is made at once after this error.
    """

    __slots__ = (
        "_began", "_call", "_extra", "_first", "_is_retried", "_loop", "_may_start", "_raised",
        "_running", "_sleeper", "abandoned", "errors", "is_won_by_first", "seconds", "winner",
    )  # fmt: skip

    _began: float

    def __init__(
        self,
        call: Callable[[], Awaitable[object]],
        may_start: Callable[[], bool],
        is_retried: Callable[[Exception], bool],
    ) -> None:
        self._call = call
        self._may_start = may_start
        self._is_retried = is_retried
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._sleeper: Future[bool] | None = None
        #: In the order in which they were started.
        self._running: dict[Task[object], None] = {}
        #: While it runs. What has failed is not kept here: its error leads back.
        self._first: Task[object] | None = None
        #: What calls raised, and nobody has looked at; and what those raised before, in this order.
        self._raised: list[BaseException] = []
        self.errors: list[Exception] = []
        self._extra = 0
        self.winner: Task[object] | None = None
        self.is_won_by_first = False
        #: How long the first call took, or had taken when another one won; None if it failed.
        self.seconds: float | None = None
        self.abandoned = False

    async def run(self, delay: float | None, extra: int, due: Due | None) -> Task[object]:
        """
        Make calls until one has returned, and return its task.

        Raises:
            DeadlineExceeded: The time of *due* is over.

        What a call raises is passed on: the first error when all have failed, at once what is no
        Exception.
        """
        self._extra = extra
        self._began = self._loop.time()
        self._first = self._start()
        delay = inf if delay is None else delay
        next_at = self._began + delay
        due_at = inf if due is None else due.on(self._loop)
        while True:
            until = min(due_at, next_at if self._extra else inf)
            is_late = await self._sleep(until)
            if self.winner is not None:
                return self.winner
            if self._raised:
                has_started = self._look_at_errors()
            elif is_late and due is not None and until == due_at:
                raise due.error()
            else:
                has_started = is_late and self._start_extra()
            if has_started:
                next_at = self._loop.time() + delay

    async def close(self) -> None:
        """Cancel what runs, and wait for its end, also where that is cancelled."""
        if self._loop.is_closed():
            return
        for task in self._running:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while self._running and not self.abandoned:
            try:
                await self._sleep(inf)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def _look_at_errors(self) -> bool:
        """Make further calls if these errors ask for it, and return whether that was done."""
        has_started = False
        while self._raised:
            error = self._raised.pop(0)
            if not isinstance(error, Exception):
                raise error
            self.errors.append(error)
            if self._extra and self._is_retried(error) and self._start_extra():
                has_started = True
            else:
                self._extra = 0
            del error
        if not self._running:
            raise self.errors[0]
        return has_started

    def _start(self) -> Task[object]:
        task = self._loop.create_task(_await(self._call))
        self._running[task] = None
        task.add_done_callback(self._note_end)
        return task

    def _start_extra(self) -> bool:
        """Make one more call if that may be, and return whether it was."""
        if not self._may_start():
            self._extra = 0
            return False
        self._extra -= 1
        self._start()
        return True

    async def _sleep(self, until: float) -> bool:
        """Wait for the end of a call; True when there was no time left before it."""
        self._sleeper = sleeper = self._loop.create_future()
        timer = None if until == inf else self._loop.call_at(until, _wake, sleeper, True)
        try:
            is_late: bool = await sleeper
        except GeneratorExit:
            self.abandoned = True  # nobody is left who could wait
            raise
        finally:
            self._sleeper = None
            if timer is not None:
                timer.cancel()
        return is_late

    def _note_end(self, task: Task[object]) -> None:
        self._running.pop(task, None)
        is_first = task is self._first
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._raised.append(error)
        elif self.winner is None:
            self.winner = task
            self.is_won_by_first = is_first
            if self._first is not None:
                self.seconds = self._loop.time() - self._began
        if is_first:
            self._first = None
        if self._sleeper is not None:
            _wake(self._sleeper, False)


async def _await(call: Callable[[], Awaitable[object]]) -> object:
    return await call()


def _wake(sleeper: Future[bool], is_late: bool) -> None:
    if not sleeper.done():
        sleeper.set_result(is_late)


def note_others(errors: list[Exception], label: str) -> None:
    """
    Note on the first of the errors that all calls failed, and what the others failed with.

    An error that is raised again and again gets one note, not one of each call.
    """
    start = f"hedge of {label}: all "
    others = ", ".join(repr(error) for error in errors[1:])
    with suppress(Exception):  # some exceptions cannot be changed: then they say nothing
        notes = getattr(errors[0], "__notes__", None)
        if isinstance(notes, list):
            notes[:] = [
                one for one in notes if not (isinstance(one, str) and one.startswith(start))
            ]
        errors[0].add_note(f"{start}{len(errors)} calls failed; the others: {others}")
