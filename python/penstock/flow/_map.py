"""`map_concurrent`: a coroutine function over many items, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sized
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from penstock.errors import ClosedError
from penstock.flow._callables import name_of
from penstock.flow._map_options import (
    SKIPPED,
    Options,
    Progress,
    check_buffer,
    check_function,
    check_limit,
    check_on_error,
    check_progress,
    iterator_of,
)
from penstock.flow._map_run import Run

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable
    from types import TracebackType
    from typing import Self

    from penstock.flow._limiter import Limiter
    from penstock.flow._map_options import Retrying

__all__ = ["ConcurrentMap", "Progress", "map_concurrent"]

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
D = TypeVar("D")


@overload
def map_concurrent(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int | Limiter,
    ordered: bool = True,
    retry: Retrying | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: Callable[[Progress], object] | None = None,
    buffer: int | None = None,
) -> ConcurrentMap[R]: ...
@overload
def map_concurrent(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int | Limiter,
    ordered: bool = True,
    retry: Retrying | None = None,
    on_error: Literal["return"],
    progress: Callable[[Progress], object] | None = None,
    buffer: int | None = None,
) -> ConcurrentMap[R | Exception]: ...
@overload
def map_concurrent(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int | Limiter,
    ordered: bool = True,
    retry: Retrying | None = None,
    on_error: Callable[[T, Exception], D],
    progress: Callable[[Progress], object] | None = None,
    buffer: int | None = None,
) -> ConcurrentMap[R | D]: ...
def map_concurrent(
    fn: Callable[[T], Awaitable[object]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int | Limiter,
    ordered: bool = True,
    retry: Retrying | None = None,
    on_error: str | Callable[[T, Exception], object] = "raise",
    progress: Callable[[Progress], object] | None = None,
    buffer: int | None = None,
) -> ConcurrentMap[Any]:
    """
    Call *fn* with each item, up to *limit* calls at a time.

    ``await map_concurrent(...)`` gives the list of the results; ``async for`` gives each as soon as
    it can, and takes items no faster than results are read. An item is taken when its call can
    start, so that *items* may be endless; calls start in the order of the items. Calls see the
    context variables of the reader; what one sets, no other one sees. Several calls may run in one
    task, one after the other.

    Args:
        fn: fn(item), a coroutine function or another function that returns an awaitable. One that
            blocks goes to threads: ``lambda item: executor.run(fn, item)``.
        items: An iterable or async iterable. An async generator is closed at the end, also at an
            early one; all of it runs in one task.
        limit: How many calls may run, >= 1, or a `Limiter`, of which each try takes a permit.
        ordered: Results in the order of the items; otherwise as calls end.
        retry: What ``retry(...)`` returns: how a call that fails is repeated. A call that waits to
            be repeated keeps its place, not its permit.
        on_error: What becomes of an item whose call raises an Exception. "raise" cancels the other
            calls, waits for their end and raises the error as it was, before results that were not
            read yet; "return" puts the error in the place of the result; "skip" leaves the item
            out; on_error(item, error) returns the result in its place, or raises.
        progress: Called with a `Progress` whenever a call has ended. What it raises ends it all.
        buffer: How far calls may be ahead of who reads: at most *limit* + *buffer* items are taken
            and not read. None: as many as *limit*. A list is read at its end, without such a bound.

    Returns:
        An object to await, or to iterate over, once. Leaving an ``async for`` early cancels what
        runs; ``async with`` around it, or ``aclose()``, also wait for the end of that.

    Raises:
        TypeError: *fn* returns something else than an awaitable; an argument is of a wrong type.
        ValueError: An argument is out of range.
        DeadlineExceeded: While reading: the ambient ``deadline()`` is over.
        ClosedError: While reading: it ended when a reader was cancelled; it was closed while it was
            awaited.

    What *items* raises ends it all and is raised, as is everything from *fn* that is no Exception.
    Whoever is cancelled while reading returns when all calls have ended.

    Cost: no task for each item, but at most *limit* tasks; with an async iterable or a `Limiter`
        one for each item. One event loop.
    """
    if not isinstance(ordered, bool):
        raise TypeError(f"ordered must be a bool, got {type(ordered).__name__}")
    if retry is not None and not callable(retry):
        raise TypeError(f"retry must be what retry(...) returns, got {type(retry).__name__}")
    source = iterator_of(items)
    options: Options[T] = Options(
        call=check_function(fn),
        name=name_of(fn),
        retry=retry,
        source=source,
        aclose=source.aclose if isinstance(source, AsyncGenerator | ConcurrentMap) else None,
        total=len(items) if isinstance(items, Sized) else None,
        limit=check_limit(limit),
        ordered=ordered,
        recover=check_on_error(on_error),
        progress=check_progress(progress),
        buffer=check_buffer(buffer),
    )
    return ConcurrentMap(Run(options))


class ConcurrentMap(Generic[R_co]):
    """
    The results of `map_concurrent`, to await or to iterate over.
    """

    __slots__ = ("__weakref__", "_cancelled", "_reading", "_run", "_use")

    def __init__(self, run: Run[Any], /) -> None:
        self._run = run
        #: What it was used for, for good.
        self._use: Literal["await", "async for", "aclose"] | None = None
        self._reading = False
        self._cancelled = False

    @property
    def progress(self) -> Progress:
        """
        How far it is.
        """
        return self._run.snapshot()

    def __await__(self) -> Generator[Any, None, list[R_co]]:
        return self._collect().__await__()

    async def _collect(self) -> list[R_co]:
        if self._use is not None:
            raise RuntimeError(f"map_concurrent() was used already, by {self._use}")
        self._use = "await"
        run = self._run
        try:
            run.begin(streaming=False)
            while not run.over and not run.closed:
                await run.sleep()
        except GeneratorExit:
            run.abandon()
            raise
        except BaseException:
            await run.close()
            raise
        is_complete = not run.closed
        await run.close()
        _raise_any(run.pop_error())
        if not is_complete:
            raise ClosedError("map_concurrent() was closed while it was awaited")
        return cast("list[R_co]", run.results())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R_co:
        run = self._run
        if self._reading or self._use == "await":
            raise RuntimeError("map_concurrent() is being read already")
        self._reading = True
        try:
            if self._use is None:
                self._use = "async for"
                run.begin(streaming=True)
            while not run.closed:
                if run.next in run.finished:
                    if (result := run.read()) is not SKIPPED:
                        return cast("R_co", result)
                elif run.over:
                    break
                else:
                    await run.sleep()
        except GeneratorExit:
            run.abandon()
            raise
        except BaseException as error:
            self._cancelled = isinstance(error, asyncio.CancelledError)
            await run.close()
            raise
        finally:
            self._reading = False
        await run.close()
        _raise_any(run.pop_error())
        if self._cancelled:
            raise ClosedError("map_concurrent() ended when its reader was cancelled")
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """
        Cancel the calls that run, and wait for their end; nothing more is read.

        Raises:
            RuntimeError: This is one of the calls.

        What the source raises when it is closed is passed on.
        """
        self._use = self._use or "aclose"
        await self._run.close()
        error, self._run.late_error = self._run.late_error, None
        _raise_any(error)

    def __del__(self) -> None:
        # Nobody can read any more: that is how an early `break` looks from here.
        run: Run[Any] | None = getattr(self, "_run", None)
        if run is not None:
            run.abandon()


def _raise_any(error: BaseException | None) -> None:
    if error is not None:
        try:
            raise error
        finally:
            del error  # its traceback has this frame
