"""`cached`: the decorator."""

from __future__ import annotations

import inspect
import sys
from functools import _CacheInfo as CacheInfo
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload
from weakref import ref

from penstock import _backend

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from datetime import timedelta
    from types import EllipsisType

    from penstock._backend import Cache, Memo
    from penstock.caching._async import AsyncLoads
    from penstock.caching._sync import SyncLoads
    from penstock.caching._types import CachedCoroutineFunction, CachedFunction, Decorator

__all__ = ["cached"]

P = ParamSpec("P")
R = TypeVar("R")

# Caches handed to `cached`, by id, that hold the results of one function under its arguments alone.
_serving: dict[int, ref[Cache[Hashable, object]]] = {}


# A coroutine is a value like any other to the second overload; the first is tried first.
@overload
def cached(  # type: ignore[overload-overlap]
    maxsize: Callable[P, Coroutine[Any, Any, R]], /
) -> CachedCoroutineFunction[P, R]: ...
@overload
def cached(maxsize: Callable[P, R], /) -> CachedFunction[P, R]: ...
@overload
def cached(
    maxsize: int | None = 1024,
    *,
    ttl: float | timedelta | None = None,
    key: Callable[..., Hashable] | None = None,
    typed: bool = False,
    cache: Cache[Any, Any] | None = None,
    stale: float | timedelta | None = None,
    tti: float | timedelta | None = None,
    jitter: float = 0.0,
    weigher: Callable[[Any, Any], int] | None = None,
    on_evict: Callable[[Any, Any, str], object] | None = None,
    policy: str = "lru",
    timer: Callable[[], float] | None = None,
    name: str | None = None,
) -> Decorator: ...
def cached(
    maxsize: int | Callable[..., object] | None = 1024,
    *,
    ttl: float | timedelta | None = None,
    key: Callable[..., Hashable] | None = None,
    typed: bool = False,
    cache: Cache[Any, Any] | None = None,
    stale: float | timedelta | None = None,
    **options: Any,
) -> object:
    """
    Keep the results of a function, a coroutine function or a method.

    Args:
        maxsize: Most results; None is unbounded. ``@cached`` alone takes the default.
        ttl: Seconds (or a timedelta) for which a result is fresh.
        key: key(*args, **kwargs) -> hashable, in place of the arguments themselves.
        typed: Whether f(3) and f(3.0) are kept apart.
        cache: A `Cache` to keep the results in; *maxsize* and further options are its own then.
        stale: Seconds after *ttl* for which an old result is still returned while it is refreshed.
        **options: Further options of `Cache`: tti, jitter, weigher, on_evict, policy, timer, name.

    Returns:
        A callable of the same signature with ``cache_info()``, ``cache_clear()``,
        ``cache_parameters()``, ``invalidate(*args)``, ``refresh(*args)``, ``stats()``, ``cache``
        and ``__wrapped__``.

    Raises:
        TypeError: Not a function, or options that exclude each other.
        ValueError: An option is out of range; *stale* without *ttl*; *cache* is taken already.
        RecursiveLoad: On a call that would wait for its own result.

    Cost: a hit is one native look-up; on a coroutine function it returns a ready awaitable that
        never touches the event loop. Any number of threads and event loops.

    Source: keys as in functools.lru_cache.
    """
    if callable(maxsize):
        return _Settings(1024, key, typed, cache, ttl, stale, options).decorate(maxsize)
    return _Settings(maxsize, key, typed, cache, ttl, stale, options).decorate


class _Settings:
    """The checked options of one use of `cached`."""

    __slots__ = ("_fresh", "_key", "_make_cache", "_shared", "_stale", "_typed")

    def __init__(
        self,
        maxsize: int | None,
        key: Callable[..., Hashable] | None,
        typed: bool,
        shared: Cache[Any, Any] | None,
        ttl: float | timedelta | None,
        stale: float | timedelta | None,
        options: dict[str, Any],
    ) -> None:
        if key is not None and not callable(key):
            raise TypeError(f"key must be callable, got {type(key).__name__}")
        if not isinstance(typed, bool):
            raise TypeError(f"typed must be a bool, got {type(typed).__name__}")
        self._key = key
        self._typed = typed
        self._shared = shared
        self._fresh = None if ttl is None else _backend.duration("ttl", ttl)
        self._stale = None if stale is None else _backend.duration("stale", stale)
        if self._stale is not None and self._fresh is None:
            raise ValueError("stale needs a ttl")
        if shared is not None:
            self._check_shared(shared, options)
        self._make_cache = self._cache_maker(maxsize, options)
        if shared is None:
            self._make_cache()  # what is wrong with the options shows here, not at the function

    def _check_shared(self, shared: Cache[Any, Any], options: dict[str, Any]) -> None:
        if not isinstance(shared, _backend.Cache):
            raise TypeError(f"cache must be a Cache, got {type(shared).__name__}")
        if options:
            raise TypeError(f"{min(options)} belongs to the cache that was given")
        if self._stale is not None and shared.tti is not None:
            raise ValueError("stale cannot be combined with tti")

    def _cache_maker(
        self, maxsize: int | None, options: dict[str, Any]
    ) -> Callable[[], Cache[Hashable, object]]:
        if self._stale is None or self._fresh is None:
            return lambda: _backend.Cache(maxsize, ttl=self._fresh, **options)
        if options.get("tti") is not None:
            raise ValueError("stale cannot be combined with tti")
        lifetime = self._fresh + self._stale
        if "jitter" in options:
            _backend.Cache(1, jitter=options["jitter"])  # checks it
            # Only the fresh part of the life is to be shortened.
            options = options | {"jitter": options["jitter"] * self._fresh / lifetime}
        return lambda: _backend.Cache(maxsize, ttl=lifetime, **options)

    def decorate(self, func: Callable[..., Any]) -> Memo:
        """Put a `Memo` in the place of *func*."""
        if not callable(func):
            raise TypeError(f"cached needs a function, got {type(func).__name__}")
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError(f"cached cannot keep what the generator function {func!r} yields")
        ttl: float | EllipsisType | None = ...
        cache = self._shared
        if cache is None:
            cache = self._make_cache()
        else:
            if self._key is None:
                _claim(cache, func)
            if self._fresh is not None:
                ttl = self._fresh + (self._stale or 0.0)
        is_coroutine_function = _is_coroutine_function(func)
        loads = _make_loads(func, cache, ttl, is_coroutine_function)
        memo = _backend.Memo(
            func,
            cache,
            key=self._key,
            typed=self._typed,
            ttl=ttl,
            miss=getattr(loads, "miss", None),
            ready=is_coroutine_function,
            soft=self._stale,
            on_stale=loads.on_stale,
        )
        self._dress(memo, func, cache, loads)
        if is_coroutine_function:
            _mark_coroutine_function(memo, func)
        return memo

    def _dress(
        self,
        memo: Memo,
        func: Callable[..., Any],
        cache: Cache[Hashable, object],
        loads: SyncLoads | AsyncLoads,
    ) -> None:
        """Give *memo* the attributes of a function, and those of a cached one."""
        make_key = memo.make_key
        parameters = {"maxsize": cache.maxsize, "typed": self._typed}

        def cache_info() -> CacheInfo:
            stats = cache.stats()
            return CacheInfo(stats.hits, stats.misses, cache.maxsize, stats.size)

        def cache_clear() -> None:
            cache.clear()
            cache.reset_stats()

        def cache_parameters() -> dict[str, object]:
            return dict(parameters)

        def invalidate(*args: object, **kwargs: object) -> bool:
            return cache._invalidate(make_key(*args, **kwargs))

        def refresh(*args: object, **kwargs: object) -> object:
            return loads.refresh(make_key(*args, **kwargs), args, kwargs)

        update_wrapper(memo, func)
        for name in ("__name__", "__qualname__"):
            if not hasattr(func, name):  # a callable object: what else to call it
                setattr(memo, name, type(func).__name__)
        for attribute in (cache_info, cache_clear, cache_parameters, invalidate, refresh):
            setattr(memo, attribute.__name__, attribute)
        memo.stats = cache.stats
        memo.cache = cache


def _make_loads(
    func: Callable[..., Any],
    cache: Cache[Hashable, object],
    ttl: float | EllipsisType | None,
    is_coroutine_function: bool,
) -> SyncLoads | AsyncLoads:
    # Each imports what the other does not need.
    if is_coroutine_function:
        from penstock.caching._async import AsyncLoads

        return AsyncLoads(func, cache, ttl)
    from penstock.caching._sync import SyncLoads

    return SyncLoads(func, cache, ttl)


def _claim(cache: Cache[Any, Any], func: Callable[..., Any]) -> None:
    """Refuse a second function on one cache: equal arguments would be taken for the same call."""
    at = id(cache)
    if at in _serving:
        raise ValueError(f"cache already serves another function; give {func!r} a key= of its own")
    _serving[at] = ref(cache, lambda _: _serving.pop(at, None))


def _is_coroutine_function(func: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(func):
        return True
    return not inspect.isroutine(func) and inspect.iscoroutinefunction(type(func).__call__)


def _mark_coroutine_function(memo: Memo, func: Callable[..., Any]) -> None:
    """Make asyncio and inspect take *memo* for what it stands for."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(memo)
        return
    import asyncio.coroutines

    memo._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
    source: Any = func
    while isinstance(source, partial):
        source = source.func
    if not inspect.isroutine(source):
        source = type(source).__call__
    # What inspect asks of a callable that is not a function but works like one.
    for name in ("__code__", "__defaults__", "__kwdefaults__", "__annotations__"):
        setattr(memo, name, getattr(source, name, None))
