"""What `retry` returns, for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from penstock.flow._retry_stats import RetryStats

__all__ = ["RetriedCoroutineFunction", "RetriedFunction", "RetryDecorator"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class RetriedFunction(Protocol[P, R_co]):
    """
    A function whose failed calls are repeated.
    """

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function itself."""
        ...

    def stats(self) -> RetryStats:
        """Return what has become of the calls so far."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> RetriedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: RetriedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> RetriedFunction[Q, R]: ...


class RetriedCoroutineFunction(Protocol[P, R_co]):
    """
    A coroutine function whose failed calls are repeated.
    """

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
        """The coroutine function itself."""
        ...

    def stats(self) -> RetryStats:
        """Return what has become of the calls so far."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...

    @overload
    def __get__(
        self, instance: None, owner: type | None = None
    ) -> RetriedCoroutineFunction[P, R_co]: ...
    @overload
    def __get__(
        self: RetriedCoroutineFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> RetriedCoroutineFunction[Q, R]: ...


class RetryDecorator(Protocol):
    """
    What `retry(...)` with options returns.
    """

    # A coroutine is a value like any other to the second overload; the first is tried first.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> RetriedCoroutineFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> RetriedFunction[P, R]: ...
