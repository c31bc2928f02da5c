"""The future of an item that a thread has submitted."""

from __future__ import annotations

import logging
from asyncio import _get_running_loop
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, PENDING, RUNNING
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ThreadFuture", "start_threads"]

T = TypeVar("T")

logger = logging.getLogger("penstock.batching")


class ThreadFuture(Future[T]):
    """
    A ``concurrent.futures.Future`` that is cancelled for good at once, without anybody's help.

    Whoever waits for one of the standard library in ``wait()`` or ``as_completed()`` learns that it
    was cancelled when it is about to run: an item that is cancelled never is.
    """

    if TYPE_CHECKING:
        _done_callbacks: list[Callable[[Any], object]]

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        with self._condition:
            if self._state == CANCELLED:
                self.set_running_or_notify_cancel()
        return True

    def done(self) -> bool:
        # Without the lock, of which a forked process may have a copy that somebody holds.
        return self._state not in (PENDING, RUNNING)

    def start(self) -> bool:
        """Let nobody cancel it from now on; False if somebody has, or it is done."""
        with self._condition:
            return self._state == PENDING and self.set_running_or_notify_cancel()

    def _invoke_callbacks(self) -> None:
        """Call those who want to know; in an event loop they get in the way of nobody else."""
        if not self._done_callbacks:
            return
        loop, context = _get_running_loop(), copy_context()
        for callback in self._done_callbacks:
            try:
                context.run(callback, self)
            except Exception:
                logger.exception("exception calling callback for %r", self)
            except BaseException as error:
                if loop is None:
                    raise
                # When all who wait for the batch were told, it goes on out of the loop.
                loop.call_soon(_throw, error)


def _throw(error: BaseException) -> NoReturn:
    raise error


def start_threads(items: list[Any], futures: list[Any]) -> int:
    """Let no thread cancel its item from now on; remove those that have, and return how many."""
    gone = [
        index
        for index, future in enumerate(futures)
        if isinstance(future, ThreadFuture) and not future.start()
    ]
    for index in reversed(gone):
        del items[index], futures[index]
    return len(gone)
