"""Loads of cached coroutine functions: one at a time for each key and event loop."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from penstock.errors import RecursiveLoad

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Coroutine, Hashable
    from datetime import timedelta
    from types import EllipsisType

    from penstock._backend import Cache, Flight

    Flights = WeakValueDictionary[Hashable, "_Load"]
    Args = tuple[object, ...]
    Kwargs = dict[str, object]

__all__ = ["AsyncLoads"]

logger = logging.getLogger("penstock.caching")

_MISSING = object()


class _Load:
    """One load in progress, and who waits for it."""

    __slots__ = (
        "__weakref__",
        "background",
        "delivered",
        "ended",
        "flight",
        "key",
        "owner",
        "parent",
        "task",
        "waiters",
        "waits_for",
    )

    task: Task[object] | None

    def __init__(self, owner: AsyncLoads, key: Hashable, parent: _Load | None) -> None:
        self.owner = owner
        self.key = key
        self.parent = parent
        self.task = None
        self.flight: Flight | None = None
        self.background = False
        self.delivered = False
        self.ended = False
        self.waiters = 0
        self.waits_for: list[_Load] = []

    def end(self, task: Task[object]) -> None:
        """Let go of the finished task: its context leads back here, and it holds the result."""
        self.ended = True
        self.task = None
        if self.waiters or self.delivered or task.cancelled():
            return
        if (error := task.exception()) is not None:
            logger.warning("loading %r, for which nobody waits, failed", self.key, exc_info=error)

    def may_be_joined(self) -> bool:
        """Whether it goes on, and its value is still wanted: nobody has invalidated the key."""
        return not self.ended and (self.flight is None or self.flight.valid)

    def waits_on(self, other: _Load) -> bool:
        """Whether it cannot finish before *other* has."""
        seen: set[int] = set()
        todo = [self]
        while todo:
            load = todo.pop()
            if load is other:
                return True
            if id(load) not in seen:
                seen.add(id(load))
                todo += load.waits_for
        return False


# The load in whose task, or in whose children, the code runs.
_current: ContextVar[_Load | None] = ContextVar("penstock_load", default=None)


class AsyncLoads:
    """The loads of one cached coroutine function."""

    __slots__ = ("_background", "_cache", "_func", "_loops", "_ttl")

    def __init__(
        self,
        func: Callable[..., Coroutine[object, object, object]],
        cache: Cache[Hashable, object],
        ttl: float | timedelta | EllipsisType | None,
    ) -> None:
        self._func = func
        self._cache = cache
        self._ttl = ttl
        # Loads live as long as those who wait for them, so that a loop closed with loads in flight
        # is freed with them. For the others somebody has to hold the reference.
        self._loops: WeakKeyDictionary[AbstractEventLoop, Flights] = WeakKeyDictionary()
        self._background: set[_Load] = set()

    async def miss(self, key: Hashable, args: Args, kwargs: Kwargs) -> object:
        """Wait for the load of *key*, starting it if nobody has."""
        flights = self._flights(asyncio.get_running_loop())
        load = flights.get(key)
        if load is None or not load.may_be_joined():
            # Between the look-up and this await somebody may have finished.
            value = self._cache.peek(key, _MISSING)
            if value is not _MISSING:
                return value
            load = self._start(flights, key, args, kwargs)
        return await self._wait(flights, load)

    async def refresh(self, key: Hashable, args: Args, kwargs: Kwargs) -> object:
        """Load and store; what an older load of the key finds is not stored any more."""
        flights = self._flights(asyncio.get_running_loop())
        return await self._wait(flights, self._start(flights, key, args, kwargs, supersede=True))

    def on_stale(self, key: Hashable, args: Args, kwargs: Kwargs) -> None:
        """Refresh in a task of its own, unless one is at it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # called outside a loop: whoever awaits later will see to it
            return
        flights = self._flights(loop)
        load = flights.get(key)
        if load is None or load.ended:
            load = self._start(flights, key, args, kwargs)
            load.background = True
            self._background.add(load)
            if load.task is not None:
                load.task.add_done_callback(lambda _: self._background.discard(load))

    def _flights(self, loop: AbstractEventLoop) -> Flights:
        flights = self._loops.get(loop)
        if flights is None:
            flights = self._loops.setdefault(loop, WeakValueDictionary())
            # A copy: loops in other threads have refreshes of their own in it.
            for load in list(self._background):
                if _is_over(load):
                    self._background.discard(load)
        return flights

    def _start(
        self, flights: Flights, key: Hashable, args: Args, kwargs: Kwargs, supersede: bool = False
    ) -> _Load:
        parent = ancestor = _running()
        while ancestor is not None:
            if ancestor.owner is self and ancestor.key == key:
                raise RecursiveLoad(f"key {key!r} is already being loaded by this task")
            ancestor = ancestor.parent
        load = _Load(self, key, parent)
        flights[key] = load  # before the task: an eager one runs at once
        work = self._load(flights, load, args, kwargs, supersede)
        load.task = asyncio.get_running_loop().create_task(work)
        load.task.add_done_callback(load.end)
        return load

    async def _load(
        self, flights: Flights, load: _Load, args: Args, kwargs: Kwargs, supersede: bool
    ) -> object:
        _current.set(load)
        load.flight = flight = self._cache._begin(load.key, supersede)
        start = perf_counter()
        try:
            value = await self._func(*args, **kwargs)
        except (asyncio.CancelledError, GeneratorExit):
            self._cache._abandon(flight)
            raise
        except BaseException:
            self._cache._abandon(flight, perf_counter() - start)
            raise
        else:
            self._cache._commit(flight, value, perf_counter() - start, self._ttl)
            return value
        finally:
            _leave(flights, load)

    async def _wait(self, flights: Flights, load: _Load) -> object:
        me, task = _running(), load.task
        # A load without a task is an eager one that is still in its first step: on this very stack.
        if task is None or (me is not None and load.waits_on(me)):
            raise RecursiveLoad(f"loading key {load.key!r} would wait for itself")
        if me is not None:
            me.waits_for.append(load)
        load.waiters += 1
        try:
            return await asyncio.shield(task)
        finally:
            if me is not None:
                me.waits_for.remove(load)
            load.waiters -= 1
            load.delivered |= task.done()
            if not load.waiters and not load.background and not task.done():
                _leave(flights, load)
                if not task.get_loop().is_closed():
                    task.cancel()


def _running() -> _Load | None:
    """Return the load that the current code is part of, unless that has ended."""
    load = _current.get()
    return None if load is None or load.ended else load


def _is_over(load: _Load) -> bool:
    """Whether its event loop was closed, so that it will never end."""
    return load.task is None or load.task.get_loop().is_closed()


def _leave(flights: Flights, load: _Load) -> None:
    if flights.get(load.key) is load:
        del flights[load.key]
