"""How long to wait before the next attempt."""

from __future__ import annotations

from math import ldexp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.flow._retry_options import Rng

__all__ = ["ceiling", "full_jitter"]

#: Doublings after which any base has passed any cap; a float bears that many.
_MOST_DOUBLINGS = 128


def ceiling(base: float, cap: float, number: int) -> float:
    """Return the longest delay after attempt *number*, which is counted from 1."""
    return min(cap, ldexp(base, min(number - 1, _MOST_DOUBLINGS)))


def full_jitter(base: float, cap: float, number: int, rng: Rng) -> float:
    """
    Draw the delay after attempt *number* evenly from 0 to its ceiling.

    Source: "full jitter" of Brooker, Exponential Backoff And Jitter (AWS, 2015): of the variants
        there it needs the fewest calls until all have come through.
    """
    return rng.random() * ceiling(base, cap, number)
