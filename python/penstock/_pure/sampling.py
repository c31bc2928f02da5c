"""Latencies of those who held permits, summed up window by window."""

from typing import Final, TypeAlias

from penstock._pure.holders import Holdings

__all__ = ["Sampler", "Summary"]

#: Latencies that are kept of one window, for its percentiles.
_MOST: Final = 4096


#: What one window was like: how many were sampled and how many of them dropped; their median, 90th
#: percentile, mean and minimum in seconds; most permits in use at a time; seconds that it lasted.
Summary: TypeAlias = tuple[int, int, float, float, float, float, int, float]


class Window:
    """What was sampled since the window began; durations in nanoseconds."""

    __slots__ = ("began", "count", "dropped", "latencies", "minimum", "peak", "sum")

    def __init__(self, began: int) -> None:
        self.began: Final = began
        self.latencies: Final[list[int]] = []
        self.count = 0
        self.dropped = 0
        self.sum = 0
        self.minimum = 2**64 - 1
        self.peak = 0

    def add(self, latency: int, *, dropped: bool) -> None:
        """Count a latency."""
        self.count += 1
        self.dropped += dropped
        self.sum += latency
        if latency < self.minimum:
            self.minimum = latency
        if self.count <= _MOST:
            self.latencies.append(latency)

    def sum_up(self, length: int) -> Summary:
        """Return its figures."""
        ranked = sorted(self.latencies)

        def nearest_rank(tenths: int) -> float:
            return ranked[-(-len(ranked) * tenths // 10) - 1] / 1e9

        return (
            self.count,
            self.dropped,
            nearest_rank(5),
            nearest_rank(9),
            float(self.sum) / self.count / 1e9,
            self.minimum / 1e9,
            self.peak,
            length / 1e9,
        )


class Sampler:
    """
    Notes when permits are taken and what became of it; it runs under the lock.

    Args:
        interval: Nanoseconds that a window lasts at least.
        samples: How many latencies a window has at least, one or more.
    """

    __slots__ = ("_interval", "_samples", "_starts", "_window")

    def __init__(self, interval: int, samples: int) -> None:
        self._interval: Final = interval
        self._samples: Final = max(samples, 1)
        #: Since when permits are held.
        self._starts: Final[Holdings[int]] = Holdings()
        #: There from the first acquisition after the last window on.
        self._window: Window | None = None

    def begin(self, holder: int, now: int, in_use: int) -> None:
        """Note that somebody holds permits from now on, with which *in_use* are held in all."""
        self._starts.add(holder, now)
        window = Window(now)
        # Commit: no call in here.
        if self._window is None:
            self._window = window
        if in_use > self._window.peak:
            self._window.peak = in_use

    def end(self, holder: int, now: int, outcome: str, in_use: int) -> Summary | None:
        """
        Note that somebody gave back what it took last; the summary of the window if it is over.

        One that took nothing stands for somebody else's permits: what was noted first is forgotten,
        so that no more is noted than is held, of which *in_use* are left.
        """
        summary = self._end(holder, now, outcome)
        # What was taken one by one may be given back together.
        while len(self._starts) > in_use:
            self._starts.take_first()
        return summary

    def _end(self, holder: int, now: int, outcome: str) -> Summary | None:
        start = self._starts.take(holder)
        if start is None:
            self._starts.take_first()
            return None
        window = self._window
        if window is None or outcome == "ignored":
            return None
        window.add(max(now - start, 0), dropped=outcome == "dropped")
        length = max(now - window.began, 0)
        # Commit: no call in here.
        if window.count < self._samples or length < self._interval or self._window is not window:
            return None
        self._window = None
        return window.sum_up(length)
