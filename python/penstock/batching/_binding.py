"""The event loop that a `Batcher` belongs to."""

from __future__ import annotations

from asyncio import Future, _get_running_loop
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from penstock import _forks
from penstock.batching._results import fail
from penstock.errors import WrongEventLoop
from penstock.flow._deadline import ambient

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from penstock.batching._admission import Admission
    from penstock.batching._pump import Pump
    from penstock.batching._timeouts import Timeouts

__all__ = ["Binding"]


class Binding:
    """
    Binds a batcher to the first loop that it is used in, and to another one when that is closed.

    Args:
        pump: Runs in it.
        timeouts: Of what was accepted without a loop.
        admission: Tells the errors.
    """

    __slots__ = ("_admission", "_pump", "_timeouts")

    def __init__(self, pump: Pump, timeouts: Timeouts, admission: Admission) -> None:
        self._pump = pump
        self._timeouts = timeouts
        self._admission = admission

    def join(self, what: str) -> AbstractEventLoop:
        """
        Return the running loop, which the batcher is bound to from now on.

        Raises:
            RuntimeError: There is none.
            WrongEventLoop: The batcher is bound to another one.
        """
        loop = _get_running_loop()
        if loop is None:
            message = f"{what} needs a running event loop: use submit_threadsafe() or put_nowait()"
            raise RuntimeError(message)
        bound = self._pump.ring._loop
        if bound is not loop:
            self._bind(loop)
            self._wake(loop)
        return loop

    def _bind(self, loop: AbstractEventLoop) -> None:
        pump, ring = self._pump, self._pump.ring
        # Two threads may come with a loop each. Under the lock nobody's code runs, nothing dies.
        with pump.tally.lock:
            bound = ring._loop
            if bound is not None and not bound.is_closed():
                message = f"{pump.options.title} is bound to another event loop"
                raise WrongEventLoop(f"{message}: use submit_threadsafe()")
            lost, _waiters = pump.forget_loop()
            ring._bind(loop, loop.create_future, _get_running_loop, ambient)
        if bound is None:
            _forks.enter(cast("_forks.Bound", ring))
            return
        self._timeouts.restart()
        self._keep(bound)
        for batch in lost:
            batch.lose()

    def _keep(self, closed: AbstractEventLoop) -> None:
        """Drop what can only be awaited in a closed loop, and keep the rest in its order."""
        ring, tally = self._pump.ring, self._pump.tally
        entries = []
        for _ in range(ring.pending):
            entry = ring._drop_oldest()
            if entry is None:
                break
            entries.append(entry)
        for item, future, weight in entries:
            if isinstance(future, Future) and future.get_loop() is closed:
                tally.withdrawn += 1
            elif ring._push(item, future, weight, True):
                tally.pushed_again += 1
            else:  # closed together with its loop
                tally.failed += 1
                waiter: Any = future
                if waiter is not None:
                    fail(waiter, self._admission.closed())

    def _wake(self, loop: AbstractEventLoop) -> None:
        """Begin with what is there already."""
        self._timeouts.arm()
        if self._pump.ring._listen(1, None):
            loop.call_soon(self._pump.run, context=self._pump.context)

    def move(self) -> None:
        """Join the running loop if the present one is closed."""
        bound = self._pump.ring._loop
        if bound is not None and bound.is_closed():
            # Unless another thread has just come with its own.
            with suppress(WrongEventLoop):
                self.join("put_nowait()")

    def wake(self) -> None:
        """Let the pump run in the thread of the loop; in any thread."""
        pump, running = self._pump, _get_running_loop()
        loop = pump.ring._loop
        if running is not None and running is not loop and (loop is None or loop.is_closed()):
            # Unless another thread has just come with its own.
            with suppress(WrongEventLoop):
                self.join("put_nowait()")
                return
            loop = pump.ring._loop
        if loop is None:
            # Whoever comes next may come with one.
            while pump.ring._listen(pump.ring.pending + 1, None):
                pass
        else:
            with suppress(RuntimeError):  # closed: the next one finds what is there
                if loop is running:
                    loop.call_soon(pump.run, context=pump.context)
                else:
                    loop.call_soon_threadsafe(pump.run, context=pump.context)
