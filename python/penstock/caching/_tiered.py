"""`TieredCache`: memory in front of shared stores in front of a loader."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from penstock import _components, _forks
from penstock._backend import Cache
from penstock._waiters import seconds_of
from penstock.caching._local import Local
from penstock.caching._tier import Tier
from penstock.caching._tiered_backplane import Backplane
from penstock.caching._tiered_calls import Calls
from penstock.caching._tiered_closing import Closing
from penstock.caching._tiered_core import Core
from penstock.caching._tiered_fills import Fills
from penstock.caching._tiered_loads import Loads
from penstock.caching._tiered_options import check_options, check_settings, check_stores
from penstock.caching._tiered_owners import check_free, leave, take
from penstock.caching._tiered_reads import Reads
from penstock.caching._tiered_stats import TIERED_CACHE_FIELDS, TieredStats, snapshot
from penstock.caching._tiered_writes import Writes
from penstock.flow._checks import check_name, check_timer

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from datetime import timedelta
    from types import TracebackType
    from typing import Self, Unpack

    from penstock.caching._function import TieredDecorator, TieredFunction
    from penstock.caching._function_options import FunctionOptions
    from penstock.caching._tiered_options import Errors, LoadOptions, Seconds
    from penstock.caching._warmup import WarmupReport
    from penstock.stores import Store
    from penstock.stores._codecs import Codec

__all__ = ["TieredCache"]

P = ParamSpec("P")
R = TypeVar("R")


class TieredCache(Calls):
    """
    A cache in memory, shared stores behind it, and loaders for what none of them has.

    A hit in memory is an awaitable that is done: it never touches the event loop. Whatever fails,
    whoever asks gets what the loader has: no error of a store reaches `get` and `get_or_load`.
    What is invalidated while it is being read or loaded is not kept.

    Args:
        stores: The nearest first; the last one is the truth. They serve this cache alone, and are
            closed together with it. None: there is only memory.
        ttl: Seconds (or a timedelta) that a value is fresh, None for ever.
        l1: How many values are kept in memory; or a `Cache` of one's own, with the same *timer*,
            that serves no other cache; None: none are.
        l1_ttl: Seconds after which memory asks the stores again.
        jitter: Share of each ttl, below 1, by which it is shortened at random at most.
        refresh_after: Seconds after which a value is served as it is, and loaded anew in the
            background.
        early_refresh: A factor: the longer a load took, and the larger it is, the earlier before
            its end a value is loaded anew in the background, at random; 1 is a good one, 0 for not.
        stale_for: Seconds after its ttl in which a value still serves if loading fails.
        throttle: Seconds for which it then serves before the loader is asked again.
        soft_timeout: Seconds after which whoever waits for a load gets such a value.
        hard_timeout: Seconds after which he gets it or a `LoadTimeout`; the load goes on.
        completion_timeout: Seconds after which a load is cancelled that nobody waits for.
        negative_ttl: The ttl of None, and of *negative_errors*.
        negative_errors: Types of exceptions that are an answer: they are kept in memory, and each
            call gets one of its own.
        cache_if: cache_if(value): whether a value that was loaded is kept.
        lease: Seconds for which one process has the right to load a key while the others wait for
            what it finds, if a store has leases; None: nobody waits.
        store_timeout: Seconds that a store has for each call.
        backplane: Whether to listen to what other processes change, if a store tells.
        timer: Monotonic clock of your own.
        clock: Wall clock of your own, for the age of values.
        name: Shows the statistics among the metrics under this name.
        stale: The same as *stale_for*.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range. A store or *l1* serves another cache; a store
            is closed.

    Cost: a hit in memory is a look-up in a `Cache`. Reads and writes of one tick are one call of
        each store. One event loop at a time, but for hits in memory.

    Source: FusionCache, for fail-safe, timeouts and recovery; tags by timestamp as there.
    """

    __slots__ = ("_backplane", "_clock", "_closing", "_fills", "_name")

    def __init__(
        self,
        *stores: Store,
        ttl: Seconds | None,
        l1: int | Cache[str, Any] | None = 10_000,
        l1_ttl: Seconds | None = None,
        jitter: float = 0.0,
        refresh_after: Seconds | None = None,
        early_refresh: float = 0.0,
        stale_for: Seconds | None = None,
        throttle: Seconds = 30.0,
        soft_timeout: Seconds | None = None,
        hard_timeout: Seconds | None = None,
        completion_timeout: Seconds = 60.0,
        negative_ttl: Seconds | None = None,
        negative_errors: Errors = (),
        cache_if: Callable[[Any], object] | None = None,
        lease: Seconds | None = 10.0,
        store_timeout: Seconds = 0.25,
        backplane: bool = True,
        timer: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.time,
        name: str | None = None,
        stale: Seconds | None = None,
    ) -> None:
        if stale is not None and stale_for is not None:
            raise TypeError("stale and stale_for are the same: give one of them")
        given = stale if stale_for is None else stale_for
        self._options = check_options(
            {
                "ttl": ttl, "l1_ttl": l1_ttl, "jitter": jitter, "refresh_after": refresh_after,
                "early_refresh": early_refresh, "stale_for": 0.0 if given is None else given,
                "throttle": throttle, "soft_timeout": soft_timeout, "hard_timeout": hard_timeout,
                "negative_ttl": negative_ttl, "negative_errors": negative_errors,
                "cache_if": cache_if, "lease": lease,
            }
        )  # fmt: skip
        settings = check_settings(
            completion_timeout=completion_timeout,
            store_timeout=store_timeout,
            backplane=backplane,
        )
        check_timer(timer)
        check_timer(clock)
        check_name(name)
        check_stores(stores)
        check_free(stores, l1)
        self._name = name
        self._timer = time.monotonic if timer is None else timer
        self._clock = clock
        cache = _first_tier(l1, timer, name)
        self._attach(cache)
        self._local = Local(cache, self, timer=self._timer, clock=self._clock)
        self._tiers = [
            Tier(
                store,
                timeout=settings.store_timeout,
                timer=self._timer,
                clock=self._clock,
                name=f"{name}.{store.name}" if name else None,
            )
            for store in stores
        ]
        take(self, (*stores, cache))
        for index, tier in enumerate(self._tiers):
            tier.place(self._tiers[:index], self._tiers[index + 1 :])
        core = Core(
            self._local, l1 is not None, self._tiers, self._options, settings, self._timer, clock
        )
        self._assemble(core)
        _forks.enter(self)
        _components.enter(self)

    def _assemble(self, core: Core) -> None:
        self._core = core
        reads = Reads(core)
        self._read = reads.get
        self._fills = Fills(core)
        self._writes = Writes(core)
        self._loads = Loads(core, reads, self._fills)
        self._backplane = Backplane(core, self._writes)
        self._closing = Closing(
            core,
            self._backplane,
            reads,
            self._loads,
            lambda: reads.is_idle() and self._writes.is_idle() and self._fills.is_idle(),
            lambda: leave(self, (*(tier.store for tier in self._tiers), self._local.cache)),
        )

    @overload
    def cached(
        self,
        fn: Callable[P, Coroutine[Any, Any, R]],
        /,
        **options: Unpack[FunctionOptions],
    ) -> TieredFunction[P, R]: ...
    @overload
    def cached(self, fn: None = None, /, **options: Unpack[FunctionOptions]) -> TieredDecorator: ...
    def cached(
        self,
        fn: Callable[..., Coroutine[Any, Any, Any]] | None = None,
        /,
        **options: Unpack[FunctionOptions],
    ) -> object:
        """
        Keep the results of a coroutine function or method: a decorator.

        Args:
            fn: The function; None returns a decorator with *options*.
            options: *key*, *tags*, *prefix*, *enabled*, and those of `get_or_load`; see the guide.

        Returns:
            A function with the same arguments, and ``invalidate``, ``refresh``, ``stats`` and more.

        Raises:
            TypeError: It is no coroutine function; an option has the wrong type.
            ValueError: An option is out of its range.
        """
        from penstock.caching._function import tiered_function

        return tiered_function(self, fn, **options)

    def warmup(
        self,
        keys: Iterable[str],
        loader: Callable[[str], object],
        *,
        progress: Callable[[int, int, str], object] | None = None,
        concurrency: int = 8,
        background: bool = False,
        **options: Unpack[LoadOptions],
    ) -> Awaitable[WarmupReport]:
        """
        Bring *keys* into memory, from the stores or else by the loader.

        Args:
            keys: Each counts once.
            loader: loader(key), for those that no store has.
            progress: progress(done, total, key), called whenever one has ended.
            concurrency: How many loads may run at once.
            background: Whether to begin at once; otherwise it begins when it is awaited. Whoever
                asks for a key meanwhile joins its load.
            options: As those of `get_or_load`.

        Returns:
            An awaitable of what became of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: *concurrency* is below 1.
        """
        from penstock.caching._warmup import warm

        return warm(
            self,
            keys,
            loader,
            progress=progress,
            concurrency=concurrency,
            background=background,
            **options,
        )

    async def save(
        self,
        path: str | os.PathLike[str],
        *,
        limit: int | None = None,
        codec: Codec = "json",
        secret: bytes | None = None,
    ) -> int:
        """
        Write what is in memory to a file, whole or not at all.

        Args:
            path: Of the file.
            limit: How many values at most, the last used ones; None for all.
            codec: How they are encoded; what cannot be is left out.
            secret: To sign them with.

        Returns:
            How many were written.

        Raises:
            OSError: The file cannot be written.
        """
        from penstock.caching._snapshot import save

        return await save(self, path, limit=limit, codec=codec, secret=secret)

    async def restore(self, path: str | os.PathLike[str], *, secret: bytes | None = None) -> int:
        """
        Bring back to memory what `save` has written: with stores, the keys, read from there.

        Args:
            path: Of the file.
            secret: What it was signed with.

        Returns:
            How many values were brought back.

        Raises:
            SnapshotError: The file is not a whole snapshot.
            OSError: It cannot be read.
        """
        from penstock.caching._snapshot import restore

        return await restore(self, path, secret=secret)

    @property
    def name(self) -> str | None:
        """
        The name given to the cache.
        """
        return self._name

    @property
    def closed(self) -> bool:
        """
        Whether the cache is closed, or closing.
        """
        return self._core.is_closing

    def stats(self) -> TieredStats:
        """
        Return what the cache has done so far.
        """
        return snapshot(
            self._core.counts,
            self._local.cache.stats(),
            tuple(tier.stats() for tier in self._tiers),
            self._loads.loading,
            self._writes.waiting,
        )

    async def aclose(self, timeout: float | timedelta | None = 30.0) -> None:  # noqa: ASYNC109
        """
        Bring to the stores what is on its way there, and close them.

        Args:
            timeout: Seconds (or a timedelta) after which what is left is cancelled; None: it is
                waited for as long as it takes.

        Raises:
            WrongEventLoop: The cache is bound to another event loop.
            RuntimeError: Called by a loader of the cache, which would wait for itself.
            TypeError: *timeout* is no duration.
            ValueError: It is not finite.

        Cost: a task, which goes on if the caller is cancelled. Called again it waits for the same.
        """
        await self._closing.aclose(seconds_of(timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        parts = ["l1"] if self._core.has_l1 else []
        parts += [tier.store.name for tier in self._tiers]
        if self._name is not None:
            parts.append(f"name={self._name!r}")
        return f"<TieredCache {', '.join(parts) or 'of nothing'}>"

    def _begin_anew(self) -> object:
        """Know of nothing that is under way in a forked process; see `_forks`."""
        return self._core.begin_anew(), [tier.begin_anew() for tier in self._tiers]


def _first_tier(
    l1: int | Cache[str, Any] | None, timer: Callable[[], float] | None, name: str | None
) -> Cache[str, Any]:
    """Return the first tier; one that stays empty, if there is to be none."""
    if isinstance(l1, Cache):
        return l1
    size = 1 if l1 is None else l1
    return Cache(size, timer=timer, name=None if name is None else f"{name}.l1")


_components.describe("tiered_cache", TieredStats, TIERED_CACHE_FIELDS)
