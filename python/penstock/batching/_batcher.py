"""`Batcher`: gathers what is submitted one by one, and handles it together."""

from __future__ import annotations

import asyncio
from asyncio import shield
from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

from penstock import _backend, _components
from penstock.batching._admission import Admission
from penstock.batching._binding import Binding
from penstock.batching._clock import Clock
from penstock.batching._closing import Closing
from penstock.batching._families import BATCHER_FIELDS
from penstock.batching._options import Options, seconds_or_zero
from penstock.batching._pump import Pump
from penstock.batching._run import inside
from penstock.batching._stats import BatcherStats
from penstock.batching._thread_future import ThreadFuture
from penstock.batching._timeouts import Timeouts
from penstock.flow._checks import MAX_INT
from penstock.flow._deadline import ambient, sooner

if TYPE_CHECKING:
    import concurrent.futures
    from asyncio import Future
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from penstock.batching._options import OnFull
    from penstock.batching._results import ItemError
    from penstock.batching._stats import CloseReport

__all__ = ["Batcher"]

T = TypeVar("T")
R = TypeVar("R")


class Batcher(_backend.Ring, Generic[T, R]):
    """
    Gathers what is submitted one by one, and has it handled together; each item gets its result.

    ``await batcher.submit(item)`` in tasks, ``batcher.submit_threadsafe(item)`` in threads,
    ``batcher.put_nowait(item)`` in either when there is no result to wait for. Every item that is
    accepted comes to exactly one end: a result, an error, or its cancellation.

    Args:
        handler: ``async def handler(items: list[T]) -> Sequence[R]``: one result for each item, in
            the same order; an `ItemError` fails its item alone. It may be an ordinary function.
            Where nobody waits for any item of a batch, it may return None.
        max_items: How many items a batch may have.
        linger: Seconds (or a timedelta) that the oldest item waits for others. 0: none, but what
            is submitted in one tick of the event loop still goes together.
        max_weight: How much the items of a batch may weigh together; a heavier one goes alone.
        weigher: ``weigher(item) -> int``, at least 0. What it raises, whoever submits gets, and the
            item is not accepted. None: each weighs 1.
        max_pending: How many items may wait for their batch. None: any number.
        max_concurrency: How many batches may run at a time. None: any number.
        on_full: What happens to more items than *max_pending*. ``"wait"``: `submit` and
            `submit_threadsafe` wait all the same, `submit_nowait` and `put_nowait` raise
            `LimitExceeded`. ``"raise"``: all of them raise it. ``"drop_oldest"``: the item that has
            waited longest makes room, and whoever waits for it gets `ItemDropped`.
            ``"drop_newest"``: the new one is dropped that way.
        item_timeout: Seconds (or a timedelta) from acceptance after which whoever waits for an item
            gets `ItemTimeout`.
        target_latency: Seconds (or a timedelta) that a batch and the wait for it should take. Given
            that, a batch may have fewer items than *max_items*, as many as were done within that
            time of late.
        cancel_abandoned: Whether the handler is cancelled when nobody waits for any of its items
            any more.
        timer: Seconds on a clock of your own, by which it is measured how long items wait.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: `submit` and `put_nowait` are native: O(1), and one future for `submit`. A batch is a task
        and a few microseconds. Belongs to the event loop in which it is used first; `put_nowait`
        and `submit_threadsafe` are for any thread, and a burst wakes the loop once.

    Source: the dispatch rule is that of Clipper (NSDI 2017) and of Triton's dynamic batcher; one
        result or error for each item is aiodataloader's contract.
    """

    __slots__ = (
        "__weakref__", "_admission", "_binding", "_closing", "_is_forced", "_options", "_pump",
        "_timeouts",
    )  # fmt: skip

    if TYPE_CHECKING:  # those of the backend, which take anything

        def submit(self, item: T) -> Future[R]: ...
        def submit_nowait(self, item: T) -> Future[R]: ...
        def put_nowait(self, item: T) -> None: ...

    def __init__(
        self,
        handler: Callable[
            [list[T]],
            Awaitable[Sequence[R | ItemError] | None] | Sequence[R | ItemError] | None,
        ],
        *,
        max_items: int = 64,
        linger: float | timedelta = 0.005,
        max_weight: int | None = None,
        weigher: Callable[[T], int] | None = None,
        max_pending: int | None = 10_000,
        max_concurrency: int | None = 1,
        on_full: OnFull = "wait",
        item_timeout: float | timedelta | None = None,
        target_latency: float | timedelta | None = None,
        cancel_abandoned: bool = True,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        options = Options.checked(
            handler,
            max_items=max_items,
            linger=linger,
            max_weight=max_weight,
            weigher=weigher,
            max_pending=max_pending,
            max_concurrency=max_concurrency,
            on_full=on_full,
            item_timeout=item_timeout,
            target_latency=target_latency,
            cancel_abandoned=cancel_abandoned,
            timer=timer,
            name=name,
        )
        self._set_up(options)
        _components.enter(self)

    def _set_up(self, options: Options) -> None:
        """Put the parts together."""
        self._options = options
        clock = None if options.timer is None else Clock(options.timer)
        self._is_forced = options.on_full == "wait"
        self._pump = Pump(self, options, clock)
        self._timeouts = Timeouts(self._pump, options.item_timeout)
        self._admission = Admission(self, options, self._pump.tally)
        self._binding = Binding(self._pump, self._timeouts, self._admission)
        self._closing: Closing | None = None
        is_plain = options.item_timeout is None
        self._init(options.max_pending, options.weigher, clock, self._is_forced, is_plain)

    @property
    def name(self) -> str | None:
        """
        The name given to the batcher.
        """
        return self._options.name

    @property
    def closed(self) -> bool:
        """
        Whether nothing is accepted any more.
        """
        return self._closed

    @property
    def batch_limit(self) -> int:
        """
        How many items a batch may have now: *max_items*, or fewer with a target latency.
        """
        return self._pump.limit

    def submit_threadsafe(self, item: T) -> concurrent.futures.Future[R]:
        """
        Queue *item* from any thread, and return the future of its own result.

        Args:
            item: One input of the handler.

        Returns:
            A future to wait for in a thread; ``cancel()`` works until the batch of the item runs.

        Raises:
            ClosedError: The batcher is closing, or closed.
            LimitExceeded: Too many items wait.
            RuntimeError: The event loop of the batcher is closed.

        Cost: O(1) and one future; a burst wakes the event loop once. What is submitted before there
            is a loop waits for one.
        """
        loop = self._loop
        if loop is not None and loop.is_closed():
            raise RuntimeError(f"the event loop of {self._options.title} is closed")
        weight = self._weigh(item)
        future: ThreadFuture[R] = ThreadFuture()
        self._pump.has_threads = True
        self._accept(item, future, weight, self._is_forced)
        return future

    async def flush(self) -> None:
        """
        Dispatch what is pending now, and wait until all that was accepted came to an end.

        Errors of the handler are those of who waits for the items: this raises none of them.

        Raises:
            WrongEventLoop: The batcher is bound to another event loop.
            RuntimeError: Called by its own handler, which would wait for itself.
            DeadlineExceeded: The ambient ``deadline()`` was over first; the batches go on.
        """
        self._refuse_inside("flush")
        self._binding.join("flush()")
        seconds, due = sooner(None)
        self._pump.flush()
        through = self._pump.through()
        if due is None:
            await through
            return
        await asyncio.wait([through], timeout=seconds)
        if not through.done():
            through.cancel()
            raise due.error()

    async def aclose(
        self,
        *,
        drain: bool = True,
        timeout: float | timedelta | None = 30.0,  # noqa: ASYNC109
    ) -> CloseReport:
        """
        Accept nothing more, handle what is there, and return what became of it.

        Args:
            drain: Whether what is pending is handled. If not it fails with `ClosedError` at once,
                and so does what is being handled: handlers are cancelled.
            timeout: Seconds (or a timedelta) for all of it; after that the rest fails that way.
                None: as long as it takes.

        Returns:
            How many items were completed, failed, and were given up since the call. Called again it
            is the same; ``drain=False`` then hurries a closing that is under way.

        Raises:
            WrongEventLoop: The batcher is bound to another event loop.
            RuntimeError: Called by its own handler, which would wait for itself.
            TypeError: *timeout* is no duration.
            ValueError: It is negative, or not finite.

        Cost: a task, which goes on if the caller is cancelled.
        """
        self._refuse_inside("aclose")
        seconds = None if timeout is None else seconds_or_zero("timeout", timeout)
        self._binding.join("aclose()")
        closing = self._closing
        if closing is None or closing.is_lost:
            self._closing = closing = Closing(self._pump, self._admission, self._timeouts)
            closing.begin(drain, sooner(seconds)[0])
        elif not drain:
            closing.hurry()
        return await shield(closing.task)

    def stats(self) -> BatcherStats:
        """
        Return what the batcher has done so far.
        """
        pump = self._pump
        return pump.tally.snapshot(self, len(pump.running), pump.limit, self._options.max_pending)

    async def __aenter__(self) -> Self:
        self._binding.join("async with")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        state = f"pending={self.pending}, in_flight={len(self._pump.running)}"
        closed = ", closed" if self.closed else ""
        return f"Batcher({self._options.handler!r}, {state}{closed}{name})"

    def _begin_anew(self) -> object:
        """Be empty in a forked process, and bound to no loop; see `_forks`."""
        loop, pump, was_closed = self._loop, self._pump, self._closed
        if loop is None or loop.is_closed():
            pump.tally.lock = RLock()  # somebody may have held it
            return None
        begun = loop, pump, self._timeouts, self._closing, self._take(MAX_INT, None)
        self._set_up(self._options)
        self._pump.context, self._pump.on_idle = pump.context, pump.on_idle
        if was_closed:
            self._close()
        return begun

    # --- hooks of the ring ------------------------------------------------------------------------

    def _wake(self) -> None:
        """Let the pump see what has come."""
        self._binding.wake()

    def _elsewhere(self) -> None:
        """Move on to the loop that something is put in, if the one before is closed by now."""
        self._binding.move()

    def _refuse(self, item: T, weight: int) -> None:
        """Find room for what was put, or for nobody."""
        self._admission.admit(item, None, weight)

    def _submit(self, item: T, is_at_once: bool) -> Future[R]:
        """Submit what is not as simple as the ring would like it."""
        loop = self._binding.join("submit_nowait()" if is_at_once else "submit()")
        due = ambient()
        if due is not None and due.remaining() <= 0.0:
            raise due.error()
        weight = self._weigh(item)
        future: Future[R] = loop.create_future()
        self._accept(item, future, weight, self._is_forced and not is_at_once)
        if due is not None and not future.done():
            self._timeouts.until(future, due)
        return future

    def _accept(
        self, item: T, future: Future[R] | ThreadFuture[R], weight: int, is_forced: bool
    ) -> None:
        """Queue an item for whose result somebody waits, or turn it away."""
        if self._push(item, future, weight, is_forced) or self._admission.admit(
            item, future, weight
        ):
            self._timeouts.add(future)
        else:
            future.set_exception(self._admission.dropped())

    def _refuse_inside(self, what: str) -> None:
        """
        Do nothing outside of the handler.

        Raises:
            RuntimeError: This is called by the handler.
        """
        batch = inside.get()
        if batch is not None and batch.pump is self._pump and not batch.has_ended:
            raise RuntimeError(f"{what}() of a batcher would wait for the handler that calls it")


_components.describe("batcher", BatcherStats, BATCHER_FIELDS)
