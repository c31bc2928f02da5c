"""A batch size that follows a target latency."""

from __future__ import annotations

from math import ceil

__all__ = ["Adaptive"]

#: Batches between two decisions.
PERIOD = 10
#: How full batches must be on average for their size to be what matters.
FILL = 0.5
#: Growth, at least 1, while there is time left; and what remains of the size when there is not.
GROWTH = 0.1
BACKOFF = 0.9
#: A batch that takes less than this part of the target is not what takes too long: items wait
#: because there are more than can be handled, and smaller batches would make that worse.
SHARE = 0.5


class Adaptive:
    """
    Grows batches while they are done within *target* seconds, and shrinks them when they are not.

    Args:
        target: For the 95th percentile of the time of a batch, plus that of the time for which its
            oldest item has waited.
        most: The largest size, from which it starts.

    Source: AIMD as in Clipper (NSDI 2017), which starts from the smallest size and looks at the
        batch alone.
    """

    __slots__ = ("_fill", "_most", "_runs", "_target", "_waits", "limit")

    def __init__(self, target: float, most: int) -> None:
        self._target = target
        self._most = most
        self.limit = most
        self._runs: list[float] = []
        self._waits: list[float] = []
        self._fill = 0.0

    def record(self, items: int, waited: float, ran: float) -> None:
        """Take note of a batch; every so many of them the limit may change."""
        self._runs.append(ran)
        self._waits.append(waited)
        self._fill += items / self.limit
        if len(self._runs) < PERIOD:
            return
        if self._fill >= FILL * PERIOD:
            ran, waited = _p95(self._runs), _p95(self._waits)
            if ran + waited < self._target or ran < self._target * SHARE:
                self.limit = min(self._most, self.limit + max(1, int(self.limit * GROWTH)))
            else:
                self.limit = max(1, int(self.limit * BACKOFF))
        self._runs.clear()
        self._waits.clear()
        self._fill = 0.0


def _p95(values: list[float]) -> float:
    return sorted(values)[ceil(0.95 * len(values)) - 1]
