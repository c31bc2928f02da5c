"""What a cached function of a cache in tiers tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock import _components

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["FunctionStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStats:
    """
    What a function under ``TieredCache.cached`` has done so far, in this process.

    Of the calls that have ended each was exactly one of *hits*, *misses*, *errors* and *bypassed*.

    Args:
        calls: How often it was called.
        hits: Calls that got a result without running the function: from one of the tiers, or from
            the run of another call.
        misses: Calls that ran the function.
        errors: Calls that raised without running it: the run of another call did, or they were
            cancelled.
        bypassed: Calls while it was disabled.
        runs: How often the function ran, refreshes included.
        failures: Of these, how many raised or were cancelled.
        run_seconds: How long those took that did not.
    """

    calls: int = 0
    hits: int = 0
    misses: int = 0
    errors: int = 0
    bypassed: int = 0
    runs: int = 0
    failures: int = 0
    run_seconds: float = 0.0

    @property
    def hit_ratio(self) -> float:
        """
        Hits among hits and misses, 0.0 before the first.
        """
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    @property
    def saved_seconds(self) -> float:
        """
        What the hits would have taken, at the mean of the runs.
        """
        good = self.runs - self.failures
        return self.hits * self.run_seconds / good if good > 0 else 0.0


_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("calls", "counter", "Calls of the function."),
    ("hits", "counter", "Calls that got a result without running the function."),
    ("misses", "counter", "Calls that ran the function."),
    ("errors", "counter", "Calls that raised without running the function."),
    ("bypassed", "counter", "Calls while caching was disabled."),
    ("runs", "counter", "Runs of the function, refreshes included."),
    ("failures", "counter", "Runs of the function that raised or were cancelled."),
    ("run_seconds", "counter", "Time of the runs that did not raise."),
    ("saved_seconds", "gauge", "What the hits would have taken, at the mean of the runs."),
)

_components.describe("cached_function", FunctionStats, _FIELDS)
