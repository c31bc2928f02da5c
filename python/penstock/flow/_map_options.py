"""What `map_concurrent` is told, checked."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from penstock.flow._callables import is_coroutine_function, name_of
from penstock.flow._checks import check_int

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from penstock.flow._limiter import Limiter

__all__ = [
    "SKIPPED",
    "NotAwaitable",
    "Options",
    "Progress",
    "Retrying",
    "check_buffer",
    "check_function",
    "check_limit",
    "check_on_error",
    "check_progress",
    "iterator_of",
]

T = TypeVar("T")
R = TypeVar("R")
F = TypeVar("F", bound="Callable[..., object]")

#: In the place of the result of a call that is left out.
SKIPPED: Final = object()


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far a `map_concurrent` is.

    Attributes:
        done: Calls that have ended, those that failed among them.
        failed: Calls that failed.
        total: How many there will be, or None where *items* has no length.
        seconds: Time since the first item was taken.
    """

    done: int
    failed: int
    total: int | None
    seconds: float


class Retrying(Protocol):
    """What `retry(...)` returns."""

    def __call__(
        self, function: Callable[[T], Coroutine[Any, Any, R]], /
    ) -> Callable[[T], Coroutine[Any, Any, R]]: ...


class NotAwaitable(TypeError):
    """What is wrong with the function, and not with one of the items."""


@dataclass(frozen=True, slots=True)
class Options(Generic[T]):
    """What a run is told."""

    call: Callable[[T], Awaitable[object]]
    name: str
    retry: Retrying | None
    source: Iterator[T] | AsyncIterator[T]
    #: Closes the source, where that has to be done.
    aclose: Callable[[], Awaitable[object]] | None
    total: int | None
    limit: int | Limiter
    ordered: bool
    #: Returns what takes the place of the result; None: the error ends everything.
    recover: Callable[[T, Exception], object] | None
    progress: Callable[[Progress], object] | None
    buffer: int | None


def iterator_of(items: Iterable[T] | AsyncIterable[T]) -> Iterator[T] | AsyncIterator[T]:
    """Return what to take the items from."""
    if isinstance(items, AsyncIterable):
        return aiter(items)
    try:
        return iter(items)
    except TypeError:
        what = type(items).__name__
        message = f"items must be an iterable or an async iterable, got {what}"
        raise TypeError(message) from None


def check_function(function: Callable[[T], Awaitable[object]]) -> Callable[[T], Awaitable[object]]:
    """Return *function*, refusing what it returns where that may be no awaitable."""
    if not callable(function):
        raise TypeError(f"fn must be callable, got {type(function).__name__}")
    if is_coroutine_function(function):
        return function

    def call(item: T) -> Awaitable[object]:
        awaitable = function(item)
        if isawaitable(awaitable):
            return awaitable
        raise NotAwaitable(
            f"fn must return an awaitable, got {type(awaitable).__name__} from {name_of(function)};"
            " for one that blocks: lambda item: asyncio.to_thread(fn, item)"
        )

    return call


def check_limit(limit: int | Limiter) -> int | Limiter:
    """Return *limit*."""
    if not isinstance(limit, int):
        from penstock.flow._limiter import Limiter

        if isinstance(limit, Limiter):
            return limit
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit must be an int or a Limiter, got {type(limit).__name__}")
    return check_int("limit", limit, 1)


def check_buffer(buffer: int | None) -> int | None:
    """Return *buffer*."""
    return None if buffer is None else check_int("buffer", buffer, 0)


def check_on_error(
    on_error: str | Callable[[T, Exception], object],
) -> Callable[[T, Exception], object] | None:
    """Return what makes a result of an error; None: nothing does."""
    if not isinstance(on_error, str):
        return _check_plain("on_error", on_error)
    if on_error == "raise":
        return None
    if on_error == "return":
        return lambda _, error: error
    if on_error == "skip":
        return lambda _, __: SKIPPED
    raise ValueError(f"on_error must be 'raise', 'return', 'skip' or callable, got {on_error!r}")


def check_progress(
    progress: Callable[[Progress], object] | None,
) -> Callable[[Progress], object] | None:
    """Return *progress*."""
    return None if progress is None else _check_plain("progress", progress)


def _check_plain(what: str, function: F) -> F:
    """Refuse what cannot be called, and what nobody would await."""
    if not callable(function):
        raise TypeError(f"{what} must be callable, got {type(function).__name__}")
    if is_coroutine_function(function):
        raise TypeError(f"{what} must be a plain function, got a coroutine function")
    return function
