"""Observations in buckets, and percentiles of the last while."""

import time
from bisect import bisect_left
from collections.abc import Callable
from time import monotonic_ns

from penstock._pure.convert import Seconds, duration_ns, read_timer, to_ns, type_name
from penstock._pure.metrics.amounts import Exemplar, Number, copy_exemplar, make_exemplar, to_float
from penstock._pure.metrics.family import Cell, Family, Shared
from penstock._pure.metrics.lock import LOCK
from penstock._pure.metrics.timer import Timer
from penstock._pure.metrics.window import STEPS, Totals, Window

__all__ = ["Histogram"]


class HistogramCell(Cell):
    """The numbers of one histogram."""

    __slots__ = ("bounds", "counts", "created", "exemplars", "step", "sum", "window")

    def __init__(self, bounds: tuple[float, ...], step: int) -> None:
        self.bounds = bounds
        self.step = step
        self.counts = [0] * len(bounds)
        self.exemplars: list[Exemplar | None] = [None] * len(bounds)
        self.sum = 0.0
        self.created = time.time()
        #: There from the first observation on.
        self.window: Window | None = None

    def add(self, amount: float, now: int, exemplar: Exemplar | None) -> None:
        """Count an observation, which is no NaN."""
        bucket = bisect_left(self.bounds, amount)
        window = self.window or Window(self.step, now)
        with LOCK:
            if self.window is None:
                self.window = window
            self.counts[bucket] += 1
            self.sum += amount
            if exemplar is not None:
                self.exemplars[bucket] = exemplar
            self.window.record(amount, now)


class HistogramShared(Shared[HistogramCell]):
    """What a histogram and its children have in common."""

    __slots__ = ("bounds", "step", "timer", "window")

    bounds: tuple[float, ...]
    #: The longest window and a twelfth of it, in nanoseconds.
    window: int
    step: int
    timer: Callable[[], float] | None

    def new_cell(self) -> HistogramCell:
        return HistogramCell(self.bounds, self.step)

    def now(self) -> int:
        """Read the clock; it may run the caller's code."""
        return monotonic_ns() if self.timer is None else read_timer(self.timer)


class Histogram(Family[HistogramShared, HistogramCell]):
    """
    Observations in buckets, and percentiles of the last while.
    """

    __slots__ = ()
    _KIND = "histogram"

    def _init(
        self,
        name: str,
        documentation: str,
        unit: str,
        labelnames: tuple[str, ...],
        max_series: int | None,
        bounds: tuple[float, ...],
        window: float,
        timer: Callable[[], float] | None,
    ) -> None:
        shared = HistogramShared(name, documentation, unit, labelnames, max_series)
        shared.bounds = bounds
        shared.window = max(to_ns(window), 1)
        shared.step = -(-shared.window // STEPS)  # rounded up: twelve steps are the window
        shared.timer = timer
        self._set_up(shared)

    @property
    def _upper_bounds(self) -> list[float]:
        return list(self._ready().bounds)

    def observe(self, amount: Number, exemplar: dict[str, str] | None = None) -> None:
        """
        Count an observation.

        Args:
            amount: Any number; a NaN is not recorded but counted as refused.
            exemplar: Labels that lead from the bucket to an example, at most 128 characters.

        Raises:
            ValueError: The exemplar is not valid.
        """
        cell = self._observable()
        number = to_float(amount)
        if number != number:
            self._ready().tally.count_refusal()
            return
        taken = make_exemplar(exemplar, number) if exemplar else None
        cell.add(number, self._ready().now(), taken)

    def time(self) -> Timer:
        """
        Return a timer that observes the seconds a block or a function took.
        """
        return Timer(self, "observe", self._ready().now)

    def quantile(self, q: float, window: Seconds | None = None) -> float | None:
        """
        Return the *q*-quantile of the last *window* seconds; None without observations.

        Args:
            q: From 0 to 1.
            window: Seconds or a timedelta, at most the constructor's, which is the default.

        Returns:
            By nearest rank, off by at most 1.1 %; exact where all observations are the same.

        Raises:
            TypeError: *q* is no number, or the window no duration.
            ValueError: Either is out of range.
        """
        cell = self._observable()
        if isinstance(q, bool) or not isinstance(q, int | float):
            raise TypeError(f"q must be a number, got {type_name(q)}")
        if not 0 <= q <= 1:
            raise ValueError(f"q must be >= 0 and <= 1, got {q!r}")
        steps = self._steps(window)
        now = self._ready().now()
        with LOCK:
            return None if cell.window is None else cell.window.quantile(q, now, steps)

    def count(self, window: Seconds | None = None) -> int:
        """
        Return how many observations there were in the last *window* seconds.

        Args:
            window: As for `quantile`.
        """
        return self._totals(window).count

    def mean(self, window: Seconds | None = None) -> float | None:
        """
        Return the mean of the last *window* seconds; None without observations.

        Args:
            window: As for `quantile`.
        """
        totals = self._totals(window)
        return totals.sum / totals.count if totals.count else None

    def max(self, window: Seconds | None = None) -> float | None:
        """
        Return the largest observation of the last *window* seconds; None without observations.

        Args:
            window: As for `quantile`.
        """
        totals = self._totals(window)
        return totals.maximum if totals.count else None

    def _read(self) -> tuple[list[int], float, float, list[Exemplar | None]]:
        cell = self._observable()
        with LOCK:
            exemplars = [copy_exemplar(exemplar) for exemplar in cell.exemplars]
            return cell.counts.copy(), cell.sum, cell.created, exemplars

    def _totals(self, window: Seconds | None) -> Totals:
        cell = self._observable()
        steps = self._steps(window)
        now = self._ready().now()
        with LOCK:
            return Totals() if cell.window is None else cell.window.totals(now, steps)

    def _steps(self, window: Seconds | None) -> int:
        """Return how many steps a window covers: as many as fit it, the last one begun counted."""
        if window is None:
            return STEPS
        shared = self._ready()
        wanted = duration_ns(window, "window")
        if wanted > shared.window:
            raise ValueError(
                f"window must be <= {shared.window / 1e9:g} seconds, got {wanted / 1e9:g}"
            )
        return -(-wanted // shared.step)
