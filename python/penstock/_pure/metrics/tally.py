"""What families had to refuse or to put elsewhere."""

from collections import defaultdict
from typing import Final
from weakref import ref

from penstock._pure.metrics.lock import LOCK

__all__ = ["Tally", "drops"]


class Tally:
    """Counts of one family; its series share it."""

    __slots__ = ("__weakref__", "name", "overflowed", "refused")

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.overflowed = 0
        self.refused = 0
        _tallies.add(ref(self, _tallies.discard))

    def count_overflow(self) -> None:
        """Count label values that had no series of their own."""
        with LOCK:
            self.overflowed += 1

    def count_refusal(self) -> None:
        """Count a NaN that was not recorded."""
        with LOCK:
            self.refused += 1


_tallies: set[ref[Tally]] = set()


def drops() -> list[tuple[str, int, int]]:
    """
    Return what families refused: label values that overflowed, and NaNs.

    Returns:
        (name, ``labels()`` calls that overflowed, refused NaNs) of the families alive that have
        any, summed by name and sorted by it.
    """
    overflowed: defaultdict[str, int] = defaultdict(int)
    refused: defaultdict[str, int] = defaultdict(int)
    for reference in _tallies.copy():
        tally = reference()
        if tally is not None:
            overflowed[tally.name] += tally.overflowed
            refused[tally.name] += tally.refused
    figures = [(name, overflowed[name], refused[name]) for name in sorted(overflowed)]
    return [entry for entry in figures if entry[1] or entry[2]]
