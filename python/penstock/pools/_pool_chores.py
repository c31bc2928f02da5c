"""What a pool does in tasks of its own, so that nobody's cancellation gets in between."""

from __future__ import annotations

from contextlib import suppress
from contextvars import Context
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable

__all__ = ["Chore", "Stopped"]


class Stopped(ConnectionAbortedError):
    """Somebody has cancelled all tasks of the event loop, or closes the pool."""


async def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    result = function(*args)
    return await result if isawaitable(result) else result


class Chore:
    """
    A call in a task, with a time limit; what follows is called once, and is told how it went.

    When the time is over the task is cancelled but not waited for: one that does not let itself be
    cancelled holds up nobody.

    Args:
        chores: Where it is kept until its task has ended.
        loop: Where it runs.
        seconds: The time limit.
        then: ``then(result, error)``.
        late: ``late(result)``, for a result that came when nobody waited for it any more.
    """

    __slots__ = ("_chores", "_is_over", "_late", "_task", "_then", "_timer", "_what")

    def __init__(
        self,
        chores: set[Chore],
        loop: AbstractEventLoop,
        call: tuple[Any, ...],
        seconds: float,
        then: Callable[[Any, BaseException | None], object],
        late: Callable[[Any], object] | None = None,
    ) -> None:
        function, *args = call
        self._chores = chores
        self._is_over = False
        self._then = then
        self._late = late
        self._what = getattr(function, "__qualname__", type(function).__name__)
        # Not the context of who happens to need it: its deadline is not that of a connection.
        self._task: Task[Any] = loop.create_task(_call(function, tuple(args)), context=Context())
        self._timer = loop.call_later(seconds, self._expire, seconds)
        chores.add(self)
        self._task.add_done_callback(self._done)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._is_over

    def abandon(self, error: BaseException | None = None) -> None:
        """Cancel it, and go on with what follows at once: it has failed with *error*."""
        self._timer.cancel()
        with suppress(RuntimeError):  # its loop is closed
            self._task.cancel()
        if not self._is_over:
            self._is_over = True
            self._then(None, error or Stopped("the pool is closed"))

    def _expire(self, seconds: float) -> None:
        self.abandon(TimeoutError(f"{self._what} did not return within {seconds:g} s"))

    def _done(self, task: Task[Any]) -> None:
        self._timer.cancel()
        self._chores.discard(self)
        result, error = _outcome(task)
        if not self._is_over:
            self._is_over = True
            self._then(result, error)
        elif error is None and self._late is not None:
            self._late(result)


def _outcome(task: Task[Any]) -> tuple[Any, BaseException | None]:
    if task.cancelled():
        return None, Stopped("the task was cancelled")
    error = task.exception()
    return (None, error) if error is not None else (task.result(), None)
