"""The calls that a circuit breaker looks at: the last so many, or those of the last while."""

from collections import deque
from typing import Final, TypeAlias

__all__ = ["CountWindow", "Counts", "TimeWindow"]

#: Calls, failures, slow ones.
Counts: TypeAlias = tuple[int, int, int]

#: Parts of a window of time, each of which is forgotten at once.
_BUCKETS: Final = 10


class CountWindow:
    """The results of the last calls."""

    __slots__ = ("_failures", "_results", "_size", "_slow")

    def __init__(self, size: int) -> None:
        self._size: Final = max(size, 1)
        self._results: Final[deque[tuple[bool, bool]]] = deque()
        self._failures = 0
        self._slow = 0

    def record(self, now: int, *, failed: bool, slow: bool) -> None:
        """Add a call."""
        self._results.append((failed, slow))
        self._failures += failed
        self._slow += slow
        while len(self._results) > self._size:
            failed, slow = self._results.popleft()
            self._failures -= failed
            self._slow -= slow

    def totals(self, now: int) -> Counts:
        """Count them."""
        return len(self._results), self._failures, self._slow


class Bucket:
    """The calls of a tenth of a window of time."""

    __slots__ = ("calls", "failures", "number", "slow")

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.calls = 0
        self.failures = 0
        self.slow = 0


class TimeWindow:
    """The results of the calls of the last while, give or take a tenth."""

    __slots__ = ("_buckets", "_length")

    def __init__(self, length: int) -> None:
        self._length: Final = max(length // _BUCKETS, 1)
        #: A ring, by the number of the bucket.
        self._buckets: Final = [Bucket(0) for _ in range(_BUCKETS)]

    def record(self, now: int, *, failed: bool, slow: bool) -> None:
        """Add a call that ended now."""
        number = now // self._length
        at = number % _BUCKETS
        fresh = Bucket(number)
        # Commit: no call in here.
        if self._buckets[at].number != number:
            self._buckets[at] = fresh
        bucket = self._buckets[at]
        bucket.calls += 1
        bucket.failures += failed
        bucket.slow += slow

    def totals(self, now: int) -> Counts:
        """Count them."""
        number = now // self._length
        live = [bucket for bucket in self._buckets if bucket.number + _BUCKETS > number]
        return (
            sum([bucket.calls for bucket in live]),
            sum([bucket.failures for bucket in live]),
            sum([bucket.slow for bucket in live]),
        )
