"""The task of a `map_concurrent` that takes the items of an async iterable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import AsyncIterator, Awaitable, Callable

    from penstock.flow._map_run import Run

__all__ = ["Feeder"]

T = TypeVar("T")


class Feeder(Generic[T]):
    """
    Takes an item whenever the run has a place for it.

    All are taken in one task: what an async generator holds across its items (a task group, a
    timeout, a context variable) may belong to the task that it runs in.
    """

    __slots__ = ("_aclose", "_begun", "_place", "_run", "_source", "task")

    task: Task[None]

    def __init__(
        self,
        run: Run[T],
        source: AsyncIterator[T],
        aclose: Callable[[], Awaitable[object]] | None,
    ) -> None:
        self._run = run
        self._source = source
        self._aclose = aclose
        self._begun = False
        #: Waits for a place.
        self._place: Future[None] | None = None

    def begin(self, loop: AbstractEventLoop) -> None:
        """Start the task."""
        self.task = loop.create_task(self._feed(loop))
        self.task.add_done_callback(self._ended)

    def go_on(self) -> None:
        """Take the next item, if there is a place for it now."""
        if self._place is not None and not self._place.done() and self._run.has_place():
            self._place.set_result(None)

    def cancel(self) -> None:
        """End the task."""
        if self._begun:  # or it will see, and close the source, which it could not if cancelled
            self.task.cancel()

    async def _feed(self, loop: AbstractEventLoop) -> None:
        self._begun = True
        run, source = self._run, self._source
        try:
            while not run.closed:
                if not run.has_place():
                    self._place = loop.create_future()
                    await self._place
                    continue
                item = await anext(source)
                if not run.closed:  # a source may not care that it is cancelled
                    run.start(item)
        except StopAsyncIteration:
            pass
        finally:
            if self._aclose is not None:
                await self._aclose()

    def _ended(self, task: Task[None]) -> None:
        self._run.fed(asyncio.CancelledError() if task.cancelled() else task.exception())
