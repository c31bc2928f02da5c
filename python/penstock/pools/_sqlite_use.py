"""One use of a connection, from the permit to giving it back; cancelled, it is left clean."""

from __future__ import annotations

import sqlite3
from asyncio import CancelledError, get_running_loop
from contextlib import suppress
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast
from weakref import ref

from penstock.flow._executor._mailbox import mailbox
from penstock.pools._sqlite_store import closed

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from penstock.flow._executor._mailbox import Mailbox
    from penstock.pools._sqlite_connection import Link
    from penstock.pools._sqlite_lane import Lane

__all__ = ["Use"]

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds after which a statement is interrupted once more: it may not have begun the first time.
_AGAIN = 0.005


class Use:
    """
    A permit, a connection once there is one, and at most one call in a thread with it.

    The call is always waited for: who is cancelled meanwhile has its statements interrupted, and
    learns of it when the call has ended. Nobody else gets the connection before that. When nobody
    can wait any more, because the loop is gone, the thread gives it back at the end of the call.
    """

    __slots__ = (
        "__weakref__", "_cursors", "_error", "_guard", "_is_busy", "_is_left", "_is_over",
        "_is_stopped", "_lane", "_protected", "_result", "_waiter", "link",
    )  # fmt: skip

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.link: Link | None = None
        self._guard = Lock()
        #: A thread is at it.
        self._is_busy = False
        #: The permit is to be given back, or was.
        self._is_left = False
        #: The loop knows that the thread is done.
        self._is_over = True
        self._is_stopped = False
        #: What runs must not be interrupted.
        self._protected = False
        self._cursors: list[sqlite3.Cursor] = []
        self._waiter: Future[None] | None = None
        self._result: Any = None
        self._error: BaseException | None = None

    def stopped(self) -> bool:
        """Return whether nobody wants the result of what runs."""
        return self._is_stopped

    def keep(self, cursor: sqlite3.Cursor) -> None:
        """Close a cursor at the end: an open one holds the snapshot."""
        self._cursors.append(cursor)

    def keeps(self, cursor: sqlite3.Cursor) -> bool:
        """Return whether a cursor is open still."""
        return cursor in self._cursors

    def drop(self, cursor: sqlite3.Cursor) -> None:
        """Close a cursor now."""
        with self._guard:
            is_mine = cursor in self._cursors
            if is_mine:
                self._cursors.remove(cursor)
        if is_mine:
            _close(cursor)

    def _drop_all(self) -> None:
        with self._guard:
            cursors, self._cursors = self._cursors, []
        for cursor in cursors:
            _close(cursor)

    # --- the permit -------------------------------------------------------------------------------

    async def acquire(self) -> None:
        """
        Wait for a permit.

        Raises:
            AcquireTimeout: There was none in time.
            DeadlineExceeded: The ambient deadline was over first.
            ClosedError: The pool was closed meanwhile.
        """
        lane = self._lane
        if not lane.line.try_acquire():
            await lane.line.acquire(deadline=lane.store.options.acquire_timeout)
        self._begin()

    def block(self) -> None:
        """Wait for a permit, in a thread; see `acquire`."""
        line = self._lane.line
        if not line.try_acquire():
            line._block(1, 0, self._lane.store.options.acquire_timeout)
        self._begin()

    def _begin(self) -> None:
        store = self._lane.store
        store.uses[id(self)] = ref(self)
        if store.is_dead:
            self.end()
            raise closed(store.options.path)

    def end(self) -> None:
        """Give everything back, once nothing runs any more; once, from any thread."""
        with self._guard:
            if self._is_left:
                return
            self._is_left = True
            if self._is_busy:  # the thread will see
                return
        self._give_back()

    def kill(self) -> None:
        """Take the connection away, now or when the thread is done with it."""
        self.stop()
        with self._guard:
            is_mine = not self._is_busy
            link = self.link if is_mine else None
            if is_mine:
                self.link = None
        if link is not None:
            self._drop_all()
            self._lane.store.close(link)

    def _give_back(self) -> None:
        lane = self._lane
        store = lane.store
        store.uses.pop(id(self), None)
        link, self.link = self.link, None
        try:
            self._drop_all()
            if link is not None and link in store.links:  # else it is that of a parent process
                if link.rollback() and lane.writes:
                    store.counts.rollbacks += 1
                link.settle()
                if link.is_broken or store.is_dead:
                    store.close(link)
                else:
                    lane.check_in(link)
        finally:
            lane.line.release()

    # --- calls ------------------------------------------------------------------------------------

    async def call(
        self, function: Callable[Concatenate[Use, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """
        Call *function* in a thread with this, whose link is there then, and the arguments.

        Raises:
            ClosedError: The pool has taken the connection away.
            RuntimeError: Another call runs.
            CancelledError: When the call has ended.
        """
        loop = get_running_loop()
        self._start()
        try:
            self._lane.store.submit(self._work, mailbox(loop), function, args, kwargs)
        except BaseException:
            self.vacate()
            raise
        cancelled: CancelledError | None = None
        while not self._is_over:
            self._waiter = waiter = loop.create_future()
            again = None if cancelled is None else loop.call_later(_AGAIN, _wake, waiter)
            try:
                await waiter
            except CancelledError as error:
                cancelled = cancelled or error
                self._interrupt()
            except BaseException:  # dropped with its loop
                self.stop()
                raise
            finally:
                if again is not None:
                    again.cancel()
                    self._interrupt()
        self._lane.store.keep_tidy(loop)
        result: T = self._outcome(cancelled)
        return result

    def call_here(
        self, function: Callable[Concatenate[Use, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function* in this thread, see `call`."""
        self._start()
        self._perform(function, args, kwargs)
        self._is_over = True
        result: T = self._outcome(None)
        return result

    def _interrupt(self) -> None:
        if self._is_over:
            return
        if not self._is_stopped:
            self._lane.store.counts.interrupted += 1
        self.stop()

    def occupy(self) -> None:
        """Let nobody else at the connection: the thread of the caller has it in its hands."""
        self._start()

    @property
    def is_foreign(self) -> bool:
        """Whether the connection is that of a parent process, whose business its end is."""
        return self.link is not None and self.link not in self._lane.store.links

    def vacate(self) -> None:
        """Let others at it again."""
        with self._guard:
            self._is_busy = False
            self._is_over = True

    def stop(self) -> None:
        """Interrupt what runs, unless that does no good."""
        self._is_stopped = True
        link = self.link
        if link is not None and not self._protected:
            link.interrupt()

    def protect(self, is_protected: bool) -> None:
        """Say whether what follows must not be interrupted; in the thread."""
        self._protected = is_protected

    def _start(self) -> None:
        with self._guard:
            if self._is_left or (self.link is None and self._lane.store.is_dead):
                raise closed(self._lane.store.options.path)
            if self._is_busy or not self._is_over:
                raise RuntimeError("another statement of this block runs: await them in turn")
            self._is_busy = True
        self._is_over = self._is_stopped = False

    def _work(
        self, box: Mailbox, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> None:
        self._perform(function, args, kwargs)
        box.post(cast("Future[Any]", self), None, None)

    def _perform(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> None:
        lane, begin = self._lane, perf_counter()
        store = lane.store
        try:
            if self.link is None:
                self.link = lane.check_out(self.stopped)
            self._result = function(self, *args, **kwargs)
        except BaseException as error:
            if self.link is not None:
                self.link.note(error)
            self._error = error
        self._protected = False
        spent = perf_counter() - begin
        if lane.writes:
            store.counts.write_seconds += spent
        else:
            store.counts.read_seconds += spent
        with self._guard:
            self._is_busy = False
            is_left = self._is_left
        if is_left:
            self._give_back()
        elif store.is_dead:
            self.kill()

    def _outcome(self, cancelled: CancelledError | None) -> Any:
        result, self._result = self._result, None
        error, self._error = self._error, None
        try:
            if cancelled is not None:
                raise cancelled
            if error is not None:
                if self._lane.store.is_dead and self.link is None:
                    raise closed(self._lane.store.options.path) from error
                raise error
            return result
        finally:
            del error, cancelled  # no cycle through the frames of an error

    # --- what the mailbox takes for a future ------------------------------------------------------

    def done(self) -> bool:
        """Return whether the loop knows already."""
        return self._is_over

    def set_result(self, _: None) -> None:
        """Let the loop know that the call has ended."""
        if self._is_stopped:  # as long as a cursor is open, all that follows is interrupted as well
            self._drop_all()
        self._is_over = True
        if self._waiter is not None:
            _wake(self._waiter)


def _wake(waiter: Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _close(cursor: sqlite3.Cursor) -> None:
    with suppress(sqlite3.Error):
        cursor.close()
