"""The calls of one `map_concurrent`: what was taken, what runs, what waits to be read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from sys import maxsize
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from penstock.flow._deadline import Due, ambient
from penstock.flow._map_feeder import Feeder
from penstock.flow._map_line import Line
from penstock.flow._map_options import SKIPPED, NotAwaitable, Options, Progress

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task, TimerHandle

__all__ = ["Run"]

T = TypeVar("T")

#: Instead of an item, or of a result.
_NONE: Final[Any] = object()

#: Calls after which the event loop gets its turn, if it had none.
_BURST: Final = 128


class Run(Generic[T]):
    """
    Workers, each of which makes one call after the other, and takes its items where all do.

    There are no more workers than calls may run. One that finds nothing to take ends; when there is
    something again, another is started. So nobody has to be woken, and most calls cost no task.

    The reader looks at *closed*, *finished* and *over*, and sleeps where there is nothing to see.
    """

    __slots__ = (
        "_began", "_burst", "_call", "_context", "_exhausted", "_feeder", "_filling", "_items",
        "_limit", "_line", "_loop", "_options", "_ordered", "_progress", "_ready", "_sleepers",
        "_started", "_streaming", "_taken", "_timer", "_until", "_workers",
        "closed", "done", "error", "failed", "finished", "late_error", "next",
    )  # fmt: skip

    _began: float
    _context: Context

    def __init__(self, options: Options[T]) -> None:
        self._options = options
        limit = options.limit
        self._limit = limit if isinstance(limit, int) else 0
        self._line = None if isinstance(limit, int) else Line(limit, options.call, self._go_on)
        self._call = self._compose()
        self._ordered = options.ordered
        self._progress = options.progress
        #: What workers take from; None where a feeder brings the items.
        self._items: Iterator[T] | None = None
        self._feeder: Feeder[T] | None = None
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        #: In the order in which they were started.
        self._workers: dict[Task[None], None] = {}
        self._sleepers: set[Future[None]] = set()
        self._filling = False
        self._streaming = False
        self._burst = 0
        #: Items that were taken, and those of them that a call was made with; between: those ready.
        self._taken = 0
        self._started = 0
        self._ready: deque[T] = deque()
        self._until = maxsize
        self._exhausted = False
        #: What ended the run before it was over, and what closing the source raised afterwards.
        self.error: BaseException | None = None
        self.late_error: BaseException | None = None
        self.closed = False
        #: Results that nobody has read, by the position in which they are read, and the next one.
        self.finished: dict[int, object] = {}
        self.next = 0
        self.done = 0
        self.failed = 0

    @property
    def over(self) -> bool:
        """Whether nothing runs, and nothing will."""
        return (self._exhausted or self.closed) and not self._workers and self._feeder is None

    def begin(self, *, streaming: bool) -> None:
        """Make the first calls; *streaming*: results are read while others are to come."""
        loop = asyncio.get_running_loop()
        due = ambient()
        if due is not None:
            if due.remaining() <= 0.0:
                raise due.error()
            self._timer = loop.call_at(due.on(loop), self._expire, due)
        self._loop = loop
        self._began = loop.time()
        self._context = copy_context()
        self._streaming = streaming
        if streaming:
            self._until = self._window()
        source = self._options.source
        if isinstance(source, AsyncIterator):
            self._feeder = Feeder(self, source, self._options.aclose)
            self._feeder.begin(loop)
        else:
            self._items = source
            self._fill()

    def read(self) -> object:
        """Remove the next result, which is there, and return it."""
        result = self.finished.pop(self.next)
        self.next += 1
        self._until = self.next + self._window()
        self._go_on()
        return result

    def results(self) -> list[object]:
        """Return all results of a run that is over, and forget them: errors lead back here."""
        finished, self.finished = self.finished, {}
        results = [finished[position] for position in range(self.done)]
        return [result for result in results if result is not SKIPPED] if self.failed else results

    async def sleep(self) -> None:
        """Wait until there may be something to see."""
        assert self._loop is not None
        sleeper = self._loop.create_future()
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            self._sleepers.discard(sleeper)

    def snapshot(self) -> Progress:
        """Return how far it is."""
        seconds = 0.0 if self._loop is None else self._loop.time() - self._began
        return Progress(self.done, self.failed, self._options.total, seconds)

    # How it ends

    def fail(self, error: BaseException) -> None:
        """End everything because of *error*, unless it was ended before."""
        if not self.closed:
            self.error = error
            self.stop()

    def stop(self) -> None:
        """Cancel what runs; nothing is taken any more."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is None or self._loop.is_closed():
            return
        for worker in self._workers:
            worker.cancel()
        if self._feeder is not None:
            self._feeder.cancel()
        self._wake()

    def abandon(self) -> None:
        """Stop without waiting, from wherever this is called: nobody is left who could wait."""
        if self._loop is not None and not self.closed:
            with suppress(RuntimeError):  # the loop is closed: nothing runs
                self._loop.call_soon_threadsafe(self.stop)

    async def close(self) -> None:
        """Stop, and wait until everything has ended, also where that is cancelled."""
        if self._workers or self._feeder is not None:
            task = asyncio.current_task()
            if task in self._workers or (self._feeder is not None and task is self._feeder.task):
                raise RuntimeError("a call of map_concurrent() cannot wait for the end of them all")
        if self._loop is None and not self.closed and self._options.aclose is not None:
            await self._options.aclose()
        self.stop()
        cancelled: asyncio.CancelledError | None = None
        while not self.over:
            try:
                await self.sleep()
            except asyncio.CancelledError as error:
                cancelled = error
        # What leads back here: a limited function, and the tracebacks of errors nobody has read.
        self._call = _call_nothing
        self._line = None
        if self._streaming:
            self.finished.clear()
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def pop_error(self) -> BaseException | None:
        """Return what ended it, or what closing the source raised; once."""
        error = self.late_error if self.error is None else self.error
        self.error = self.late_error = None
        return error

    def _expire(self, due: Due) -> None:
        self.fail(due.error())

    # Calls

    async def _work(self) -> None:
        """Call the function with one item after the other, while there are any."""
        context = copy_context()
        try:
            while (item := self._take()) is not _NONE:
                index = self._started - 1
                try:
                    result = await self._call(item)
                except Exception as error:
                    result = self._recover(item, error)
                    if result is _NONE:
                        raise
                if self.closed:
                    return
                self._put(index, result)
                del result  # an error, perhaps, whose traceback has this frame
                if _differs(context):
                    return
                if self._burst >= _BURST and not self._exhausted:
                    await self._pause()
        except BaseException as error:
            self.fail(error)
            raise

    def _recover(self, item: T, error: Exception) -> object:
        """Return what takes the place of the result, or that nothing does."""
        if self.closed:
            return _NONE
        self.failed += 1
        recover = self._options.recover
        return _NONE if recover is None or isinstance(error, NotAwaitable) else recover(item, error)

    def _put(self, index: int, result: object) -> None:
        """Keep the result of a call until it is read."""
        position = index if self._ordered else self.done
        self.finished[position] = result
        self.done += 1
        self._burst += 1
        if position == self.next and self._streaming:
            self._wake()
        if self._line is not None:
            self._line.end(index)
        if self._progress is not None:
            self._progress(self.snapshot())

    def _take(self) -> T:
        """Return the next item for a worker that has nothing to do, if there is one."""
        if self._ready:
            self._started += 1
            return self._ready.popleft()
        if (
            self._items is None
            or (self._line is not None and self._line.taken is not None)
            or self._exhausted
            or self._taken >= self._until
        ):
            return _NONE  # type: ignore[no-any-return]
        item: T = next(self._items, _NONE)
        if item is _NONE:
            self._exhausted = True
            return item
        if self._line is not None:
            self._line.taken = self._taken
        self._taken += 1
        self._started += 1
        return item

    async def _pause(self) -> None:
        """Let the event loop take a step: calls that wait for nothing would keep it for ever."""
        if self._burst == _BURST:
            assert self._loop is not None
            self._loop.call_soon(self._end_burst)
        await asyncio.sleep(0)

    def _end_burst(self) -> None:
        self._burst = 0

    def _compose(self) -> Callable[[T], Awaitable[object]]:
        """Return the function with what is around each try, and around all tries."""
        options = self._options
        function = options.call if self._line is None else self._line.call
        if options.retry is None:
            return function

        async def call(item: T) -> object:
            return await function(item)

        call.__qualname__ = options.name
        return options.retry(call)

    # What makes it go on

    def _window(self) -> int:
        """Return how many items may have been taken and not been read."""
        limit = self._limit if self._line is None else self._line.limiter.limit
        buffer = self._options.buffer
        return limit + (limit if buffer is None else buffer)

    def has_place(self) -> bool:
        """Whether another call may be made, if there is an item."""
        if self.closed or self._exhausted or self._taken >= self._until:
            return False
        workers = len(self._workers)
        return workers < self._limit if self._line is None else self._line.has_place(workers)

    def start(self, item: T) -> None:
        """Start a worker for *item*; there is a place."""
        assert self._loop is not None
        if self._line is not None:
            self._line.taken = self._taken
        self._taken += 1
        # Calls start in the order of the items, also where one that waits for nothing has ended
        # before the next worker begins: then that takes a later item, or finds none.
        self._ready.append(item)
        worker = self._loop.create_task(self._work(), context=self._context.copy())
        self._workers[worker] = None
        worker.add_done_callback(self._left)

    def _go_on(self) -> None:
        """Do what has become possible."""
        if self._items is not None:
            self._fill()
        elif self._feeder is not None:
            self._feeder.go_on()

    def _fill(self) -> None:
        """Start workers while there are places and items."""
        if self._filling:  # a task that starts eagerly comes here from below
            return
        assert self._items is not None
        self._filling = True
        try:
            while self.has_place():
                item: T = next(self._items, _NONE)
                if item is _NONE:
                    self._exhausted = True
                else:
                    self.start(item)
        except Exception as error:
            self.fail(error)
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            self._filling = False

    def _left(self, worker: Task[None]) -> None:
        self._workers.pop(worker, None)
        if worker.cancelled():
            self.fail(asyncio.CancelledError())  # before it began, and not by this run
        else:
            worker.exception()  # seen: it has ended the run, or come too late
        self._go_on()
        if self.over:
            self._wake()

    def fed(self, error: BaseException | None) -> None:
        """Note that the feeder has ended, because there are no more items or because of *error*."""
        self._feeder = None
        self._exhausted = True
        if error is not None:
            if self.closed and not isinstance(error, asyncio.CancelledError):
                self.late_error = error
            self.fail(error)
        if self.over:
            self._wake()

    def _wake(self) -> None:
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)


async def _call_nothing(item: object) -> None:
    """Stand in for the function of a run that is over."""


def _differs(context: Context) -> bool:
    """Whether a context variable was set since *context* was copied here."""
    try:
        return copy_context() != context
    except Exception:  # values that are not the same are compared
        return True
