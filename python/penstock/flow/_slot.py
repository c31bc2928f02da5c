"""Permits for a block of code, and for each call of a function."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from penstock import _backend
from penstock.flow._callables import check_function, is_coroutine_function
from penstock.flow._checks import MAX_INT, check_int

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from types import TracebackType

    from penstock.flow._limiter import Limiter
    from penstock.flow._limiter_options import Outcome

__all__ = ["Gate", "Slot", "limited"]

F = TypeVar("F", bound="Callable[..., Any]")


class Gate(Protocol):
    """What is passed on the way in, by a task or by a thread."""

    def __enter__(self) -> object: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...
    def __aenter__(self) -> Awaitable[object]: ...
    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> Awaitable[None]: ...


class Slot:
    """Some permits of a limiter, for a block of code; see `Limiter.slot`."""

    __slots__ = ("_deadline", "_limiter", "_priority", "_weight")

    def __init__(
        self,
        limiter: Limiter,
        weight: int,
        priority: int,
        deadline: float | timedelta | None,
    ) -> None:
        self._limiter = limiter
        self._weight = check_int("weight", weight, 1)
        self._priority = check_int("priority", priority, -MAX_INT - 1)
        self._deadline = deadline

    def __aenter__(self) -> Awaitable[None]:
        return self._limiter.acquire(self._weight, priority=self._priority, deadline=self._deadline)

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Awaitable[None]:
        self._release(kind)
        return _backend.Ready(None)

    def __enter__(self) -> None:
        if not self._limiter.try_acquire(self._weight):
            self._limiter._block(self._weight, self._priority, self._deadline)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release(kind)

    def _release(self, kind: type[BaseException] | None) -> None:
        outcome: Outcome = "ignored"
        try:
            outcome = "success" if kind is None else self._limiter._outcome(kind)
        finally:
            self._limiter.release(self._weight, outcome=outcome)


def limited(decorator: str, gate: Gate, function: F) -> F:
    """
    Return *function*, each call of it through *gate*.

    Raises:
        TypeError: It is no function, or a generator function: what it does is done after the call.
    """
    check_function(decorator, function)
    around = _around_coroutine if is_coroutine_function(function) else _around_call
    wrapped: F = wraps(function)(around(gate, function))  # type: ignore[assignment]
    return wrapped


def _around_call(gate: Gate, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with gate:
            return function(*args, **kwargs)

    return call


def _around_coroutine(gate: Gate, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with gate:
            return await function(*args, **kwargs)

    return call
