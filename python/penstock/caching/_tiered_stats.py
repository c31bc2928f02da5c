"""What a cache in tiers counts, and what it and metrics tell of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._backend import CacheStats
    from penstock._components import FieldType
    from penstock.caching._tier_stats import TierStats

__all__ = ["TIERED_CACHE_FIELDS", "Counts", "TieredStats", "snapshot"]

_COUNTED: Final = (
    "coalesced", "deletes", "hard_timeouts", "invalidations", "leases_waited", "load_failures",
    "load_seconds", "loads", "lost", "messages", "misses", "negative_hits", "refreshes", "revoked",
    "sets", "soft_timeouts", "stale_served", "tier_hits", "unserved",
)  # fmt: skip


class Counts:
    """The counters of a cache; changed in the thread of its event loop."""

    __slots__ = _COUNTED

    def __init__(self) -> None:
        self.coalesced = self.deletes = self.hard_timeouts = self.invalidations = 0
        self.leases_waited = self.load_failures = self.loads = self.lost = self.messages = 0
        self.misses = self.negative_hits = self.refreshes = self.revoked = self.sets = 0
        self.soft_timeouts = self.stale_served = self.tier_hits = 0
        #: Entries that were found in the first tier and could not be served.
        self.unserved = 0
        self.load_seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredStats:
    """
    What a `TieredCache` has done so far.

    Args:
        l1: The first tier, in memory.
        tiers: The stores behind it, nearest first.
        hits: Values that were found, in whatever tier.
        l1_hits: Those that were found in the first one.
        misses: Reads that found none, and loads that had to be made or waited for.
        loads: Loads that returned a value.
        load_failures: Loads that raised.
        load_seconds: Time spent in loads, failed ones included.
        loading: Loads that run.
        refreshes: Loads that began in the background while the old value was served.
        coalesced: Calls that joined a load of somebody else's.
        stale_served: Calls that got a value past its time, because loading failed or took long.
        soft_timeouts: Calls that got one because loading took longer than *soft_timeout*.
        hard_timeouts: Calls for which loading took longer than *hard_timeout*.
        negative_hits: Calls that were told a cached error.
        leases_waited: Loads that waited for one in another process.
        sets: Values that were set.
        deletes: Keys that were deleted.
        invalidations: Invalidations by tag, prefix and pattern, and by ``clear()``.
        revoked: Loads whose value was not kept, because it was invalidated meanwhile.
        writing: Writes that are not in all stores yet.
        messages: What other processes told of their writes.
        lost: How often the connection was lost, or made anew, over which they do.
    """

    l1: CacheStats
    tiers: tuple[TierStats, ...] = ()
    hits: int = 0
    l1_hits: int = 0
    misses: int = 0
    loads: int = 0
    load_failures: int = 0
    load_seconds: float = 0.0
    loading: int = 0
    refreshes: int = 0
    coalesced: int = 0
    stale_served: int = 0
    soft_timeouts: int = 0
    hard_timeouts: int = 0
    negative_hits: int = 0
    leases_waited: int = 0
    sets: int = 0
    deletes: int = 0
    invalidations: int = 0
    revoked: int = 0
    writing: int = 0
    messages: int = 0
    lost: int = 0

    @property
    def hit_ratio(self) -> float:
        """
        Share of hits among all reads; 0.0 before the first one.
        """
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


def snapshot(
    counts: Counts, l1: CacheStats, tiers: tuple[TierStats, ...], loading: int, writing: int
) -> TieredStats:
    """Return the figures of now."""
    l1_hits = max(0, l1.hits - counts.unserved)
    own = {name: getattr(counts, name) for name in _COUNTED}
    del own["tier_hits"], own["unserved"]
    return TieredStats(
        l1=l1,
        tiers=tiers,
        hits=l1_hits + counts.tier_hits,
        l1_hits=l1_hits,
        loading=loading,
        writing=writing,
        **own,
    )


TIERED_CACHE_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("hits", "counter", "Values that were found, in whatever tier."),
    ("l1_hits", "counter", "Values that were found in memory."),
    ("misses", "counter", "Reads that found no value."),
    ("loads", "counter", "Loads that returned a value."),
    ("load_failures", "counter", "Loads that raised."),
    ("load_seconds", "counter", "Time spent in loads, failed ones included."),
    ("loading", "gauge", "Loads that run."),
    ("refreshes", "counter", "Loads that began while the old value was served."),
    ("coalesced", "counter", "Calls that joined a load of somebody else's."),
    ("stale_served", "counter", "Calls that got a value past its time."),
    ("soft_timeouts", "counter", "Calls that got one because loading took long."),
    ("hard_timeouts", "counter", "Calls for which loading took too long."),
    ("negative_hits", "counter", "Calls that were told a cached error."),
    ("leases_waited", "counter", "Loads that waited for one in another process."),
    ("sets", "counter", "Values that were set."),
    ("deletes", "counter", "Keys that were deleted."),
    ("invalidations", "counter", "Invalidations by tag, prefix and pattern, and of everything."),
    ("revoked", "counter", "Loads whose value was invalidated before it was there."),
    ("writing", "gauge", "Writes that are not in all stores yet."),
    ("messages", "counter", "What other processes told of their writes."),
    ("lost", "counter", "How often the connection was lost, or made anew, over which they do."),
)
