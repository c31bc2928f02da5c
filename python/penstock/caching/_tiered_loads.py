"""Loads of a cache in tiers: one at a time for each key, whoever asks."""

from __future__ import annotations

import logging
from asyncio import _get_running_loop
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from penstock._backend import Ready
from penstock._copies import copied
from penstock.caching._tiered_bulk import Bulk
from penstock.caching._tiered_flight import Flight, Part, running
from penstock.caching._tiered_options import Failure, check_key, check_loader
from penstock.caching._tiered_patience import Patience
from penstock.caching._tiered_pending import pending, raising
from penstock.caching._tiered_work import Work
from penstock.errors import RecursiveLoad

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable

    from penstock._backend import Entry
    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_fills import Fills
    from penstock.caching._tiered_flight import Waiter
    from penstock.caching._tiered_options import Options
    from penstock.caching._tiered_reads import Reads
    from penstock.stores import Record

__all__ = ["Loads"]

logger = logging.getLogger("penstock.caching")

#: Loads that may run at once behind values that are served.
_MOST_REFRESHES: Final = 100


class Loads:
    """
    Finds or loads what is not in the first tier.

    Args:
        core: That of the cache.
        reads: Where it is looked for before it is loaded.
        fills: Where it goes then.
    """

    __slots__ = ("_core", "_local", "_patience", "_reads", "_refreshing", "_work", "flights")

    def __init__(self, core: Core, reads: Reads, fills: Fills) -> None:
        self._core = core
        self._local = core.local
        self._reads = reads
        self._patience = Patience(core, self._stop)
        self._work = Work(core, fills, self._patience, self)
        #: The loads that others can join.
        self.flights: dict[str, Flight] = {}
        self._refreshing: set[Flight] = set()
        reads.tell(self.found, self._missed)
        core.bound.append(self._begin_anew)
        core.local.opened.append(self._oldest)

    @property
    def loading(self) -> int:
        """How many loads run that can be joined."""
        return sum(flight.loading for flight in self.flights.values())

    def ask(
        self, key: str, loader: Callable[[str], Any], entry: Entry | None, given: dict[str, Any]
    ) -> Awaitable[Any]:
        """
        Return an awaitable of the value of *key*.

        Args:
            key: Its key.
            loader: What loads it; or a `Bulk`.
            entry: What the first tier has of it, if it has anything.
            given: Options of the call.
        """
        core = self._core
        state = None
        if entry is not None:
            state = self._local.state(entry, core.timer())
            if state == "fresh" or state == "refresh":
                return self._serve(key, loader, entry, state == "refresh", given)
            core.counts.unserved += 1
        check_key(key)
        check_loader(loader)
        options = core.options.changed(given) if given else core.options
        loop = core.join()
        flight = self.flights.get(key)
        is_new = flight is None or not self._joinable(flight)
        if flight is None or is_new:
            flight = self._make(key, loader, options)
        future = self._wait(flight, loader, options, loop)
        if state == "stale" and entry is not None:
            flight.offer(entry.note.record)
        if is_new:
            self._launch(flight)
        else:
            core.counts.coalesced += 1
        return future

    def reload(
        self, key: str, loader: Callable[[str], Any], given: dict[str, Any]
    ) -> Awaitable[Any]:
        """
        Load *key* whatever there is; what an older load of it finds is not kept.

        Args:
            key: Its key.
            loader: What loads it.
            given: Options of the call.
        """
        core = self._core
        check_key(key)
        check_loader(loader)
        options = core.options.changed(given)
        loop = core.join()
        older = self.flights.get(key)
        flight = self._make(key, loader, options)
        if older is not None:
            older.superseded = True
        flight.reload = True
        flight.bases = []
        future = self._wait(flight, loader, options, loop)
        self._start(flight)
        return future

    def _serve(
        self,
        key: str,
        loader: Callable[[str], Any],
        entry: Entry,
        is_due: bool,
        given: dict[str, Any],
    ) -> Awaitable[Any]:
        """Give what the first tier has."""
        value = entry.value
        if type(value) is Failure:
            self._core.counts.negative_hits += 1
            self._core.counts.unserved += 1
            return raising(copied(value.error))
        if is_due:
            options = self._core.options
            try:
                if given:
                    options = options.changed(given)
                self._refresh(key, loader, entry.note.record, options)
            except Exception:  # what makes the tags, for example: the value is there all the same
                logger.exception("%r is not loaded anew", key)
        return Ready(value)

    def _refresh(
        self,
        key: str,
        loader: Callable[[str], Any],
        record: Record,
        options: Options,
        origin: Flight | None = None,
    ) -> None:
        """Load *key* in the background, unless somebody is at it or too many are."""
        if _get_running_loop() is None or len(self._refreshing) >= _MOST_REFRESHES:
            return
        core = self._core
        flight = self.flights.get(key)
        if flight is not None and self._joinable(flight):
            return
        try:
            core.join()
            flight = self._make(
                key, loader.one if isinstance(loader, Bulk) else loader, options, origin
            )
        except RuntimeError:  # another loop, closed, or part of its own load
            return
        flight.background = True
        flight.shown = record
        flight.bases = []
        self._refreshing.add(flight)
        core.counts.refreshes += 1
        self._start(flight)

    def _joinable(self, flight: Flight) -> bool:
        """Whether its value is still what somebody may get who asks now."""
        if flight.ended or flight.superseded:
            return False
        return self._local.valid(flight.key, flight.options.tags, flight.token)

    def _make(
        self,
        key: str,
        loader: Callable[[str], Any],
        options: Options,
        origin: Flight | None = None,
    ) -> Flight:
        """Return a new load, in the place of another one or not, that has not begun."""
        if origin is not None and origin.context is not None:
            context, parent = origin.context, origin.parent
        else:
            context, parent = copy_context(), running()
        if parent is not None and parent.loads(self._core, key):
            raise RecursiveLoad(f"key {key!r} is already being loaded by this task")
        flight = Flight(self._core, key, loader, options, self._local.seq, context, parent)
        if isinstance(loader, Bulk):
            loader.add(flight)
        self.flights[key] = flight
        return flight

    def _wait(
        self,
        flight: Flight,
        loader: Callable[[str], Any],
        options: Options,
        loop: AbstractEventLoop,
    ) -> Future[Any]:
        """Return a future of what comes of a load."""
        me = running()
        if me is not None and flight.waits_on(me):
            raise RecursiveLoad(f"loading key {flight.key!r} would wait for itself")
        future = pending(loop)
        if me is not None:
            me.wait_for(flight)
            future.add_done_callback(lambda _: me.wait_no_more(flight))
        self._add(flight, (future, options, loader, self._local.seq))
        return future

    def _add(self, flight: Flight, waiter: Waiter) -> None:
        flight.waiters.append(waiter)
        if flight.loading:
            self._patience.attend(flight, waiter)

    def _launch(self, flight: Flight) -> None:
        """Look for it in the tiers, then load it."""
        if self._core.tiers:
            self._reads.add(flight)
        else:
            self._missed(flight, [], None)

    def found(self, flight: Flight, record: Record) -> None:
        """Give everybody what a tier has."""
        self.leave(flight)
        core, options, context = self._core, flight.options, flight.context
        self.send_on(flight, record.tags)
        given = flight.give(record.value)
        core.counts.tier_hits += given
        if flight.bulk is not None:
            flight.bulk.settled(flight, is_missing=False)
        after = options.refresh_after
        if given and after is not None and core.clock() - record.born >= after:
            if self._patience.is_resting(flight.key, record):
                return
            if not self._local.permits(flight.key, record.tags, flight.token):
                return  # invalid since it was read: a newer load must not take it for a fallback
            flight.context = context
            self._refresh(flight.key, flight.loader, record, options, flight)
            flight.context = None

    def _missed(self, flight: Flight, bases: list[int | None], stale: Record | None) -> None:
        """Load what no tier has, if somebody still wants it."""
        flight.bases = bases.copy()  # not those of others
        flight.offer(stale)
        record = self._patience.resting(flight)
        if record is not None:
            self._rest(flight, record)
            return
        is_awaited = flight.is_awaited()
        if not is_awaited:
            self.leave(flight)
            flight.cancel()
        if flight.bulk is not None:
            flight.bulk.settled(flight, is_missing=is_awaited)
        elif is_awaited:
            self._start(flight)

    def _rest(self, flight: Flight, record: Record) -> None:
        """Serve a value past its time once more: the loader has failed just now."""
        self.leave(flight)
        self._core.counts.stale_served += flight.give(record.value)
        if flight.bulk is not None:
            flight.bulk.settled(flight, is_missing=False)

    def _start(self, flight: Flight) -> None:
        """Begin to load a key."""
        flight.loading = True
        # Its own is kept: somebody may have to begin anew.
        assert flight.context is not None
        task = self._core.spawn(self._work.load(flight), flight.context.copy())
        if not flight.ended:
            flight.task = task
            self._patience.begin(flight)
        task.add_done_callback(partial(self._over, flight))

    def start_bulk(self, bulk: Bulk) -> None:
        """Begin to load many keys by one call."""
        for flight in bulk.flights:
            if flight.is_awaited():
                flight.loading = True
            else:
                self.leave(flight)
                flight.cancel()
        bulk.flights = [flight for flight in bulk.flights if flight.loading]
        if not bulk.flights:
            return
        # Of the others it is still wanted if one of them has to ask again.
        context, parent = bulk.flights[0].context, bulk.flights[0].parent
        assert context is not None
        bulk.whole = Part(self._core, {flight.key for flight in bulk.flights}, parent)
        for flight in bulk.flights:
            flight.whole = bulk.whole
        bulk.task = task = self._core.spawn(self._work.load_many(bulk), context.copy())
        task.add_done_callback(partial(self._bulk_over, bulk))
        for flight in bulk.flights:
            if not flight.ended:
                self._patience.begin(flight)

    def send_on(self, flight: Flight, tags: tuple[str, ...]) -> None:
        """
        Let those begin anew for whom the value of a load is too old.

        Its tags are known only now: who joined after one was invalidated must not get it.
        """
        local, key = self._local, flight.key
        if not local.permits(key, tags, flight.token):
            for waiter in flight.split(lambda waiter: not local.permits(key, tags, waiter[3])):
                self.again(flight, waiter)

    def again(self, flight: Flight, waiter: Waiter) -> None:
        """Begin anew for somebody for whom a load has nothing."""
        _, options, loader, _ = waiter
        other = self.flights.get(flight.key)
        if other is not None and other is not flight and self._joinable(other):
            flight.wait_for(other)
            self._add(other, waiter)
            return
        bulk = Bulk(loader.load_many, self.start_bulk) if isinstance(loader, Bulk) else None
        other = self._make(flight.key, bulk or loader, options, flight)
        # Those who wait are known to wait for this one.
        flight.wait_for(other)
        other.waiters.append(waiter)
        self._launch(other)
        if bulk is not None:
            bulk.seal()

    def _over(self, flight: Flight, _: object = None) -> None:
        """Let go of a load that has ended, be it before its first step."""
        flight.task = None
        self._refreshing.discard(flight)
        self.leave(flight)
        if not flight.ended:
            flight.cancel()

    def _bulk_over(self, bulk: Bulk, _: object) -> None:
        assert bulk.whole is not None
        bulk.whole.ended = True
        for flight in bulk.flights:
            self._over(flight)

    def close(self) -> None:
        """End what nobody waits for."""
        for flight in list(self.flights.values()):
            if flight.background and not flight.is_awaited():
                self._stop(flight)

    def _stop(self, flight: Flight) -> None:
        """Nobody wants it any more."""
        self.leave(flight)
        if flight.bulk is not None:
            flight.bulk.desert()
        elif flight.task is not None:
            flight.task.cancel()

    def leave(self, flight: Flight) -> None:
        """Let nobody join it any more."""
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]

    def _oldest(self) -> int | None:
        """Return the oldest token of what is being loaded."""
        return min((flight.token for flight in self.flights.values()), default=None)

    def _begin_anew(self, _: object) -> object:
        begun = self.flights, self._refreshing
        self.flights = {}
        self._refreshing = set()
        return begun
