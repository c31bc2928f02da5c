"""When batches are dispatched."""

from __future__ import annotations

from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any

from penstock.batching._adaptive import Adaptive
from penstock.batching._results import fail
from penstock.batching._run import Batch
from penstock.batching._stats import Tally
from penstock.batching._thread_future import start_threads
from penstock.flow._checks import MAX_INT
from penstock.flow._deadline import _ambient

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle
    from collections.abc import Callable

    from penstock._backend import Ring
    from penstock.batching._options import Options
    from penstock.batching._results import AnyFuture
    from penstock.batching._stats import Reason

__all__ = ["Pump"]

#: Queues of up to so many batches are rid of what was cancelled before it can fill a batch.
_SWEPT = 4
#: Seconds until the next batch after one that somebody else has cancelled.
_PAUSE = 0.1


class Pump:
    """
    Dispatches what waits in a ring, in the event loop to which that is bound.

    Args:
        ring: Wakes it.
        options: Those of the batcher.
        clock: By which batches are measured; None for the monotonic one.
    """

    __slots__ = (
        "_adaptive", "_due_to", "_is_pumping", "_timer", "_timer_for", "_waiters", "clock",
        "context", "has_threads", "is_closing", "on_idle", "options", "ring", "running", "tally",
    )  # fmt: skip

    def __init__(self, ring: Ring, options: Options, clock: Callable[[], float] | None) -> None:
        self.ring = ring
        self.options = options
        self.clock = monotonic if clock is None else clock
        self.tally = Tally()
        target = options.target_latency
        self._adaptive = None if target is None else Adaptive(target, options.max_items)
        #: The batches that run; the loop itself holds their tasks but weakly.
        self.running: set[Batch] = set()
        self.is_closing = False
        #: Whether some of the futures are those of threads.
        self.has_threads = False
        #: Called whenever nothing is left to do.
        self.on_idle: Callable[[], object] | None = None
        #: In which handlers run: no caller's, and under no caller's deadline.
        self.context = copy_context()
        self.context.run(_ambient.set, None)
        # Items with lower numbers are to be dispatched now: those of a flush, and those whose
        # linger is over.
        self._due_to = [0, 0]
        self._timer: TimerHandle | None = None
        self._timer_for = -1
        self._is_pumping = False
        #: Who waits until everything below a number came to an end.
        self._waiters: list[tuple[int, Future[None]]] = []

    @property
    def limit(self) -> int:
        """How many items a batch may have now."""
        return self.options.max_items if self._adaptive is None else self._adaptive.limit

    def run(self) -> None:
        """Dispatch what is due, and listen for more."""
        if self._is_pumping:  # a task that ran at once, further up
            return
        self._is_pumping = True
        try:
            while True:
                while len(self.running) < self.options.max_concurrency:
                    reason = self._due()
                    if reason is None:
                        break
                    self._dispatch(reason)
                if not self._listen():
                    break
        except BaseException:
            self._recover()
            raise
        finally:
            self._is_pumping = False
        self.tell()

    def _recover(self) -> None:
        """See to it that the pump runs again after an error."""
        self._disarm()
        loop = self.ring._loop
        if self.ring._listen(1, None) and loop is not None:
            loop.call_later(_PAUSE, self.run, context=self.context)

    def tell(self) -> None:
        """Tell who waits for an end of something."""
        if self._waiters:
            self._tell_waiters()
        if self.on_idle is not None and not self.running and not self.ring.pending:
            self.on_idle()

    def _due(self) -> Reason | None:
        """Return why a batch is to be dispatched now, if one is."""
        if not self.ring.pending:
            return None
        urgent = self._urgent()
        if self._is_filled():
            # What was cancelled fills no batch, unless it does not matter when that is dispatched.
            if urgent is None and self.ring.pending < _SWEPT * self.limit and self.ring._sweep():
                return self._due()
            return "full" if self.ring.pending >= self.limit else "weight"
        return urgent

    def _is_filled(self) -> bool:
        max_weight = self.options.max_weight
        if self.ring.pending >= self.limit:
            return True
        return max_weight is not None and self.ring.pending_weight >= max_weight

    def _urgent(self) -> Reason | None:
        """Return why a batch is due that is not full."""
        if self.is_closing:
            return "close"
        head = self.ring._head
        flushed_to, lingered_to = self._due_to
        if head < flushed_to:
            return "flush"
        linger = self.options.linger
        if linger == 0.0:
            return "idle"
        if head < lingered_to:
            return "linger"
        age = self.ring._age()
        return "linger" if age is not None and age >= linger else None

    def _dispatch(self, reason: Reason) -> None:
        """Run a batch of what has waited longest."""
        start = self.ring._head
        taken = self.ring._take(self.limit, self.options.max_weight)
        if taken is None:  # all of it was cancelled
            return
        items, futures, _, oldest, waited = taken
        tally = self.tally
        if self.has_threads:
            tally.withdrawn += start_threads(items, futures)
            if not items:
                return
        tally.batches += 1
        tally.items += len(items)
        tally.flushes[reason] += 1
        tally.wait_seconds += waited
        batch = Batch(self, items, futures, start, oldest)
        self.running.add(batch)
        loop = self.ring._loop
        assert loop is not None
        coroutine = batch.run()
        try:
            batch.task = task = loop.create_task(coroutine, context=self.context.copy())
        except Exception as error:  # of a task factory
            coroutine.close()
            self.running.discard(batch)
            batch.fail(RuntimeError(f"cannot run a batch: {error!r}"), is_own=True)
            return
        task.add_done_callback(batch.on_task_done)
        if not batch.is_over:
            batch.watch()

    def ended(self, batch: Batch, seconds: float, *, is_going_on: bool) -> None:
        """Take note of a batch whose handler has ended, and go on with the next one."""
        self.running.discard(batch)
        self.tally.run_seconds += seconds
        if self._adaptive is not None:
            self._adaptive.record(len(batch.futures), batch.waited, seconds)
        if is_going_on:
            self.run()
            return
        # Whoever cancels the tasks of a loop is about to close it: what runs no more in there is
        # left for the next loop. If the loop goes on, so does this.
        self.tell()
        loop = self.ring._loop
        if loop is not None:
            loop.call_later(_PAUSE, self.run, context=self.context)

    def _listen(self) -> bool:
        """Let the ring or a timer wake the pump; True if there is something to do already."""
        ring = self.ring
        if len(self.running) >= self.options.max_concurrency:
            # The end of a batch will.
            self._disarm()
            return ring._listen(None, None)
        if not ring.pending:
            self._disarm()
            return ring._listen(1, None)
        self._arm()
        return ring._listen(self.limit, self.options.max_weight)

    def _arm(self) -> None:
        head = self.ring._head
        if self._timer is not None:
            if self._timer_for == head:
                return
            self._timer.cancel()
        loop, age = self.ring._loop, self.ring._age()
        assert loop is not None
        left = max(0.0, self.options.linger - (age or 0.0))
        self._timer = loop.call_later(left, self._on_timer, context=self.context)
        self._timer_for = head

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        """Dispatch what has waited for long enough, whatever the clock says."""
        self._timer = None
        # If that was cancelled meanwhile, the next one has not waited for as long.
        self.ring._sweep()
        self._due_to[1] = self._timer_for + 1
        self.run()

    def flush(self) -> None:
        """Dispatch all there is."""
        self._due_to[0] = self.ring._tail
        self.run()

    def through(self) -> Future[None]:
        """Return what is done when all that is accepted by now came to an end."""
        loop = self.ring._loop
        assert loop is not None
        future: Future[None] = loop.create_future()
        self._waiters.append((self.ring._tail, future))
        self._tell_waiters()
        return future

    def _tell_waiters(self) -> None:
        head = self.ring._head
        # Of the batches that run the lowest number.
        start = min((batch.start for batch in self.running if self._counts(batch)), default=MAX_INT)
        still = []
        for mark, future in self._waiters:
            if future.done():
                continue
            if mark <= head and mark <= start:
                future.set_result(None)
            else:
                still.append((mark, future))
        self._waiters = still

    def _counts(self, batch: Batch) -> bool:
        """Whether there is something to wait for in a batch that runs."""
        # Nobody may wait for what a handler does; it is to be done all the same before the end.
        return not batch.is_over or self.is_closing

    def batch_of(self, future: AnyFuture) -> Batch | None:
        """Return the batch that somebody's item is in, None while it waits."""
        return next((batch for batch in self.running if future in batch), None)

    def abandon(self, error: Callable[[], Exception]) -> int:
        """Fail all that waits and all that runs, and return how many items that were."""
        self._disarm()
        ended = 0
        taken = self.ring._take(MAX_INT, None)
        futures: list[Any] = [] if taken is None else taken[1]
        for future in futures:
            if future is None or fail(future, error()):
                ended += 1
            else:  # a thread has cancelled it right now
                self.tally.withdrawn += 1
        self.tally.failed += ended
        for batch in list(self.running):
            batch.revoke()
            ended += batch.fail(error(), is_own=True)
        self.is_closing = False  # there was time enough
        self.tell()
        return ended

    def forget_loop(self) -> tuple[set[Batch], object]:
        """
        Start anew in another event loop: what has run in the old one never ends.

        Returns:
            The batches that are lost, and what else is to be let go of.
        """
        lost, waiters = self.running, self._waiters
        self.running, self._waiters = set(), []
        self._timer = None
        self._is_pumping = False
        return lost, waiters
