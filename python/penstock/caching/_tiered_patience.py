"""For how long loads are waited for, and how long they go on when nobody does."""

from __future__ import annotations

import logging
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from penstock._backend import Cache
from penstock.errors import LoadTimeout

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle
    from collections.abc import Callable

    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_flight import Flight, Waiter
    from penstock.stores import Record

__all__ = ["Patience"]

logger = logging.getLogger("penstock.caching")

#: Keys whose loaders are left alone without a first tier; of more some are asked again too soon.
_MOST: Final = 10_000
#: Seconds that a cache takes for a ttl.
_LONGEST: Final = 1e9


class Patience:
    """
    Watches over those who wait for loads.

    Args:
        core: That of the cache.
        stop: Called with a load that is to end, because nobody waits for it.
    """

    __slots__ = ("_core", "_resting", "_stop")

    def __init__(self, core: Core, stop: Callable[[Flight], None]) -> None:
        self._core = core
        self._stop = stop
        #: When the values were born that are served on from the stores, without a first tier.
        self._resting: Cache[str, float] = Cache(_MOST, timer=core.timer)

    def begin(self, flight: Flight) -> None:
        """The loader is called from now on."""
        for waiter in flight.alive():
            self._arm(flight, waiter)
        self._watch(flight)

    def attend(self, flight: Flight, waiter: Waiter) -> None:
        """Somebody has joined a load that runs."""
        if flight.completion is not None:
            flight.completion.cancel()
            flight.completion = None
        self._arm(flight, waiter)
        if flight.watched is None:
            self._watch(flight)

    def _arm(self, flight: Flight, waiter: Waiter) -> None:
        future, options, _, _ = waiter
        self._core.counts.misses += 1
        loop = future.get_loop()
        for seconds, act in (
            (options.soft_timeout, self._soft),
            (options.hard_timeout, self._hard),
        ):
            if seconds is not None:
                timer = loop.call_later(seconds, act, flight, future, seconds)
                future.add_done_callback(partial(_cancel, timer))

    def _watch(self, flight: Flight) -> None:
        """
        Watch one of those who wait until he is gone, then another; end the load with the last.

        From one to the next is O(1) amortised: nobody comes in before those who are there.
        """
        if flight.is_awaited():
            future = flight.waiters[flight.at][0]
            flight.watched = future
            future.add_done_callback(lambda future: self._gone(flight, future))
            return
        flight.watched = None
        if not flight.background:
            self._stop(flight)
        elif flight.completion is None:
            assert self._core.loop is not None
            seconds = self._core.settings.completion_timeout
            flight.completion = self._core.loop.call_later(seconds, self._complete, flight)

    def _gone(self, flight: Flight, future: Future[Any]) -> None:
        if flight.watched is future and not flight.ended:
            self._watch(flight)

    def _complete(self, flight: Flight) -> None:
        flight.completion = None
        if not flight.ended:
            seconds = self._core.settings.completion_timeout
            logger.warning(
                "loading %r, for which nobody waits, took over %g s", flight.key, seconds
            )
            self._stop(flight)

    def _soft(self, flight: Flight, future: Future[Any], _: float) -> None:
        """Give a value past its time to somebody who has waited for long enough."""
        if future.done() or flight.ended:
            return
        record = self.fallback(flight)
        if record is not None:
            self._core.counts.soft_timeouts += 1
            self._give_stale(flight, future, record)

    def _hard(self, flight: Flight, future: Future[Any], seconds: float) -> None:
        """The same; if there is no such value, tell him."""
        if future.done() or flight.ended:
            return
        self._core.counts.hard_timeouts += 1
        record = self.fallback(flight)
        if record is not None:
            self._give_stale(flight, future, record)
            return
        flight.background = True
        message = f"loading {flight.key!r} took longer than {seconds:g} s; it goes on"
        future.set_exception(LoadTimeout(message, seconds=seconds))

    def _give_stale(self, flight: Flight, future: Future[Any], record: Record) -> None:
        flight.background = True
        self._core.counts.stale_served += 1
        self.serve_on(flight, record)
        future.set_result(record.value)

    def fallback(self, flight: Flight) -> Record | None:
        """Return a value past its time that may be served: nobody has invalidated it."""
        core = self._core
        if flight.reload:
            return None
        for record in (flight.stale, flight.shown):
            if (
                record is not None
                and record.usable(core.clock()) > 0.0
                and core.local.permits(flight.key, record.tags, flight.token)
            ):
                return record
        return None

    def put_off(self, flight: Flight) -> bool:
        """
        Let the value be that was to be loaded anew, for a while: nothing came of that.

        Returns:
            Whether there is one, which is fresh and valid.
        """
        core, shown = self._core, flight.shown
        if (
            shown is None
            or shown.remaining(core.clock()) <= 0.0
            or not core.local.permits(flight.key, shown.tags, flight.token)
        ):
            return False
        self.serve_on(flight, shown)
        return True

    def resting(self, flight: Flight) -> Record | None:
        """Return a value past its time that is served once more, for the loader is left alone."""
        record = None if flight.stale is None else self.fallback(flight)
        return record if record is not None and self.is_resting(flight.key, record) else None

    def is_resting(self, key: str, record: Record) -> bool:
        """Whether there is a loader to be left alone, and no first tier that has the old value."""
        return record.born <= self._resting.get(key, -inf)

    def loaded(self, key: str) -> None:
        """The loader of *key* need not be left alone any more."""
        if not self._core.has_l1:
            self._resting.pop(key, None)

    def serve_on(self, flight: Flight, record: Record) -> None:
        """Serve a value past its time for a while, without asking the loader again."""
        core = self._core
        seconds = flight.options.throttle
        if not seconds or flight.key in core.writing:
            return
        now = core.clock()
        left = record.remaining(now)
        if not core.has_l1:
            # What is still good stands in for nothing: when its time is up the loader is asked.
            seconds = min(seconds, left if left > 0.0 else _LONGEST, _LONGEST)
            self._resting.set(flight.key, record.born, ttl=seconds)
            return
        if left > 0.0:
            self._put_off(flight, record, now)
            return
        core.local.fill(flight.key, record, flight.token, throttle=seconds)

    def _put_off(self, flight: Flight, record: Record, now: float) -> None:
        """Let a value that is to be loaded anew, and is still good, be for a while."""
        core = self._core
        entry = core.local.peek(flight.key)
        if entry is None or entry.note.record is not record:
            return
        left = entry.note.fresh_until - core.timer()
        if left > 0.0:
            core.local.fill(
                flight.key,
                record,
                # It was valid then; what set it has kept older ones from being stored.
                flight.token,
                l1_ttl=min(left, _LONGEST),
                refresh_after=max(0.0, now - record.born) + flight.options.throttle,
            )


def _cancel(timer: TimerHandle, _: object) -> None:
    timer.cancel()
