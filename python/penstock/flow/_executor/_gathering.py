"""Futures of several futures: all results, and the end of all that was submitted before."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from itertools import count
from typing import TYPE_CHECKING, Any

from penstock.flow._executor._future import TaskFuture

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Barrier", "Gathering", "gather_futures"]


class Gathering(TaskFuture[list[Any]]):
    """A future of the results of others; cancelling it cancels those that are still pending."""

    def __init__(self, futures: tuple[Future[Any], ...], *, return_exceptions: bool) -> None:
        super().__init__()
        self._futures = futures
        self._return_exceptions = return_exceptions
        # Each number is drawn once, whoever draws: the last one collects.
        self._arrivals = count(1)

    def _before_wait(self) -> None:
        # What a wait for each of them would do: a task runs those that are pending.
        for future in self._futures:
            if isinstance(future, TaskFuture) and not future.done():
                future._before_wait()

    def _on_cancel(self) -> None:
        futures, self._futures = self._futures, ()
        for future in futures:
            future.cancel()

    def watch(self) -> None:
        """Begin to look at the futures."""
        futures = self._futures
        if not futures:
            self._claim()
            self.set_result([])
        for future in futures:
            future.add_done_callback(self._arrive)

    def _arrive(self, future: Future[Any]) -> None:
        futures = self._futures
        is_last = next(self._arrivals) == len(futures)
        if not self._return_exceptions and (error := _error_of(future)) is not None:
            if self._claim():
                self._futures = ()
                self.set_exception(error)
        elif is_last and self._claim():
            self._futures = ()
            self.set_result([_outcome_of(each) for each in futures])


def gather_futures(futures: tuple[Future[Any], ...], *, return_exceptions: bool) -> Gathering:
    """Return a future of the results of *futures*, in their order."""
    for future in futures:
        if not isinstance(future, Future):
            kind = type(future).__name__
            raise TypeError(f"gather() takes futures of concurrent.futures, got {kind}")
    gathering = Gathering(futures, return_exceptions=return_exceptions)
    gathering.watch()
    return gathering


def _error_of(future: Future[Any]) -> BaseException | None:
    return CancelledError() if future.cancelled() else future.exception()


def _outcome_of(future: Future[Any]) -> object:
    error = _error_of(future)
    return future.result() if error is None else error


class Barrier(TaskFuture[None]):
    """A future that is done when all of some tasks are."""

    def __init__(self, tasks: Iterable[object]) -> None:
        super().__init__()
        self.tasks = set(tasks)

    def lift(self, task: object) -> None:
        """Wait for one task less."""
        self.tasks.discard(task)
        self.open_if_done()

    def open_if_done(self) -> None:
        """End when there is nothing left to wait for."""
        if not self.tasks and self._claim():
            self.set_result(None)
