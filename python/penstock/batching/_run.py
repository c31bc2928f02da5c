"""One batch: a call of the handler, and what its items get from it."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, _get_running_loop
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from penstock.batching._results import ItemError, check_results, copies, fail, settable
from penstock.batching._thread_future import ThreadFuture
from penstock.errors import BatchCancelled
from penstock.flow._callables import name_of

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Sequence

    from penstock.batching._pump import Pump
    from penstock.batching._results import AnyFuture

__all__ = ["Batch", "inside"]

#: The batch in whose handler the code runs.
inside: ContextVar[Batch | None] = ContextVar("penstock_batch", default=None)


class Batch:
    """
    Items that are handled together.

    Args:
        pump: What dispatched it, and is told of its end.
        items: What the handler gets.
        futures: As many: who waits for each of them, None for nobody.
        start: None of the items has a lower number.
        waited: Seconds that the oldest has waited.
    """

    __slots__ = (
        "_began", "_loop", "_members", "_watched", "expired", "futures", "has_ended", "is_over",
        "is_revoked", "items", "pump", "start", "task", "waited",
    )  # fmt: skip

    def __init__(
        self,
        pump: Pump,
        items: list[Any],
        futures: list[AnyFuture | None],
        start: int,
        waited: float,
    ) -> None:
        self.pump = pump
        self._loop = _get_running_loop()
        self.items = items
        self.futures = futures
        self.start = start
        self.waited = waited
        self.task: Task[None] | None = None
        #: Whether all items came to an end; the handler may still be at work.
        self.is_over = False
        #: How many of them ran out of time.
        self.expired = 0
        #: Whether the handler is done.
        self.has_ended = False
        #: Whether it was cancelled by this library.
        self.is_revoked = False
        self._watched = 0
        self._members: set[AnyFuture | None] | None = None
        self._began: float | None = None

    def __contains__(self, future: AnyFuture) -> bool:
        # Asked only when time is over for somebody.
        if self._members is None:
            self._members = set(self.futures)
        return future in self._members

    async def run(self) -> None:
        """Call the handler, and hand over what comes of it."""
        inside.set(self)
        self._began = self.pump.clock()
        handler = self.pump.options.handler
        try:
            results: Any = handler(self.items)
            if hasattr(type(results), "__await__"):
                results = await results
            self._deliver(results)
        except Exception as error:
            self.fail(settable(error))
        except BaseException as error:
            self._break_off(error)
        finally:
            self._end()

    def watch(self) -> None:
        """See to it that the batch is over once nobody waits for any item any more."""
        futures = self.futures
        index = self._watched
        # One living future at a time is asked to tell.
        while index < len(futures):
            future = futures[index]
            if future is None:  # nobody waits for this one, and it has to be handled
                return
            if not future.done():
                self._watched = index
                future.add_done_callback(self._on_done)
                return
            index += 1
        self.is_over = True
        self.pump.tally.discarded += len(futures) - self.expired
        if self.pump.options.cancel_abandoned:
            self.revoke()
        self.pump.tell()

    def _on_done(self, _: object) -> None:
        if not self.is_over:
            self.watch()

    def revoke(self) -> None:
        """Cancel the handler."""
        self.is_revoked = True
        if self.task is not None:
            self.task.cancel()

    def on_task_done(self, task: Task[None]) -> None:
        """Make sure of the end: a task that is cancelled before its first step runs nothing."""
        if not self.is_over:
            self.fail(self._cancelled(None), is_own=True)
        if not self.has_ended:
            self._end()
        self._let_go()

    def _let_go(self) -> None:
        """Keep nothing alive: the contexts of what the handler has begun lead here."""
        self.task = self._members = None
        self.items, self.futures = [], []

    def _deliver(self, results: object) -> None:
        """Give each waiter the result of its own item."""
        futures, tally = self.futures, self.pump.tally
        if self.is_over:  # closed in the meantime
            return
        if results is None and futures.count(None) == len(futures):
            self.is_over = True
            tally.completed += len(futures)
            return
        try:
            checked = self._check(results)
        except Exception as error:
            self.fail(settable(error), is_own=True)
            return
        self.is_over = True
        gone = 0
        errors: list[tuple[AnyFuture | None, Exception]] = []
        for future, result in zip(futures, checked, strict=True):
            if type(result) is ItemError:
                errors.append((future, result.error))
            elif future is not None:
                if future.done():
                    gone += 1
                else:
                    try:
                        future.set_result(result)
                    except Exception:  # a future of a thread, done right now by its owner
                        gone += 1
        tally.completed += len(futures) - len(errors) - gone
        if errors:
            gone += self._fail_some(errors)
        tally.discarded += gone - self.expired

    def _check(self, results: object) -> Sequence[Any]:
        checked = check_results(results, len(self.futures), self.pump.options.handler)
        # Callbacks of threads run while results are handed over, and may have the list.
        return list(checked) if self.pump.has_threads else checked

    def _fail_some(self, errors: list[tuple[AnyFuture | None, Exception]]) -> int:
        """Give items errors of their own; return for how many nobody waited any more."""
        unseen: list[Exception] = []
        given: set[int] = set()
        gone = 0
        for future, error in errors:
            if future is None:
                unseen.append(error)
                continue
            # The same one for several waiters is copied as that of a batch.
            own = next(copies(error, 1 if id(error) not in given else 2, chained=True))
            given.add(id(error))
            gone += not fail(future, settable(own))
        self.pump.tally.failed += len(errors) - gone
        if unseen:
            self._report(len(unseen), unseen[0])
        return gone

    def fail(self, error: Exception, *, is_own: bool = False) -> int:
        """
        Give each waiter the error, and return how many items it has ended.

        Args:
            error: For one waiter as it is, for several a copy each.
            is_own: Whether it is of this library, so that copies need not say where they come from.
        """
        if self.is_over:
            return 0
        waiting = [each for each in self.futures if each is not None and not each.done()]
        errors = list(copies(error, len(waiting), chained=not is_own))
        self.is_over = True
        put = self.futures.count(None)
        told = 0
        for future, each in zip(waiting, errors, strict=True):
            told += fail(future, each)
        tally = self.pump.tally
        tally.failed += told + put
        tally.discarded += len(self.futures) - put - told - self.expired
        if put and not self.is_revoked:
            self._report(put, error)
        return told + put

    def lose(self) -> None:
        """Give up, since the event loop was closed: the handler will never end."""
        if not self.is_over:
            self.is_over = True
            why = "the event loop of the handler was closed"
            put = failed = self.futures.count(None)
            for future in self.futures:
                if isinstance(future, ThreadFuture):
                    failed += fail(future, BatchCancelled(why))
            tally = self.pump.tally
            tally.failed += failed
            tally.discarded += len(self.futures) - failed - self.expired
            if put:
                self._report(put, BatchCancelled(why))
        self.has_ended = True
        self._let_go()

    def _break_off(self, error: BaseException) -> None:
        """
        Fail the items of a handler that was cancelled, or that ends the program.

        Raises:
            BaseException: The error, unless this library has cancelled the handler, or the handler
                itself.
        """
        # Dropped with its event loop: nobody can be told.
        if _get_running_loop() is not self._loop:
            self.is_over = True
            raise error
        self.fail(self._cancelled(error), is_own=True)
        if isinstance(error, CancelledError):
            task = asyncio.current_task()
            if self.is_revoked or task is None or not task.cancelling():
                return
        raise error

    def _cancelled(self, error: BaseException | None) -> BatchCancelled:
        name = name_of(self.pump.options.handler)
        if error is None or isinstance(error, CancelledError):
            return BatchCancelled(f"handler {name} was cancelled")
        cancelled = BatchCancelled(f"handler {name} ended with {error!r}")
        cancelled.__cause__ = error
        return cancelled

    def _report(self, count: int, error: Exception) -> None:
        """Tell of an error that reaches nobody."""
        loop = self._loop
        assert loop is not None
        name = name_of(self.pump.options.handler)
        message = f"handler {name} failed for {count} items for which nobody waits"
        # Without the task: from 3.12 on asyncio would enter its context, in which this may run.
        loop.call_exception_handler({"message": message, "exception": error})

    def _end(self) -> None:
        """Make room for the next one."""
        self.has_ended = True
        if _get_running_loop() is not self._loop:
            return
        task = self.task or asyncio.current_task()
        is_going_on = self.is_revoked or task is None or not task.cancelling()
        ran = 0.0 if self._began is None else max(0.0, self.pump.clock() - self._began)
        self.pump.ended(self, ran, is_going_on=is_going_on)
