"""What other threads have for the futures of an event loop: one wake-up for all of a burst."""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

__all__ = ["Mailbox", "mailbox"]


class Mailbox:
    """
    Takes results to an event loop.

    No wake-up is lost: whoever posts looks at the flag after the item is in, and the loop takes the
    flag down before it takes the items out. So an item is seen by the visit for which the flag is
    up, or its poster sees the flag down and calls for another one.
    """

    __slots__ = ("_is_called", "_items", "_loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._items: deque[tuple[Future[Any], Any, BaseException | None]] = deque()
        self._is_called = False

    def is_of(self, loop: AbstractEventLoop) -> bool:
        """Return whether it is that of *loop*."""
        return self._loop() is loop

    def post(self, future: Future[Any], result: object, error: BaseException | None) -> None:
        """End a future of the loop, soon, unless it is done then; from any thread."""
        self._items.append((future, result, error))
        if not self._is_called:
            self._is_called = True
            self._call()
        elif (loop := self._loop()) is None or loop.is_closed():
            self._items.clear()  # the visit for which the flag is up will never be

    def _call(self) -> None:
        loop = self._loop()
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._deliver)
                return
        except RuntimeError:  # the loop is closed
            pass
        except BaseException:
            self._is_called = False
            raise
        self._items.clear()
        self._is_called = False

    def _deliver(self) -> None:
        self._is_called = False
        items = self._items
        while items:
            future, result, error = items.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            elif isinstance(error, CancelledError):
                future.cancel()
            elif isinstance(error, StopIteration):
                # It would end the coroutine that awaits it, as if that had returned (PEP 479).
                replaced = RuntimeError("the task raised StopIteration")
                replaced.__cause__ = error
                future.set_exception(replaced)
            else:
                future.set_exception(error)


class _Here(threading.local):
    """The mailbox that was last used in this thread."""

    box: Mailbox | None = None


_here = _Here()


def mailbox(loop: AbstractEventLoop) -> Mailbox:
    """Return the mailbox of the loop that runs in this thread."""
    box = _here.box
    if box is None or not box.is_of(loop):
        box = _here.box = Mailbox(loop)
    return box
