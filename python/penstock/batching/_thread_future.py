"""The future of an item that a thread has submitted."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, PENDING
from typing import Any, TypeVar

__all__ = ["ThreadFuture", "start_threads"]

T = TypeVar("T")


class ThreadFuture(Future[T]):
    """
    A ``concurrent.futures.Future`` that is cancelled for good at once, without anybody's help.

    Whoever waits for one of the standard library in ``wait()`` or ``as_completed()`` learns that it
    was cancelled when it is about to run: an item that is cancelled never is.
    """

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        with self._condition:
            if self._state == CANCELLED:
                self.set_running_or_notify_cancel()
        return True

    def start(self) -> bool:
        """Let nobody cancel it from now on; False if somebody has, or it is done."""
        with self._condition:
            return self._state == PENDING and self.set_running_or_notify_cancel()


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
