"""`map()` of an executor."""

from __future__ import annotations

from collections import deque
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.flow._checks import check_int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["call_chunk", "map_calls"]

T = TypeVar("T")


def call_chunk(function: Callable[..., T], rows: list[tuple[Any, ...]]) -> list[T]:
    """Call a function for several rows of arguments: what a worker elsewhere is asked to do."""
    return [function(*row) for row in rows]


def map_calls(
    submit: Callable[..., Future[Any]],
    function: Callable[..., T],
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    chunksize: int,
    buffersize: int | None,
) -> Iterator[T]:
    """
    Submit the calls, all or the first *buffersize*, and return an iterator over their results.

    Args:
        submit: Takes a function and its arguments.
        function: Is called with one item of each iterable.
        iterables: Read until the shortest one ends: at once, or as results are taken.
        timeout: Seconds from now in which the results have to be there.
        chunksize: How many calls make a task.
        buffersize: How many tasks are submitted and not taken yet, None for all.
    """
    check_int("chunksize", chunksize, 1)
    if buffersize is not None:
        check_int("buffersize", buffersize, 1)
    end = None if timeout is None else monotonic() + timeout
    rows = zip(*iterables, strict=False)
    if chunksize == 1:
        calls = (submit(function, *row) for row in rows)
        return _results(calls, end, buffersize)
    chunks = iter(lambda: list(islice(rows, chunksize)), [])
    calls = (submit(call_chunk, function, chunk) for chunk in chunks)
    return _flattened(_results(calls, end, buffersize))


def _results(calls: Iterator[Future[T]], end: float | None, buffersize: int | None) -> Iterator[T]:
    futures: deque[Future[T]] = deque()
    try:
        futures.extend(islice(calls, buffersize))
    except BaseException:
        _cancel(futures)
        raise

    # Hidden in a generator of its own: the calls above are made before anybody takes a result.
    def take() -> Iterator[T]:
        try:
            while futures:
                # The result is not kept here while somebody works with it.
                yield _first(futures, calls, end)
        finally:
            _cancel(futures)

    return take()


def _first(futures: deque[Future[T]], calls: Iterator[Future[T]], end: float | None) -> T:
    """Return the first result, and submit what takes its place."""
    future = futures.popleft()
    try:
        futures.extend(islice(calls, 1))
        return future.result(None if end is None else end - monotonic())
    finally:
        future.cancel()
        # The traceback of an error refers to this frame: no cycle through the future.
        del future


def _flattened(chunks: Iterator[list[T]]) -> Iterator[T]:
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()


def _cancel(futures: deque[Future[T]]) -> None:
    for future in futures:
        future.cancel()
