"""The future of a task: one of `concurrent.futures`, which can be awaited too."""

from __future__ import annotations

import threading
from _thread import RLock
from asyncio import get_running_loop
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures._base import (
    CANCELLED_AND_NOTIFIED,
    FINISHED,
    LOGGER,
    PENDING,
    RUNNING,
)
from typing import TYPE_CHECKING, Any, TypeVar

from penstock._backend import Parker
from penstock.flow._executor._mailbox import mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["TaskFuture"]

T = TypeVar("T")

_TIMEOUT_MAX = threading.TIMEOUT_MAX


class TaskFuture(Future[T]):
    """
    A ``concurrent.futures.Future`` that can be awaited, too.

    What waits is made when somebody waits: a task of which only the result is read, when it is
    there already, has cost one lock. It is a reentrant one, as that of the standard library is: a
    finalizer that cancels this very future may run while it is held.

    Cancelling it is final at once; there is nobody who has to be told later.
    """

    # The defaults of a future that nobody has looked at.
    _state: str = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _waiters: list[Any] = []  # noqa: RUF012  # replaced before anything is put in
    _own_condition: threading.Condition | None = None
    _sleepers: list[Any] | None = None
    _callbacks: list[Callable[[TaskFuture[T]], object]] | None = None
    #: How many callers were given this future; more than one if they have used the same key.
    _sharers = 1

    def __init__(self) -> None:
        # Not the one of the base: a condition costs more than all the rest of a task.
        self._lock = RLock()

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        """What `wait` and `as_completed` hold while they add to `_waiters`: it has our lock."""
        with self._lock:
            condition = self._own_condition
            if condition is None:
                self._waiters = []
                condition = self._own_condition = threading.Condition(self._lock)
        return condition

    @property
    def _done_callbacks(self) -> list[Any]:
        return [] if self._callbacks is None else self._callbacks

    # --- hooks of subclasses ----------------------------------------------------------------------

    def _before_wait(self) -> None:
        """Is called by a thread that is going to wait; may do the work itself, or refuse."""

    def _on_cancel(self) -> None:
        """Is called once, by whoever cancelled it, before the callbacks."""

    # --- of the one who has submitted -------------------------------------------------------------

    def cancel(self) -> bool:
        """
        Cancel the task if it does not run yet.

        Returns:
            Whether it is cancelled.
        """
        with self._lock:
            if self._state != PENDING:
                return self._state != RUNNING and self._state != FINISHED
            self._state = CANCELLED_AND_NOTIFIED
            if self._own_condition is not None:
                self._notify("add_cancelled")
        try:
            self._on_cancel()
        finally:
            self._tell()
        return True

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self._state == CANCELLED_AND_NOTIFIED

    def running(self) -> bool:
        """Return whether it runs now."""
        return self._state == RUNNING

    def done(self) -> bool:
        """Return whether it was cancelled, or has ended."""
        return self._state != PENDING and self._state != RUNNING

    def result(self, timeout: float | None = None) -> T:
        """
        Return what the task returned, or raise what it raised.

        Args:
            timeout: Seconds to wait for that, None for as long as it takes.

        Raises:
            TimeoutError: It is not there in time.
            CancelledError: The task was cancelled.
        """
        if self._state != FINISHED:
            self._wait(timeout)
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                # The traceback refers to this frame: no cycle through the future.
                self = None  # type: ignore[assignment]  # noqa: PLW0642
        result: T = self._result
        return result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """
        Return what the task raised, None if it returned.

        Args:
            timeout: Seconds to wait for that, None for as long as it takes.

        Raises:
            TimeoutError: It is not there in time.
            CancelledError: The task was cancelled.
        """
        if self._state != FINISHED:
            self._wait(timeout)
        return self._exception

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """
        Call *fn* with this future when it is done, at once if it is.

        It is called by whoever ends the future, the callbacks in the order in which they were
        added. What it raises is logged.
        """
        with self._lock:
            if self._state == PENDING or self._state == RUNNING:
                if self._callbacks is None:
                    self._callbacks = [fn]
                else:
                    self._callbacks.append(fn)
                return
        self._call(fn)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done():
            loop = get_running_loop()
            box, waiter = mailbox(loop), loop.create_future()

            def wake(_: object) -> None:
                box.post(waiter, None, None)

            self.add_done_callback(wake)
            try:
                yield from waiter
            except BaseException:  # cancelled, or dropped together with its loop
                self._forget(wake)
                self._leave()
                raise
        if self._state != FINISHED:
            # As one that is wrapped for asyncio does.
            from asyncio import CancelledError as Cancelled

            raise Cancelled
        return self.result()

    def _forget(self, callback: Callable[[TaskFuture[T]], object]) -> None:
        """Take back a callback, unless it is called already."""
        with self._lock:
            if not self.done() and self._callbacks is not None and callback in self._callbacks:
                self._callbacks.remove(callback)

    def _join(self) -> bool:
        """Hand it to one more caller; False if it is done."""
        with self._lock:
            if self.done():
                return False
            self._sharers += 1
        return True

    def _leave(self) -> None:
        """Do without it: the last caller who does cancels it."""
        with self._lock:
            self._sharers -= 1
            is_last = self._sharers <= 0
        if is_last:
            self.cancel()

    def _wait(self, timeout: float | None) -> None:
        """Wait until it is done; raise if it is cancelled, or is not done in time."""
        if not self.done():
            self._before_wait()
            if self._state != FINISHED:
                self._sleep(-1.0 if timeout is None else min(max(timeout, 0.0), _TIMEOUT_MAX))
        if self._state != FINISHED:
            raise CancelledError

    def _sleep(self, seconds: float) -> None:
        """Sleep until it is done, or raise TimeoutError; a negative number is for ever."""
        sleeper = Parker()
        with self._lock:
            if self.done():
                return
            if self._sleepers is None:
                self._sleepers = []
            self._sleepers.append(sleeper)
        if sleeper.wait(seconds):
            return
        with self._lock:
            if not self.done():  # otherwise somebody goes through the list
                self._sleepers.remove(sleeper)
                raise TimeoutError

    # --- of the executor --------------------------------------------------------------------------

    def set_running_or_notify_cancel(self) -> bool:
        """
        Claim the task, for whoever is going to run it.

        Returns:
            False if it was cancelled.

        Raises:
            RuntimeError: It runs already, or has ended.
        """
        with self._lock:
            if self._state == PENDING:
                self._state = RUNNING
                return True
            if self._state == CANCELLED_AND_NOTIFIED:
                return False
        LOGGER.critical("Future %s in unexpected state: %s", id(self), self._state)
        raise RuntimeError("Future in unexpected state")

    def set_result(self, result: T) -> None:
        """
        End it with a result.

        Raises:
            InvalidStateError: It is done already.
        """
        with self._lock:
            if self._state != RUNNING:
                self._check_open()
            self._result = result
            self._state = FINISHED
            if self._own_condition is not None:
                self._notify("add_result")
            sleepers = self._sleepers
        if sleepers is not None or self._callbacks is not None:
            self._tell()

    def set_exception(self, exception: BaseException | None) -> None:
        """
        End it with an error.

        Raises:
            InvalidStateError: It is done already.
        """
        with self._lock:
            self._check_open()
            self._exception = exception
            self._state = FINISHED
            if self._own_condition is not None:
                self._notify("add_exception")
        self._tell()

    def _claim(self) -> bool:
        """Return True to the first who asks, of those who want to run, expire or discard it."""
        with self._lock:
            if self._state == PENDING:
                self._state = RUNNING
                return True
        return False

    def _check_open(self) -> None:
        if self._state != PENDING and self._state != RUNNING:
            raise InvalidStateError(f"{self._state}: {self!r}")

    def _notify(self, message: str) -> None:
        """Tell those of `wait` and `as_completed`, under the lock, in the words they know."""
        for waiter in self._waiters:
            getattr(waiter, message)(self)
        if self._own_condition is not None:
            self._own_condition.notify_all()

    def _tell(self) -> None:
        """Wake who sleeps, and call the callbacks; the lock is free again."""
        sleepers, callbacks = self._sleepers, self._callbacks
        self._sleepers = self._callbacks = None
        if sleepers is not None:
            for sleeper in sleepers:
                sleeper.wake()
        if callbacks is not None:
            callbacks.reverse()
            self._call_all(callbacks)

    def _call_all(self, callbacks: list[Callable[[TaskFuture[T]], object]]) -> None:
        try:
            while callbacks:
                self._call(callbacks.pop())
        finally:
            if callbacks:  # one of them raised what is no Exception
                self._call_all(callbacks)

    def _call(self, callback: Callable[[TaskFuture[T]], object]) -> None:
        try:
            callback(self)
        except Exception:
            LOGGER.exception("exception calling callback for %r", self)
