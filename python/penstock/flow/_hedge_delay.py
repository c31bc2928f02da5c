"""How long `hedge` waits for an answer before it asks again."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import TYPE_CHECKING, Final

from penstock import _backend

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Delay", "FixedDelay", "ObservedDelay"]

_QUANTILE: Final = 0.95

#: How many calls are looked back at, and how many there must have been.
_WINDOW: Final = 100
_LEAST: Final = 20

#: Calls after which the quantile is taken again: sorting at each would cost more than the rest.
_STEP: Final = 10

#: Below this there is nothing to gain.
_SHORTEST: Final = 0.001


class FixedDelay:
    """The one that was given."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float | timedelta) -> None:
        self.seconds: float | None = _backend.duration("delay", seconds)

    def observe(self, seconds: float) -> None:
        """Note how long a call took."""


class ObservedDelay:
    """
    The 95th percentile of how long calls took, so that one in twenty is made again.

    A call that was cancelled because another one won counts with the time it had until then: it was
    slower than most, which is all that a percentile asks. Without it, the delay would sink to that
    of the fastest calls.
    """

    __slots__ = ("_fresh", "_seen", "seconds")

    def __init__(self) -> None:
        #: None until there were enough calls.
        self.seconds: float | None = None
        self._seen: deque[float] = deque(maxlen=_WINDOW)
        self._fresh = 0

    def observe(self, seconds: float) -> None:
        """Note how long a call took."""
        self._seen.append(seconds)
        self._fresh += 1
        if self._fresh >= (_LEAST if self.seconds is None else _STEP):
            self._fresh = 0
            ranked = sorted(self._seen)
            self.seconds = max(_SHORTEST, ranked[ceil(_QUANTILE * len(ranked)) - 1])


Delay = FixedDelay | ObservedDelay
