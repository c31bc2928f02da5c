"""`TieredCache.cached`: coroutine functions whose results are kept in all tiers."""

from __future__ import annotations

import asyncio.coroutines
import inspect
import sys
from asyncio import Future
from functools import partial, update_wrapper
from time import perf_counter
from types import MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from penstock import _components
from penstock._backend import Ready
from penstock.caching._function_claims import claim
from penstock.caching._function_keys import ArgumentKeys
from penstock.caching._function_method import TieredMethod
from penstock.caching._function_options import (
    check_options,
    check_target,
    is_method,
    make_tags,
    signature_of,
)
from penstock.caching._function_stats import FunctionStats
from penstock.flow._callables import name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Self, Unpack

    from penstock.caching._function_options import FunctionOptions
    from penstock.caching._tiered import TieredCache

__all__ = ["FunctionStats", "TieredDecorator", "TieredFunction", "TieredMethod", "tiered_function"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

#: The length of a call that has not run its function.
_ASKED: Final = 3


class TieredDecorator(Protocol):
    """
    What ``cache.cached(...)`` with options returns.
    """

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> TieredFunction[P, R]: ...


@overload
def tiered_function(
    cache: TieredCache,
    fn: Callable[P, Coroutine[Any, Any, R]],
    /,
    **options: Unpack[FunctionOptions],
) -> TieredFunction[P, R]: ...
@overload
def tiered_function(
    cache: TieredCache, fn: None = None, /, **options: Unpack[FunctionOptions]
) -> TieredDecorator: ...
def tiered_function(
    cache: TieredCache,
    fn: Callable[..., Coroutine[Any, Any, Any]] | None = None,
    /,
    **options: Unpack[FunctionOptions],
) -> object:
    """
    Keep the results of a coroutine function in *cache*: what ``cache.cached`` is.

    Args:
        cache: A `TieredCache`.
        fn: The function; None returns a decorator.
        **options: See ``TieredCache.cached``.
    """
    check_options(
        options, cache._options
    )  # what is wrong with them shows here, not at the function
    if fn is None:
        return partial(_decorate, cache, options)
    return _decorate(cache, options, fn)


def _decorate(
    cache: TieredCache, options: FunctionOptions, fn: Callable[P, Coroutine[Any, Any, R]], /
) -> TieredFunction[P, R]:
    return TieredFunction(cache, fn, options)


class TieredFunction(Generic[P, R]):
    """
    A coroutine function whose results are kept in the tiers of a cache.
    """

    __slots__ = (
        "__dict__", "__weakref__", "_asked", "_bypassed", "_cache", "_enabled", "_errors",
        "_failures", "_func", "_get_or_load", "_key", "_keys", "_known", "_misses", "_options",
        "_prefix", "_run_seconds", "_runs", "_served", "_shared", "_tags",
    )  # fmt: skip

    __wrapped__: Callable[P, Coroutine[Any, Any, R]]
    __name__: str
    __qualname__: str

    def __init__(
        self,
        cache: TieredCache,
        fn: Callable[P, Coroutine[Any, Any, R]],
        options: FunctionOptions,
        /,
    ) -> None:
        check_target(fn)
        module = getattr(fn, "__module__", None) or type(fn).__module__
        self._cache = cache
        self._func = fn
        self._get_or_load: Callable[..., Any] = cast("Any", cache).get_or_load
        self._options = check_options(options, cache._options)
        self._prefix = options.get("prefix") or f"{module}.{name_of(fn)}"
        self._key = options.get("key")
        self._tags = make_tags(options.get("tags"), fn)
        self._set_keys(int(is_method(fn)))
        self._enabled = options.get("enabled", True)
        #: Calls answered at once, and the others; of these, those with a result of somebody else's.
        self._served = self._asked = self._shared = 0
        self._misses = self._errors = self._bypassed = self._runs = self._failures = 0
        self._run_seconds = 0.0
        _dress(self, fn)
        claim(cache, self._prefix, fn)
        if cache.name:
            _components.enter(self)

    def _set_keys(self, skip: int) -> None:
        signature = signature_of(self._func, skip=skip)
        name = name_of(self._func)
        home = f"{self._func.__module__}.{name.rpartition('.')[0]}" if skip else ""
        self._keys = ArgumentKeys(self._prefix, name, signature, self._key, skip, home)
        #: Keys of calls with one argument, where that is all that a call has.
        self._known = {} if skip else self._keys.remembered

    # The way of a hit: nothing here that can be done elsewhere.
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        if not self._enabled:
            self._bypassed += 1
            return self._func(*args, **kwargs)
        key = None
        if len(args) == 1 and not kwargs:
            try:  # noqa: SIM105  # faster than suppress()
                key = self._known.get((args[0], type(args[0])))
            except TypeError:  # not hashable
                pass
        if key is None:
            key = self._keys.of(args, kwargs)
        call: list[Any] = [self, args, kwargs]
        run = MethodType(_run, call)  # as partial(_run, call), and made faster
        ask, tags, options = self._get_or_load, self._tags, self._options
        # Each keyword costs a hit about as much as the look-up does.
        answer: Coroutine[Any, Any, R]
        if tags is None:
            answer = ask(key, run, **options) if options else ask(key, run)
        elif options:
            answer = ask(key, run, tags=tags(args, kwargs), **options)
        else:
            answer = ask(key, run, tags=tags(args, kwargs))
        if type(answer) is Ready:
            self._served += 1
        else:
            self._watch(answer, call)
        return answer

    def _watch(self, answer: object, call: list[Any]) -> None:
        self._asked += 1
        if isinstance(answer, Future):
            answer.add_done_callback(partial(self._count, call))
        else:  # it raises a cached error when it is awaited
            self._errors += 1

    def _count(self, call: list[Any], answer: Future[R]) -> None:
        if len(call) > _ASKED:  # it was this call that ran the function
            self._misses += 1
        elif answer.cancelled() or answer.exception() is not None:
            self._errors += 1
        else:
            self._shared += 1

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """
        Return the key under which the result of this call is kept.

        Raises:
            TypeError: No key can be made of the arguments.
        """
        return self._keys.of(args, kwargs)

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """
        Run the function now, keep what it returns, and return that.

        What there was stays until then, and when it fails.

        Raises:
            TypeError: No key can be made of the arguments.
        """
        options = self._options
        if self._tags is not None:
            options = options | {"tags": self._tags(args, kwargs)}
        key, run = self._keys.of(args, kwargs), MethodType(_run, [self, args, kwargs])
        answer = cast("Any", self._cache)._reload(key, run, **options)
        return cast("Coroutine[Any, Any, R]", answer)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[bool]:
        """
        Forget the result of this call in all tiers, also one that is being loaded.

        Returns:
            Awaitable: whether every store has taken it; see ``TieredCache.delete``.

        Raises:
            TypeError: No key can be made of the arguments.
        """
        return self._cache.delete(self._keys.of(args, kwargs))

    def invalidate_all(self) -> Awaitable[bool]:
        """
        Forget the results of all calls of this function, in all tiers.

        Returns:
            Awaitable: whether every store has taken it; see ``TieredCache.invalidate_prefix``.
        """
        return self._cache.invalidate_prefix(f"{self._prefix}:")

    def enable(self) -> None:
        """
        Look into the cache again.
        """
        self._enabled = True

    def disable(self) -> None:
        """
        Run the function at every call, without looking into the cache or storing anything.

        What is there stays. In this process only.
        """
        self._enabled = False

    @property
    def enabled(self) -> bool:
        """
        Whether calls look into the cache.
        """
        return self._enabled

    @property
    def cache(self) -> TieredCache:
        """
        Where the results are.
        """
        return self._cache

    @property
    def name(self) -> str:
        """
        What its keys begin with, before a colon; its name among the metrics.
        """
        return self._prefix

    def stats(self) -> FunctionStats:
        """
        Return what it has done so far, in this process.
        """
        return FunctionStats(
            calls=self._served + self._asked + self._bypassed,
            hits=self._served + self._shared,
            misses=self._misses,
            errors=self._errors,
            bypassed=self._bypassed,
            runs=self._runs,
            failures=self._failures,
            run_seconds=self._run_seconds,
        )

    def __set_name__(self, owner: type, name: str) -> None:
        # Not where it is but given another name: what it takes is what it was defined with.
        is_here = (owner.__module__, f"{owner.__qualname__}.{name}") == (
            self.__module__,
            self.__qualname__,
        )
        if is_here and not self._keys.skip:  # whatever its first argument is called
            self._set_keys(1)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: TieredFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> TieredMethod[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> object:
        del owner
        return self if instance is None else TieredMethod(cast("Any", self), instance)

    def __reduce__(self) -> str:
        return self.__qualname__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<cached {self._func!r} in {self._cache!r}>"


async def _run(call: list[Any], key: str) -> Any:
    """Run the function of a call: [it, args, kwargs], and mark that it did."""
    del key
    made: TieredFunction[..., Any]
    made, args, kwargs = call[:_ASKED]
    call.append(True)
    made._runs += 1
    started = perf_counter()
    try:
        value = await made._func(*args, **kwargs)
    except BaseException:
        made._failures += 1
        raise
    made._run_seconds += perf_counter() - started
    return value


def _dress(made: TieredFunction[..., Any], fn: Callable[..., object]) -> None:
    """Make it look like the function, also to asyncio and inspect."""
    update_wrapper(made, fn)
    for name in ("__name__", "__qualname__"):
        if not hasattr(fn, name):  # a callable object, a partial
            setattr(made, name, name_of(fn))
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(made)
    else:
        made._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)  # type: ignore[attr-defined]
