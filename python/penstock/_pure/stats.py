"""Statistics of a cache."""

from dataclasses import dataclass

__all__ = ["CacheStats", "Counters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """
    What a cache has done so far, at one moment.

    Args:
        hits: Reads that found a live entry.
        misses: Reads that did not.
        loads: Loads that returned a value.
        load_failures: Loads that raised.
        load_seconds: Time spent in both.
        evictions: Entries that left to make room.
        expirations: Entries that left because their time was up.
        size: Live entries now.
        weight: The sum of their weights; the size when there is no weigher.
        maxsize: The limit, None if there is none.
    """

    __module__ = "penstock"

    hits: int = 0
    misses: int = 0
    loads: int = 0
    load_failures: int = 0
    load_seconds: float = 0.0
    evictions: int = 0
    expirations: int = 0
    size: int = 0
    weight: int = 0
    maxsize: int | None = None

    @property
    def hit_ratio(self) -> float:
        """
        The share of reads that were hits.

        Returns:
            hits / (hits + misses), and 0.0 before the first read.
        """
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


class Counters:
    """What a cache counts; changed under its lock only."""

    __slots__ = (
        "evictions",
        "expirations",
        "hits",
        "load_failures",
        "load_ns",
        "loads",
        "misses",
    )

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.loads = 0
        self.load_failures = 0
        self.load_ns = 0
        self.evictions = 0
        self.expirations = 0

    def snapshot(self, size: int, weight: int, maxsize: int | None) -> CacheStats:
        """Freeze the figures."""
        return CacheStats(
            hits=self.hits,
            misses=self.misses,
            loads=self.loads,
            load_failures=self.load_failures,
            load_seconds=self.load_ns / 1e9,
            evictions=self.evictions,
            expirations=self.expirations,
            size=size,
            weight=weight,
            maxsize=maxsize,
        )
