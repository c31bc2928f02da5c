"""Leases: of several processes that miss a key, one loads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from penstock.caching._tiered_fills import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.caching._tier import Tier
    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_flight import Flight
    from penstock.stores import Record

__all__ = ["Lease", "Leases"]

#: Seconds that a wait takes at least that has led to nothing once before: whoever is told too early
#: would ask again and again. They are doubled with each.
_PAUSE: Final = 0.01
#: Seconds as exactly as Redis tells when a lease ends.
_EXACT: Final = 0.001


class Lease(NamedTuple):
    """The right to load a key, and where it is from."""

    tier: Tier
    key: str
    token: int

    async def release(self) -> None:
        """Let the others look for what was loaded."""
        await self.tier.release(self.key, self.token)


class Leases:
    """
    Asks the deepest store that has leases for those of keys.

    Args:
        core: That of the cache.
    """

    __slots__ = ("_core", "_index")

    def __init__(self, core: Core) -> None:
        self._core = core
        indices = [index for index, tier in enumerate(core.tiers) if tier.leasing]
        self._index = indices[-1] if indices else -1

    def wanted(self, flight: Flight) -> bool:
        """Whether to ask for one: not a store that does not answer."""
        index, bases = self._index, flight.bases
        if index < 0 or flight.options.lease is None or flight.reload:
            return False
        return index < len(bases) and bases[index] is not None

    async def take(self, flight: Flight) -> tuple[Lease | None, Record | None]:
        """
        Wait until nobody else loads the key, for as long as a lease lasts at most.

        What another one loads is waited for once: if he gives his lease back and has stored
        nothing, there may be nothing to be had, and to be told so one by one would take long.

        Args:
            flight: A load that is about to begin.

        Returns:
            The lease, None if there is none to be had; or what somebody else has loaded.
        """
        core, key = self._core, flight.key
        tier = core.tiers[self._index]
        seconds = flight.options.lease or 0.0
        until = core.timer() + seconds
        waits = 0
        # Between when the lease ends of whoever has it; whether he may have given it back.
        earliest = latest = 0.0
        is_back = False
        while True:
            asked = core.timer()
            grant = await tier.acquire(key, seconds)
            if grant.token:
                lease = Lease(tier, key, grant.token)
                try:
                    # Between our reading and now somebody may have had it, and have given it back.
                    record = await self._look(flight)
                except BaseException:
                    core.spawn(lease.release())
                    raise
                if record is not None:
                    core.spawn(lease.release())
                    return None, record
                flight.bases[self._index] = grant.token
                return lease, None
            first, last = asked + grant.wait, core.timer() + grant.wait + _EXACT
            if is_back and (first > latest or last < earliest):  # it is that of another one
                return None, None
            earliest, latest = first, last
            wait = min(grant.wait, until - core.timer())
            if wait <= 0.0:
                return None, None
            core.counts.leases_waited += not waits
            began = core.timer()
            await tier.released(key, wait)
            is_back = core.timer() < earliest
            record = await self._look(flight)
            if record is not None:
                return None, record
            if waits:
                least = min(wait, _PAUSE * 2.0 ** min(waits, 20))
                await asyncio.sleep(began + least - core.timer())
            waits += 1

    async def fill(self, lease: Lease, record: Record, bases: Sequence[int | None]) -> None:
        """Store what was loaded under a lease; forget it if it is that of another one by now."""
        core, tier, refused = self._core, lease.tier, lease.tier.refused
        await fill(core, [(lease.key, record)], bases)
        if tier.refused != refused:
            reading = await core.look(self._index, lease.key)
            there = None if reading is None else reading.records[0]
            if there is not None and there.version > lease.token:
                core.local.drop([lease.key])

    async def _look(self, flight: Flight) -> Record | None:
        """Return what there is by now, if it is good enough."""
        reading = await self._core.look(self._index, flight.key)
        record = None if reading is None else reading.records[0]
        if record is None:
            return None
        if record.remaining(self._core.clock()) <= 0.0:
            flight.offer(record)
            return None
        return record if flight.is_newer(record) else None
