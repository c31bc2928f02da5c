"""Observations of the last while: a ring of slots, each a sparse exponential histogram."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from math import ceil, frexp, inf, isinf, ldexp
from typing import Final, NamedTuple

__all__ = ["STEPS", "Bucket", "Totals", "Window", "bucket_of"]

#: Slots of the longest window.
STEPS: Final = 12
#: Buckets of one power of two: schema 5 of Prometheus' native histograms.
_BUCKETS: Final = 32
#: Most powers of two, both signs together, that one slot tells apart.
_OCTAVES: Final = 64
#: Magnitudes up to this count as zero.
_ZERO: Final = 2.0**-128
#: The bounds of the buckets of one power of two.
_BOUNDS: Final = tuple([2.0 ** (at / _BUCKETS) for at in range(_BUCKETS + 1)])
#: Makes the keys of octaves positive for positive numbers, whatever their exponent.
_KEY_OF_ONE: Final = 2000


class Bucket(NamedTuple):
    """
    Where a finite number that is not zero goes.

    *octave* is the exponent of the lower bound plus 2000, negated for negative numbers: octaves are
    in the order of the numbers in them. *part* is the bucket within, by magnitude.
    """

    octave: int
    part: int

    def rank(self) -> tuple[int, int]:
        """Return what sorts buckets as the numbers in them."""
        return self.octave, self.part if self.octave > 0 else -self.part

    def estimate(self) -> float:
        """
        Return the harmonic middle of the bounds.

        It is off by at most (g - 1) / (g + 1) = 1.08 % from any number in the bucket, where g is
        the ratio of the bounds.
        """
        low, high = _BOUNDS[self.part], _BOUNDS[self.part + 1]
        middle = 2.0 * low * high / (low + high)
        size = ldexp(middle, abs(self.octave) - _KEY_OF_ONE)
        return size if self.octave > 0 else -size


def bucket_of(value: float) -> Bucket:
    """Return the bucket of a finite number that is not zero; upper bounds belong to theirs."""
    fraction, exponent = frexp(abs(value))
    # frexp gives [0.5, 1), the bounds are those of (1, 2].
    part = bisect_left(_BOUNDS, 2.0 * fraction) - 1
    key = exponent - 1 + _KEY_OF_ONE
    if part < 0:  # a power of two
        part, key = _BUCKETS - 1, key - 1
    return Bucket(key if value > 0 else -key, part)


class Totals:
    """Count, sum and extremes of some observations."""

    __slots__ = ("count", "maximum", "minimum", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.minimum = inf
        self.maximum = -inf

    def add(self, count: int, total: float, minimum: float, maximum: float) -> None:
        """Add observations."""
        self.count += count
        self.sum += total
        if minimum < self.minimum:
            self.minimum = minimum
        if maximum > self.maximum:
            self.maximum = maximum


class Slot:
    """The observations of one step of time."""

    __slots__ = ("buckets", "infinite", "number", "octaves", "totals", "zeros")

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.totals: Final = Totals()
        self.zeros = 0
        self.infinite: Final = {-inf: 0, inf: 0}
        self.buckets: Final[defaultdict[Bucket, int]] = defaultdict(int)
        self.octaves: Final[set[int]] = set()

    def record(self, value: float) -> None:
        """Count an observation."""
        self.totals.add(1, value, value, value)
        if abs(value) <= _ZERO:
            self.zeros += 1
        elif isinf(value):
            self.infinite[value] += 1
        else:
            self.buckets[self._admit(bucket_of(value))] += 1

    def _admit(self, bucket: Bucket) -> Bucket:
        """Return the bucket, or once there are too many octaves the nearest in one there is."""
        wanted = bucket.octave
        if wanted in self.octaves or len(self.octaves) < _OCTAVES:
            self.octaves.add(wanted)
            return bucket
        # Of two that are equally near the lower.
        nearest = min(self.octaves, key=lambda octave: (abs(octave - wanted), octave))
        # The largest numbers of a positive octave and the smallest of a negative one are last.
        last = (nearest < wanted) == (nearest > 0)
        return Bucket(nearest, _BUCKETS - 1 if last else 0)


class Window:
    """
    A sliding window that moves in steps, aligned to its first observation.

    Args:
        step: Nanoseconds.
        origin: The time of the first observation.
    """

    __slots__ = ("_current", "_origin", "_slots", "_step")

    def __init__(self, step: int, origin: int) -> None:
        self._step: Final = step
        self._origin: Final = origin
        self._current = 0
        self._slots: list[Slot] = []

    def record(self, value: float, now: int) -> None:
        """Count an observation, which is no NaN."""
        self._advance(now)
        self._slot().record(value)

    def totals(self, now: int, steps: int) -> Totals:
        """Return count, sum and extremes of the last *steps* steps."""
        self._advance(now)
        totals = Totals()
        for slot in self._last(steps):
            own = slot.totals
            totals.add(own.count, own.sum, own.minimum, own.maximum)
        return totals

    def quantile(self, q: float, now: int, steps: int) -> float | None:
        """Return an estimate of the nearest-rank quantile of the last *steps* steps."""
        totals = self.totals(now, steps)
        if not totals.count:
            return None
        rank = min(max(ceil(q * totals.count), 1), totals.count)
        estimate = _ranked(self._last(steps), rank)
        return min(max(estimate, totals.minimum), totals.maximum)

    def _advance(self, now: int) -> None:
        """Move on; a clock that went back stands still."""
        number = (now - self._origin) // self._step
        if number > self._current:
            self._current = number

    def _slot(self) -> Slot:
        """Return the slot of the current step."""
        while True:
            slots = self._slots
            if slots and slots[-1].number == self._current:
                return slots[-1]
            longer = [*self._last(STEPS), Slot(self._current)]
            # Unless a finalizer or a signal handler was faster.
            if self._slots is slots:
                self._slots = longer

    def _last(self, steps: int) -> list[Slot]:
        return [slot for slot in self._slots if slot.number > self._current - steps]


def _ranked(slots: Iterable[Slot], rank: int) -> float:
    """Return what stands for the observation of this rank, counted from the smallest."""
    counts: dict[float, int] = {-inf: 0, 0.0: 0, inf: 0}
    buckets: defaultdict[Bucket, int] = defaultdict(int)
    for slot in slots:
        counts[0.0] += slot.zeros
        for value, count in slot.infinite.items():
            counts[value] += count
        # A copy: a finalizer or a signal handler may observe meanwhile.
        for bucket, count in slot.buckets.copy().items():
            buckets[bucket] += count
    rows = [(bucket.estimate(), count) for bucket, count in buckets.items()]
    # Estimates are in the order of their buckets.
    for estimate, count in sorted([*rows, *counts.items()]):
        rank -= count
        if rank <= 0:
            return estimate
    return inf  # not reached: the counts add up
