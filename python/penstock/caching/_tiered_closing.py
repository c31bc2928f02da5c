"""The end of a cache in tiers: what is on its way gets there, or is given up in time."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from penstock.caching._tiered_flight import running

if TYPE_CHECKING:
    from asyncio import Future, Task
    from collections.abc import Awaitable, Callable

    from penstock.caching._tiered_backplane import Backplane
    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_loads import Loads
    from penstock.caching._tiered_reads import Reads

__all__ = ["Closing"]

logger = logging.getLogger("penstock.caching")

#: Seconds that there are for what has to be done in any case, if no time is left.
_GRACE: Final = 1.0
#: Seconds between looks whether a store has answered.
_STEP: Final = 0.001

#: What was given up, and has not ended yet: nobody else holds it.
_strays: Final[set[Future[Any]]] = set()


class Closing:
    """
    Ends a cache, in a task that nobody's cancellation reaches.

    Args:
        core: That of the cache.
        backplane: To be ended.
        reads: What may be reading without a task.
        loads: What may be loading.
        is_idle: Whether nothing waits for the next step of the event loop.
        closed: Called when it is done, be whoever asked for it gone.
    """

    __slots__ = ("_backplane", "_closed", "_core", "_is_idle", "_loads", "_reads", "_task")

    def __init__(
        self,
        core: Core,
        backplane: Backplane,
        reads: Reads,
        loads: Loads,
        is_idle: Callable[[], bool],
        closed: Callable[[], object],
    ) -> None:
        self._core = core
        self._backplane = backplane
        self._reads = reads
        self._loads = loads
        self._is_idle = is_idle
        self._closed = closed
        self._task: Task[None] | None = None
        core.bound.append(self._begin_anew)

    async def aclose(self, seconds: float | None) -> None:
        """Close, and wait for that; called again, wait for the same."""
        flight = running()
        if flight is not None and flight.owner is self._core:
            raise RuntimeError("a loader cannot close the cache that it loads for")
        loop = self._core.enter()
        if self._task is None or self._task.cancelled():
            self._core.is_closing = True
            self._task = loop.create_task(self._run(seconds), context=Context())
        await asyncio.shield(self._task)

    async def _run(self, seconds: float | None) -> None:
        core = self._core
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        try:
            self._loads.close()
            await self._settle(until)
        finally:
            # What is left is served no more: nobody would tell what others change.
            core.local.clear()
        for store in self._backplane.leave():
            await _try("leaving", store, store.unlisten(), _left(until))
        for tier in reversed(core.tiers):  # what one makes up for is passed on to the nearer ones
            left = _left(until)
            # It has a time of its own for what it tries once more.
            await _try("ending with", tier.store, tier.aclose(left), left + _GRACE)
        for tier in core.tiers:
            await _try("closing", tier.store, tier.store.aclose(), _left(until))
        self._closed()

    async def _settle(self, until: float | None) -> None:
        """Wait for loads, fills and writes; cancel those that take too long."""
        core = self._core
        loop = asyncio.get_running_loop()
        while core.tasks or not self._is_idle():
            if until is not None and loop.time() >= until:
                break
            if core.tasks:
                left = None if until is None else until - loop.time()
                # What has ended may have begun something else.
                await asyncio.wait(core.tasks, timeout=left, return_when="FIRST_COMPLETED")
            else:
                await asyncio.sleep(_STEP if self._reads.is_asking() else 0)
        self._reads.close()
        tasks = list(core.tasks)
        if tasks:
            logger.warning("a TieredCache was closed before %d of its tasks ended", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_GRACE)

    def _begin_anew(self, _: object) -> object:
        task, self._task = self._task, None
        return task


def _left(until: float | None) -> float:
    """Return the seconds that there are for what has to be done in any case."""
    return _GRACE if until is None else max(_GRACE, until - asyncio.get_running_loop().time())


async def _try(what: str, store: object, work: Awaitable[object], seconds: float) -> None:
    """Do something with a store that may fail, take for ever, and not even be cancelled."""
    task = asyncio.ensure_future(work)
    _strays.add(task)
    task.add_done_callback(_strays.discard)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
    name = getattr(store, "name", store)
    if not done:
        logger.warning("%s the store %s took more than %g s", what, name, seconds)
    elif not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("%s the store %s failed: %s", what, name, error)
