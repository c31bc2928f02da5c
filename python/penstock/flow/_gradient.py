"""A limit that follows the ratio of the latency without load to that of now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.flow._checks import check_int, check_number
from penstock.flow._policies import (
    INTERVAL,
    SAMPLES,
    check_range,
    check_window,
    is_overloaded,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from penstock.flow._policies import Window

__all__ = ["Gradient", "gradient"]

#: Permits added at once to a limit that proved too low: enough to notice, few enough to bear.
_ALLOWANCE: Final = 4

#: Windows to the next look where there may be overload, and where nothing spoke for it; each time
#: that nothing does, it is twice as many.
_SOON: Final = 3
_LATER: Final = 10

#: Windows that a look takes: one alone may be off by a third.
_LOOK: Final = 5

#: Where half the limit brings the latency down to this share, the rest of it was overload.
_SHORTER: Final = 0.55


#: Over how many windows the latency of now is averaged, to compare it with that of a look.
_RECENT: Final = 10


class _Look:
    """The latency under half the limit: what it is without load, or nearer to that at least."""

    __slots__ = ("_count", "_settled", "_sum", "before", "limit")

    def __init__(self, limit: int, before: float) -> None:
        self.limit: Final = limit
        #: The latency under the whole limit.
        self.before: Final = before
        self._settled = 0.0
        self._count = 0
        self._sum = 0.0

    def add(self, window: Window) -> float | None:
        """Note one more window; the latency once enough was seen."""
        if window.peak > self.limit:  # what was let in before has not drained yet
            self._settled = 0.0
            return None
        # Calls that end in a window began in it or before: not, please, before the load went down.
        if self._settled + window.seconds / 2 >= window.p50:
            self._count += 1
            self._sum += window.p50
        self._settled += window.seconds
        return None if self._count < _LOOK else self._sum / _LOOK


class Gradient:
    """Follows the gradient of the latency; see `gradient`."""

    __slots__ = (
        "_distance", "_exact", "_look", "_looked_at", "_min_limit", "_recent", "_smoothing",
        "_tolerance", "_until_look", "_windows", "initial", "long", "long_window", "max_limit",
        "short", "window",
    )  # fmt: skip

    def __init__(
        self,
        *,
        initial: int = 10,
        min_limit: int = 1,
        max_limit: int = 1000,
        smoothing: float = 0.2,
        tolerance: float = 1.4,
        long_window: int = 600,
        interval: float | timedelta = INTERVAL,
        samples: int = SAMPLES,
    ) -> None:
        first, low, high = check_range(initial, min_limit, max_limit)
        self.initial: Final = first
        self._min_limit: Final = low
        self.max_limit: Final = high
        self._smoothing: Final = check_number("smoothing", smoothing)
        if not 0 < self._smoothing <= 1:
            raise ValueError(f"smoothing must be > 0 and <= 1, got {smoothing!r}")
        self._tolerance: Final = check_number("tolerance", tolerance)
        if not 1 <= self._tolerance < 2:
            # From 2 on half the limit may be overload as well: no look would find out.
            raise ValueError(f"tolerance must be >= 1 and < 2, got {tolerance!r}")
        self.long_window: Final = check_int("long_window", long_window, _LATER)
        self.window: Final = check_window(interval, samples)
        #: The latency of the last window.
        self.short: float | None = None
        #: The latency without load, as far as it is known.
        self.long: float | None = None
        self._exact = float(first)
        #: The latency of the last windows since a look.
        self._recent = 0.0
        self._look: _Look | None = None
        self._looked_at = self._exact
        self._windows = 0
        self._until_look = _SOON
        self._distance = _LATER

    def update(self, window: Window, limit: int) -> int:
        """
        Follow the gradient, or look what the latency is without load.
        """
        if self._look is not None:
            latency = self._look.add(window)
            if latency is None:
                return self._look.limit
            self._end_look(self._look, latency)
            return int(self._exact)
        # The median: a slow call or two are not overload.
        self.short = short = window.p50
        if int(self._exact) != limit:  # somebody else has set it
            self._exact = float(limit)
        long = self._learn(short)
        # Only what was used has been tried: a limit that does not bind says nothing about itself.
        if window.peak * 2 < limit:
            return limit
        self._follow(window, long / short if long and short else 1.0)
        self._windows += 1
        self._recent += (short - self._recent) / min(self._windows, _RECENT)
        if not self._is_look_due():
            return int(self._exact)
        self._look = _Look(max(self._min_limit, int(self._exact / 2)), self._recent)
        return self._look.limit

    def _learn(self, short: float) -> float:
        """Return the latency without load."""
        long = self.long
        if long is None:
            long = short
        elif long > 2 * short:
            # The service became much faster: too high a hope for it would let the limit run away
            # until the next look. Chance alone does not halve a median.
            long *= 0.95
        self.long = long
        return long

    def _follow(self, window: Window, ratio: float) -> None:
        """Move towards the limit that the latencies ask for."""
        # At most by half: beyond that the ratio says that there is overload, not how much.
        gradient = max(0.5, min(1.0, self._tolerance * ratio))
        if is_overloaded(window):
            gradient = max(0.5, min(gradient, 1.0 - window.dropped / window.count))
        # Never while there is overload: an allowance would outweigh a gradient just below 1.
        allowance = _ALLOWANCE if gradient == 1.0 else 0
        aim = self._exact * gradient + allowance
        # Only part of the way: one window is but a sample.
        exact = self._exact + (aim - self._exact) * self._smoothing
        self._exact = min(float(self.max_limit), max(float(self._min_limit), exact))

    def _is_look_due(self) -> bool:
        if self._windows >= _LATER and self._exact < self._looked_at / 2:
            # So much lower, and there still is overload: is it the load, or is the service slow?
            self._until_look, self._distance = _SOON, _LATER
        return self._windows >= self._until_look

    def _end_look(self, look: _Look, latency: float) -> None:
        if latency < look.before * _SHORTER:
            # Half the limit serves as many, each in half the time: there is overload, and whatever
            # is known of the latency may have been learnt in it.
            self._exact = float(look.limit)
            self._until_look = _SOON
        else:
            # The surer, the rarer.
            self._until_look = self._distance
            self._distance = min(self.long_window, self._distance * 2)
        self._look = None
        self.long = latency
        self._looked_at = self._exact
        self._windows = 0

    def __repr__(self) -> str:
        return f"gradient(min_limit={self._min_limit}, max_limit={self.max_limit})"


def gradient(
    *,
    initial: int = 10,
    min_limit: int = 1,
    max_limit: int = 1000,
    smoothing: float = 0.2,
    tolerance: float = 1.4,
    long_window: int = 600,
    interval: float | timedelta = INTERVAL,
    samples: int = SAMPLES,
) -> Gradient:
    """
    Allow as many at once as make calls no slower than *tolerance* times what they take unloaded.

    After each window the limit moves towards ``limit * gradient``, where the gradient is
    ``tolerance * long / short`` between 0.5 and 1, *short* the median of the window, and *long* the
    latency without load. When the gradient is 1 the limit grows by a little less than one; it stays
    when fewer than half of it were in use. What *long* is can only be seen without load: now and
    then the limit is halved for five windows, and stays so where that serves as many.

    Args:
        initial: The limit to begin with.
        min_limit: The lowest limit.
        max_limit: The highest limit.
        smoothing: How far it moves at a time, above 0 to 1.
        tolerance: By how much load may slow calls down, from 1 to below 2.
        long_window: Windows from one look to the next at most, at least 10. The first look is after
            10 windows, and after the limit has halved; each one after that is twice as far away.
        interval: Seconds (or a timedelta) that a window takes at least.
        samples: Calls that it has at least.

    Returns:
        A policy for one `Limiter`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: a window is sorted once, after it; otherwise one reading of the clock on entry and exit.
        Looks take 1 to 2 % of the throughput.

    Source: Gradient2 of Netflix's concurrency-limits. There *long* is a moving average, which
        follows *short* into overload, so that the limit climbs for ever; here it is looked at under
        a reduced limit, as Envoy's gradient controller does for its minRTT.
    """
    return Gradient(
        initial=initial,
        min_limit=min_limit,
        max_limit=max_limit,
        smoothing=smoothing,
        tolerance=tolerance,
        long_window=long_window,
        interval=interval,
        samples=samples,
    )
