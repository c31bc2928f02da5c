"""`deadline`: how long something may take, for everything below it that waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from penstock import _backend
from penstock.errors import DeadlineExceeded
from penstock.flow._callables import check_function, is_coroutine_function

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task, Timeout
    from collections.abc import Callable
    from contextvars import Token
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

__all__ = ["Deadline", "Due", "ambient", "check", "deadline", "remaining", "sooner"]

F = TypeVar("F", bound="Callable[..., Any]")


class Due:
    """The moment at which the time that a deadline gave is over."""

    __slots__ = ("_at", "_loop", "_loop_at", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = loop = asyncio._get_running_loop()
        self._loop_at = 0.0 if loop is None else loop.time() + seconds
        # A thread that is handed the context does not ask the loop: the clock of some loops stands
        # still while they wait.
        self._at = monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds until then, 0.0 when it is over."""
        loop = self._loop
        if loop is not None and loop is asyncio._get_running_loop():
            left = self._loop_at - loop.time()
        else:
            left = self._at - monotonic()
        return max(0.0, left)

    def on(self, loop: AbstractEventLoop) -> float:
        """Return when it is on the clock of the loop that runs here."""
        return self._loop_at if loop is self._loop else loop.time() + self.remaining()

    def error(self) -> DeadlineExceeded:
        """Return what to raise when it is over."""
        message = f"the deadline of {self.seconds:g} s is over"
        return DeadlineExceeded(message, seconds=self.seconds)


_ambient: ContextVar[Due | None] = ContextVar("penstock_deadline", default=None)

#: Returns the soonest of the deadlines that the code runs under, or None.
ambient = _ambient.get


def remaining() -> float | None:
    """
    Return how many seconds are left of the soonest ``deadline()`` that the code runs under.

    Returns:
        Seconds, 0.0 when it is over, or None without a deadline.

    Cost: O(1). Any thread; a task, and a thread that was handed the context, have the deadline of
        who started them.
    """
    due = _ambient.get()
    return None if due is None else due.remaining()


def check() -> None:
    """
    Do nothing while there is time left.

    Raises:
        DeadlineExceeded: There is none.
    """
    due = _ambient.get()
    if due is not None and due.remaining() <= 0.0:
        raise due.error()


def sooner(seconds: float | None) -> tuple[float | None, Due | None]:
    """
    Return for how long to wait at most, and whose deadline ends the wait if it is not one's own.

    Args:
        seconds: The time that the caller gave, or None.

    Returns:
        Seconds (0.0: no time is left; None: for ever), and None or that whose `error()` to raise
        when they have passed.
    """
    due = _ambient.get()
    if due is not None:
        left = due.remaining()
        if seconds is None or left <= seconds:
            return left, due
    return seconds, None


def deadline(seconds: float | timedelta) -> Deadline:
    """
    Limit how long a block may take, together with all that it calls.

    ``with deadline(s)`` sets the time by which everything of penstock's that waits below gives up;
    it interrupts nothing itself. ``async with deadline(s)`` also cancels the block when the time is
    over, as ``asyncio.timeout`` does. Inside another deadline the sooner one counts. It decorates
    functions and coroutine functions as well: each call has a deadline of its own then.

    Args:
        seconds: Seconds (or a timedelta) from entering the block.

    Returns:
        A context manager that may be entered again once it was left.

    Raises:
        TypeError: *seconds* is no duration; what is decorated is no function.
        ValueError: *seconds* is not positive and finite.
        DeadlineExceeded: From ``async with``, when the time is over; ``seconds`` is what the
            deadline gave whose time it was. A block that was cancelled by somebody else as well
            stays cancelled.

    Cost: ``with`` sets a context variable; ``async with`` is an ``asyncio.timeout`` on top.

    Source: asyncio.timeout; the propagation is that of gRPC and of Go's context.
    """
    return Deadline(seconds)


class Deadline:
    """
    A block of code with a deadline; see `deadline`.
    """

    __slots__ = ("_cancelling", "_due", "_own", "_seconds", "_task", "_timeout", "_token")

    _due: Due
    _task: Task[Any]
    _timeout: Timeout

    def __init__(self, seconds: float | timedelta, *, _own: Due | None = None) -> None:
        self._seconds = _backend.duration("seconds", seconds)
        #: When it is over no matter when the block is entered, for several blocks in a row.
        self._own = _own
        self._token: Token[Due | None] | None = None
        self._cancelling = 0

    @property
    def seconds(self) -> float:
        """
        How long the block may take.
        """
        return self._seconds

    def __repr__(self) -> str:
        return f"deadline({self._seconds:g})"

    def __enter__(self) -> Self:
        due = self._begin()
        self._token = _ambient.set(due)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    async def __aenter__(self) -> Self:
        self._due = due = self._begin()
        if due.remaining() <= 0.0:  # an outer one: the block would end at its first await
            raise due.error()
        loop = asyncio.get_running_loop()
        timeout = asyncio.timeout_at(due.on(loop))
        await timeout.__aenter__()
        task = asyncio.current_task()
        assert task is not None  # or the line above had failed
        self._cancelling = task.cancelling()
        self._task, self._timeout = task, timeout
        self._token = _ambient.set(due)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        due, task, timeout = self._due, self._task, self._timeout
        del self._due, self._task, self._timeout
        self._end()
        try:
            await timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            is_over = True
        else:
            # The first releases of 3.11 leave it cancelled if the task was, before it came here.
            is_over = (
                timeout.expired()
                and isinstance(error, asyncio.CancelledError)
                and task.cancelling() <= self._cancelling
            )
        if is_over:
            raise due.error() from error

    def __call__(self, function: F) -> F:
        check_function("deadline", function)
        seconds = self._seconds
        wrapper = _around_coroutine if is_coroutine_function(function) else _around_call
        wrapped: F = wraps(function)(wrapper(seconds, function))  # type: ignore[assignment]
        return wrapped

    def _begin(self) -> Due:
        """Return until when the block may run: the sooner one of its own and that around it."""
        if self._token is not None:
            raise RuntimeError(f"{self!r} is entered already, make another")
        own = Due(self._seconds) if self._own is None else self._own
        outer = _ambient.get()
        return outer if outer is not None and outer.remaining() <= own.remaining() else own

    def _end(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            # An abandoned async generator is closed by another task: nothing to take back there.
            with suppress(ValueError):
                _ambient.reset(token)


def _around_call(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with Deadline(seconds):
            return function(*args, **kwargs)

    return call


def _around_coroutine(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with Deadline(seconds):
            return await function(*args, **kwargs)

    return call
