"""What `cached` returns, for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from functools import _CacheInfo as CacheInfo

    from penstock._backend import Cache, CacheStats

__all__ = ["CachedCoroutineFunction", "CachedFunction", "Decorator"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class _Common(Protocol[P, R_co]):
    """What both kinds have."""

    __name__: str
    __qualname__: str

    @property
    def cache(self) -> Cache[Hashable, object]:
        """The cache that holds the results."""
        ...

    def cache_info(self) -> CacheInfo:
        """Return hits, misses, maxsize and currsize, as functools.lru_cache does."""
        ...

    def cache_clear(self) -> None:
        """Forget all results and start counting from zero."""
        ...

    def cache_parameters(self) -> dict[str, object]:
        """Return maxsize and typed as they were given."""
        ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of this call, also if it is being loaded; whether there was one."""
        ...

    def make_key(self, *args: P.args, **kwargs: P.kwargs) -> Hashable:
        """Return the key under which the result of this call is kept."""
        ...

    def stats(self) -> CacheStats:
        """Return what the cache has done so far."""
        ...


class CachedFunction(_Common[P, R_co], Protocol[P, R_co]):
    """
    A function whose results are kept.
    """

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function itself."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function again, store what it returns, and return it."""
        ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> CachedFunction[Q, R]: ...


class CachedCoroutineFunction(_Common[P, R_co], Protocol[P, R_co]):
    """
    A coroutine function whose results are kept.
    """

    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
        """The coroutine function itself."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...
    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Call the function again; awaiting that stores what it returns, and returns it."""
        ...

    @overload
    def __get__(
        self, instance: None, owner: type | None = None
    ) -> CachedCoroutineFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedCoroutineFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> CachedCoroutineFunction[Q, R]: ...


class Decorator(Protocol):
    """
    What `cached(...)` with options returns.
    """

    # A coroutine is a value like any other to the second overload; the first is tried first.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, func: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CachedCoroutineFunction[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...
