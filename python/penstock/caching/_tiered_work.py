"""What the task of a load does: it asks the loader, and hands out what comes."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

from penstock._copies import copied
from penstock.caching._loaded import Loaded
from penstock.caching._tiered_bulk import ABSENT, Bulk
from penstock.caching._tiered_fills import fill
from penstock.caching._tiered_flight import current
from penstock.caching._tiered_lease import Leases
from penstock.caching._tiered_options import Failure
from penstock.flow import _deadline
from penstock.stores._store import Record

if TYPE_CHECKING:
    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_fills import Fills
    from penstock.caching._tiered_flight import Flight
    from penstock.caching._tiered_loads import Loads
    from penstock.caching._tiered_patience import Patience

__all__ = ["Work"]

logger = logging.getLogger("penstock.caching")


class Work:
    """
    Loads keys.

    Args:
        core: That of the cache.
        fills: Where values go.
        patience: Who knows what may be served if there is no value.
        loads: Those that it makes.
    """

    __slots__ = ("_core", "_fills", "_leases", "_loads", "_patience")

    def __init__(self, core: Core, fills: Fills, patience: Patience, loads: Loads) -> None:
        self._core = core
        self._fills = fills
        self._patience = patience
        self._loads = loads
        self._leases = Leases(core)

    async def load(self, flight: Flight) -> None:
        """Load a key; this is the task of its load, in a context of its own."""
        current.set(flight)
        # It is not theirs alone who have a deadline.
        _deadline._ambient.set(None)
        lease = None
        try:
            if (flight.reload or flight.shown is not None) and await self._look(flight):
                return
            if self._leases.wanted(flight):
                lease, record = await self._leases.take(flight)
                if record is not None:
                    self.found(flight, record)
                    return
            kept = await self._call(flight)
            if kept is None:
                return
            if lease is None:
                self._fills.put(flight.key, kept, flight.bases)
            else:
                await self._leases.fill(lease, kept, flight.bases)
        except CancelledError:  # whoever it was: here is the end of it
            self._patience.put_off(flight)
            self._loads.leave(flight)
            flight.cancel(self._core.why())
            raise
        finally:
            if lease is not None and not self._core.is_lost():
                self._core.spawn(lease.release())

    async def _look(self, flight: Flight) -> bool:
        """Ask the tiers for their clocks; whether one has what another process loaded."""
        core = self._core
        for index in range(len(core.tiers)):
            reading = await core.look(index, flight.key)
            record = None if reading is None else reading.records[0]
            is_fresh = record is not None and record.remaining(core.clock()) > 0.0
            if record is not None and is_fresh and flight.is_newer(record):
                self.found(flight, record)
                await fill(core, [(flight.key, record)], flight.bases)
                return True
            flight.bases.append(None if reading is None else reading.base)
        return False

    def found(self, flight: Flight, record: Record) -> None:
        """Give everybody what somebody else has loaded."""
        self._core.keep(flight.key, record, flight.token, flight.options)
        self._loads.found(flight, record)

    async def _call(self, flight: Flight) -> Record | None:
        """Ask the loader; return what is to be kept in the stores."""
        core = self._core
        begin = core.timer()
        try:
            value: Any = flight.loader(flight.key)
            if hasattr(type(value), "__await__"):
                value = await value
            value, record = self.kept(flight, value)
        except Exception as error:
            self.failed(flight, error, core.timer() - begin)
            return None
        except (CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # the end of the program
            self._loads.leave(flight)
            flight.fail(error)
            raise
        return self.loaded(flight, value, record, core.timer() - begin)

    async def load_many(self, bulk: Bulk) -> None:
        """Load many keys by one call."""
        current.set(bulk.whole)
        _deadline._ambient.set(None)
        flights, core = bulk.flights, self._core
        keys = [flight.key for flight in flights]
        begin = core.timer()
        try:
            found: Any = bulk.load_many(keys.copy())
            if hasattr(type(found), "__await__"):
                found = await found
            values = bulk.values(keys, found)
        except CancelledError:
            for flight in flights:
                self._loads.leave(flight)
                flight.cancel(core.why())
            raise
        except Exception as error:
            seconds = core.timer() - begin
            for number, flight in enumerate(flights):
                own = copied(error) if number else error
                assert isinstance(own, Exception)
                self.failed(flight, own, 0.0 if number else seconds)
            return
        finally:
            if bulk.whole is not None:
                bulk.whole.ended = True
        seconds = (core.timer() - begin) / len(flights)
        for flight, value in zip(flights, values, strict=True):
            self._hand_out(flight, value, seconds)

    def _hand_out(self, flight: Flight, value: object, seconds: float) -> None:
        """Give everybody what a bulk has for a key."""
        if value is ABSENT:
            self._loads.leave(flight)
            # Others have loaders of their own, which nobody has asked.
            for waiter in flight.split(lambda waiter: type(waiter[2]) is Bulk):
                self._loads.again(flight, waiter)
            flight.give(ABSENT)
            return
        try:
            value, record = self.kept(flight, value)
        except Exception as error:
            self.failed(flight, error, seconds)
            return
        record = self.loaded(flight, value, record, seconds)
        if record is not None:
            self._fills.put(flight.key, record, flight.bases)

    def kept(self, flight: Flight, value: Any) -> tuple[object, Record | None]:
        """Return the value of what a loader has returned, and what is to be kept of it."""
        core, options = self._core, flight.options
        ttl, tags, keep = options.ttl, options.tags, True
        if type(value) is Loaded:
            keep = value.cache
            tags = tags if value.tags is ... else value.tags
            own, value = value.ttl, value.value
        else:
            own = ...
        if own is not ...:
            ttl = own
        elif value is None and options.negative_ttl is not None:
            ttl = options.negative_ttl
        if not keep or (options.cache_if is not None and not _is_wanted(flight, value)):
            return value, None
        record = core.record(value, options)
        if ttl is not options.ttl or tags is not options.tags:
            record = record._replace(ttl=core.shortened(ttl, options), tags=tags)
        return value, record

    def loaded(
        self, flight: Flight, value: object, record: Record | None, seconds: float
    ) -> Record | None:
        """Hand out a value; return what is to be kept in the stores."""
        core = self._core
        core.counts.loads += 1
        core.counts.load_seconds += seconds
        self._loads.leave(flight)
        if record is not None:
            key, token, tags = flight.key, flight.token, record.tags
            if flight.superseded or not core.local.permits(key, tags, token):
                core.counts.revoked += 1
                record = None
            else:
                early = seconds * flight.options.early_refresh
                core.keep(key, record, token, flight.options, early)
                self._patience.loaded(key)
            self._loads.send_on(flight, tags)
        else:
            self._patience.put_off(flight)
        flight.give(value)
        return record if core.tiers else None

    def failed(self, flight: Flight, error: Exception, seconds: float) -> None:
        """Tell of an error, or hand out a value past its time."""
        core, options = self._core, flight.options
        core.counts.load_failures += 1
        core.counts.load_seconds += seconds
        self._loads.leave(flight)
        if isinstance(error, options.negative_errors):
            if not self._patience.put_off(flight) and not (flight.superseded or flight.reload):
                self._keep_error(flight, error)
            flight.fail(error)
            return
        record = self._patience.fallback(flight)
        if record is None:
            if not flight.fail(error):
                what = "loading %r, for which nobody waits, failed"
                logger.warning(what, flight.key, exc_info=error)
            return
        self._patience.serve_on(flight, record)
        logger.warning("loading %r failed, its old value is served", flight.key, exc_info=error)
        core.counts.stale_served += flight.give(record.value)

    def _keep_error(self, flight: Flight, error: Exception) -> None:
        """Remember an error in the first tier: it is never served but by a look at it."""
        core, options = self._core, flight.options
        if not core.has_l1 or flight.key in core.writing:
            return
        failure = Failure(_bare(error))
        record = Record(failure, core.clock(), options.negative_ttl, 0.0, options.tags)
        core.local.fill(flight.key, record, flight.token, refresh_after=0.0)


def _is_wanted(flight: Flight, value: object) -> bool:
    """Whether a value is to be kept; it is not, where that cannot be told."""
    cache_if = flight.options.cache_if
    assert cache_if is not None
    try:
        return bool(cache_if(value))
    except Exception:
        logger.exception("cache_if failed for %r, which is not kept", flight.key)
        return False


def _bare(error: Exception) -> Exception:
    """Return a copy that keeps alive nothing of where the error was raised."""
    other = copied(error)
    if other is error:  # there is no copying it: whoever is told of it first has it as it is
        return error
    other.__cause__ = other.__context__ = other.__traceback__ = None
    assert isinstance(other, Exception)
    return other
