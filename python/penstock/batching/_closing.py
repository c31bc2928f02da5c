"""The end of a `Batcher`: what is there is handled, or given up in time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from penstock.batching._stats import CloseReport

if TYPE_CHECKING:
    from asyncio import Future

    from penstock.batching._admission import Admission
    from penstock.batching._pump import Pump
    from penstock.batching._timeouts import Timeouts

__all__ = ["Closing"]

logger = logging.getLogger("penstock.batching")

#: Seconds that handlers have to end once they were cancelled, if no time is left.
_GRACE = 1.0


class Closing:
    """
    Ends a batcher, in a task that nobody's cancellation reaches.

    Args:
        pump: What is to come to rest.
        admission: What tells the errors.
        timeouts: To be stopped.
    """

    __slots__ = ("_admission", "_is_draining", "_pump", "_through", "_timeouts", "loop", "task")

    def __init__(self, pump: Pump, admission: Admission, timeouts: Timeouts) -> None:
        self._pump = pump
        self._admission = admission
        self._timeouts = timeouts
        self._is_draining = True
        self._through: Future[None] | None = None
        self.loop = asyncio.get_running_loop()
        self.task: asyncio.Task[CloseReport]

    def begin(self, drain: bool, timeout: float | None) -> None:
        """Start closing: nothing is accepted from now on."""
        self._is_draining = drain
        self._pump.ring._close()
        coroutine = self._run(timeout)
        self.task = self.loop.create_task(coroutine, context=self._pump.context.copy())

    @property
    def is_lost(self) -> bool:
        """Whether it has not come to its end, and never will."""
        return self.task.cancelled() or (self.loop.is_closed() and not self.task.done())

    def hurry(self) -> None:
        """Wait for nothing any more."""
        self._is_draining = False
        if self._through is not None and not self._through.done():
            self._through.set_result(None)

    async def _run(self, seconds: float | None) -> CloseReport:
        pump, tally = self._pump, self._pump.tally
        completed, failed = tally.completed, tally.failed
        until = None if seconds is None else self.loop.time() + seconds
        try:
            if self._is_draining:
                pump.is_closing = True
                pump.run()
                self._through = pump.through()
                await asyncio.wait([self._through], timeout=seconds)
        finally:  # cancelled together with the loop's other tasks, too
            abandoned = pump.abandon(self._admission.closed)
            self._timeouts.stop()
        if abandoned and self._is_draining:
            what = "%s was closed before %d of its items were done"
            logger.warning(what, pump.options.title, abandoned)
        await self._wait_for_handlers(until)
        failed = tally.failed - failed - abandoned
        return CloseReport(tally.completed - completed, failed, abandoned)

    async def _wait_for_handlers(self, until: float | None) -> None:
        """Let cancelled handlers clean up."""
        tasks = [batch.task for batch in self._pump.running if batch.task is not None]
        if not tasks:
            return
        left = None if until is None else max(_GRACE, until - self.loop.time())
        _, still = await asyncio.wait(tasks, timeout=left)
        if still:
            what = "%d handlers of %s do not end though they were cancelled"
            logger.warning(what, len(still), self._pump.options.title)
