"""Items that must not wait for ever: their own timeout, and the ambient deadline."""

from __future__ import annotations

from asyncio import _get_running_loop
from collections import deque
from typing import TYPE_CHECKING

from penstock.batching._results import fail
from penstock.batching._thread_future import ThreadFuture
from penstock.errors import ItemTimeout

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle
    from collections.abc import Callable
    from typing import Any

    from penstock.batching._pump import Pump
    from penstock.batching._results import AnyFuture
    from penstock.flow._deadline import Due

__all__ = ["Timeouts"]

#: So many that are done may be behind one that is not.
_MOST = 1000


class Timeouts:
    """
    Fails what has no result in time.

    Args:
        pump: Of whose items.
        seconds: The time that each has from when it was accepted, or None.
    """

    __slots__ = ("_is_awake", "_most", "_pump", "_queue", "_timer", "seconds")

    def __init__(self, pump: Pump, seconds: float | None) -> None:
        self._pump = pump
        self.seconds = seconds
        # All have the same time: who came first is due first, and one timer is enough.
        self._queue: deque[tuple[float, AnyFuture]] = deque()
        self._timer: TimerHandle | None = None
        #: More than so many are looked through for those that are done.
        self._most = _MOST
        #: Whether the loop was told that there is something in the queue.
        self._is_awake = False

    def add(self, future: AnyFuture) -> None:
        """Let an item that was just accepted time out; in any thread."""
        if self.seconds is None:
            return
        queue, loop = self._queue, self._pump.ring._loop
        if loop is None:  # its time begins when there is one
            queue.append((-1.0, future))
            return
        queue.append((loop.time() + self.seconds, future))
        if loop is _get_running_loop():
            self.arm()
        elif not self._is_awake:
            self._is_awake = True
            try:
                loop.call_soon_threadsafe(self.arm)
            except RuntimeError:  # closed: armed by the next one
                self._is_awake = False

    def arm(self) -> None:
        """Wait for the first one; in the event loop."""
        self._is_awake = False
        queue, loop = self._queue, self._pump.ring._loop
        assert loop is not None
        while queue and queue[0][1].done():
            queue.popleft()
        if len(queue) > self._most:
            self._keep(lambda future: not future.done())
            self._most = max(_MOST, 2 * len(queue))
        if self._timer is None and queue:
            when, future = queue[0]
            if when < 0.0:
                when = loop.time() + (self.seconds or 0.0)
                queue[0] = (when, future)
            self._timer = loop.call_at(when, self._fire, when, context=self._pump.context)

    def _fire(self, until: float) -> None:
        """Fail those whose time is over, whatever the clock says."""
        self._timer = None
        queue = self._queue
        while queue and queue[0][0] <= until:
            self._expire(queue.popleft()[1], self._late)
        self.arm()

    def until(self, future: Future[Any], due: Due) -> None:
        """Fail what is not done when the ambient deadline is over."""
        loop = future.get_loop()
        timer = loop.call_later(due.remaining(), self._expire, future, due.error)
        future.add_done_callback(lambda _: timer.cancel())

    def _expire(self, future: AnyFuture, error: Callable[[], Exception]) -> None:
        if future.done():
            return
        batch = self._pump.batch_of(future)
        expired = self._pump.tally.expired
        if batch is None:
            expired[0] += fail(future, error())
        else:  # counted first: with the last one the batch is over
            batch.expired += 1
            expired[1] += 1
            fail(future, error())

    def _late(self) -> ItemTimeout:
        seconds = self.seconds or 0.0
        return ItemTimeout(f"the item had no result within {seconds:g} s", seconds=seconds)

    def restart(self) -> None:
        """Forget the event loop; those that threads wait for have their time anew in the next."""
        self._timer, self._is_awake = None, False
        self._keep(lambda future: isinstance(future, ThreadFuture), -1.0)

    def _keep(self, is_kept: Callable[[AnyFuture], bool], due: float | None = None) -> None:
        """Keep some of them, in their order; threads may add others meanwhile."""
        queue = self._queue
        entries = [queue.popleft() for _ in range(len(queue))]
        kept = [
            (when if due is None else due, future) for when, future in entries if is_kept(future)
        ]
        queue.extendleft(reversed(kept))

    def stop(self) -> None:
        """Forget all of them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
