"""What wraps a function to measure it: of a coroutine or a generator the run, not the call."""

from __future__ import annotations

import inspect
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from penstock._backend import Counter, Gauge, Timer

__all__ = ["ExceptionCounter", "InprogressTracker", "decorate", "decorate_timed"]

F = TypeVar("F", bound="Callable[..., Any]")


def decorate(enter: Callable[[], AbstractContextManager[object]], function: F) -> F:
    """Return *function*, each run of it inside what *enter* returns."""
    if _is_coroutine_function(function):
        wrapper = _around_coroutine(enter, function)
    elif inspect.isasyncgenfunction(function):
        wrapper = _around_async_generator(enter, function)
    elif inspect.isgeneratorfunction(function):
        wrapper = _around_generator(enter, function)
    else:
        wrapper = _around_call(enter, function)
    wrapped: F = wraps(function)(wrapper)  # type: ignore[assignment]
    return wrapped


def decorate_timed(timer: Timer, function: F) -> F:
    """Return *function*, each run of it measured by a timer of its own."""
    return decorate(timer._new, function)


class ExceptionCounter:
    """Counts the exceptions that leave a ``with`` block or a decorated function."""

    __slots__ = ("_counter", "_exception")

    def __init__(
        self, counter: Counter, exception: type[BaseException] | tuple[type[BaseException], ...]
    ) -> None:
        self._counter = counter
        self._exception = exception

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if isinstance(value, self._exception):
            self._counter.inc()
        return False

    def __call__(self, f: F) -> F:
        return decorate(lambda: self, f)


class InprogressTracker:
    """Counts a gauge up on entry to a ``with`` block or a decorated function, and down on exit."""

    __slots__ = ("_gauge",)

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def __enter__(self) -> None:
        self._gauge.inc()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._gauge.dec()

    def __call__(self, f: F) -> F:
        return decorate(lambda: self, f)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether a call returns something to await; functions that only say so (`cached`) included."""
    while isinstance(function, partial):
        function = function.func
    return (
        inspect.iscoroutinefunction(function)
        # asyncio's mark, which Cython's functions have. A Mock has any attribute, but not this one.
        or type(getattr(function, "_is_coroutine", None)) is object
        or inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004
    )


def _around_call(
    enter: Callable[[], AbstractContextManager[object]], function: Callable[..., Any]
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with enter():
            return function(*args, **kwargs)

    return call


def _around_coroutine(
    enter: Callable[[], AbstractContextManager[object]], function: Callable[..., Any]
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with enter():
            return await function(*args, **kwargs)

    return call


def _around_generator(
    enter: Callable[[], AbstractContextManager[object]], function: Callable[..., Any]
) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with enter():
            return (yield from function(*args, **kwargs))

    return run


def _around_async_generator(
    enter: Callable[[], AbstractContextManager[object]], function: Callable[..., Any]
) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with enter():
            inner = function(*args, **kwargs)
            try:
                value = await anext(inner)
                while True:
                    try:
                        sent = yield value
                    except BaseException as error:  # thrown in: its business
                        value = await inner.athrow(error)
                    else:
                        value = await inner.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()

    return run
