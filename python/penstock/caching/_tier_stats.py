"""What a tier of a cache tells of its store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["TIER_FIELDS", "Counts", "TierStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStats:
    """
    What a tier of a `TieredCache` has done so far, at one moment.

    Args:
        name: That of the store.
        state: That of the circuit breaker: ``"closed"``, ``"open"`` or ``"half_open"``.
        reads: Calls that asked for any number of keys.
        hits: Keys that were there.
        misses: Keys that were not, or must not be served before what the store missed is replayed.
        hidden: Of these, those that were there.
        sets: Keys that callers set.
        fills: Keys that were stored after a load or a read of the tier behind.
        deletes: Keys that callers deleted.
        invalidations: Tags and patterns that callers invalidated.
        errors: Calls that failed, those that timed out included.
        timeouts: Calls that had no answer in time.
        refused: Calls that were not made because the circuit breaker was open.
        opened: How often it opened.
        pending: Changes that the store has missed, and that wait for it to answer again.
        queued: Changes that it missed, up to now.
        replayed: Those that it got later.
        overflows: How often there were too many, so that the store is to forget everything instead.
        undecodable: Values that could not be read, and count as misses.
        read_seconds: Time spent in reads.
        write_seconds: Time spent in all that changes the store.
        last_error: What went wrong last, or "".
    """

    name: str = ""
    state: str = "closed"
    reads: int = 0
    hits: int = 0
    misses: int = 0
    hidden: int = 0
    sets: int = 0
    fills: int = 0
    deletes: int = 0
    invalidations: int = 0
    errors: int = 0
    timeouts: int = 0
    refused: int = 0
    opened: int = 0
    pending: int = 0
    queued: int = 0
    replayed: int = 0
    overflows: int = 0
    undecodable: int = 0
    read_seconds: float = 0.0
    write_seconds: float = 0.0
    last_error: str = ""

    @property
    def hit_ratio(self) -> float:
        """
        Hits among all keys that were asked for, 0.0 before the first.
        """
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    # As numbers that may be summed: tiers of the same name are shown as one.

    @property
    def open(self) -> int:
        """
        1 while the circuit breaker is open, otherwise 0.
        """
        return int(self.state == "open")

    @property
    def half_open(self) -> int:
        """
        1 while it is half open, otherwise 0.
        """
        return int(self.state == "half_open")


class Counts:
    """What a tier counts itself."""

    __slots__ = (
        "deletes",
        "errors",
        "fills",
        "hidden",
        "hits",
        "invalidations",
        "last_error",
        "misses",
        "read_seconds",
        "reads",
        "sets",
        "timeouts",
        "write_seconds",
    )

    def __init__(self) -> None:
        self.reads = self.hits = self.misses = self.hidden = 0
        self.sets = self.fills = self.deletes = self.invalidations = 0
        self.errors = self.timeouts = 0
        self.read_seconds = self.write_seconds = 0.0
        self.last_error = ""


TIER_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("reads", "counter", "Calls that asked the store for any number of keys."),
    ("hits", "counter", "Keys that were there."),
    ("misses", "counter", "Keys that were not, or must not be served yet."),
    ("hidden", "counter", "Keys not served before what the store missed is replayed."),
    ("sets", "counter", "Keys that callers set."),
    ("fills", "counter", "Keys stored after a load, or a read of the tier behind."),
    ("deletes", "counter", "Keys that callers deleted."),
    ("invalidations", "counter", "Tags and patterns that callers invalidated."),
    ("errors", "counter", "Calls that failed or timed out."),
    ("timeouts", "counter", "Calls without an answer in time."),
    ("refused", "counter", "Calls not made because the circuit breaker was open."),
    ("opened", "counter", "How often the circuit breaker opened."),
    ("open", "gauge", "Circuit breakers that are open."),
    ("half_open", "gauge", "Circuit breakers that are half open."),
    ("pending", "gauge", "Changes that the store has missed and not got yet."),
    ("queued", "counter", "Changes that the store has missed."),
    ("replayed", "counter", "Changes that it missed, and got later."),
    ("overflows", "counter", "Times when it missed so many that it forgets everything."),
    ("undecodable", "counter", "Values that could not be read."),
    ("read_seconds", "counter", "Time spent in reads."),
    ("write_seconds", "counter", "Time spent in all that changes the store."),
)
