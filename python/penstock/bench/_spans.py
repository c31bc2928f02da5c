"""Single calls that are timed one by one, where it is the slowest of them that count."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["in_turn", "quantile"]


def in_turn(names: Iterable[str], times: int) -> Iterator[str]:
    """Yield all names again and again; each time the next one is the first."""
    those = list(names)
    for turn in range(times if those else 0):
        first = turn % len(those)
        yield from those[first:] + those[:first]


def quantile(spans: Sequence[float], share: float) -> float:
    """Return the nearest rank: one of *spans* that so many of them do not exceed."""
    return sorted(spans)[max(0, ceil(share * len(spans)) - 1)]
