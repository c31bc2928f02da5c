"""The count and the sum of observations."""

import time
from time import monotonic_ns

from penstock._pure.metrics.amounts import Number, to_float
from penstock._pure.metrics.family import Cell, Family, Shared
from penstock._pure.metrics.lock import LOCK
from penstock._pure.metrics.timer import Timer

__all__ = ["Summary"]


class SummaryCell(Cell):
    """The numbers of one summary."""

    __slots__ = ("count", "created", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.created = time.time()

    def add(self, amount: float) -> None:
        """Count an observation."""
        with LOCK:
            self.count += 1
            self.sum += amount


class SummaryShared(Shared[SummaryCell]):
    """What a summary and its children have in common."""

    __slots__ = ()

    def new_cell(self) -> SummaryCell:
        return SummaryCell()


class Summary(Family[SummaryShared, SummaryCell]):
    """
    The count and the sum of observations.
    """

    __slots__ = ()
    _KIND = "summary"

    def _init(
        self,
        name: str,
        documentation: str,
        unit: str,
        labelnames: tuple[str, ...],
        max_series: int | None,
    ) -> None:
        self._set_up(SummaryShared(name, documentation, unit, labelnames, max_series))

    def observe(self, amount: Number) -> None:
        """
        Count an observation.

        Args:
            amount: Any number; a NaN is not recorded but counted as refused.
        """
        cell = self._observable()
        number = to_float(amount)
        if number != number:
            self._ready().tally.count_refusal()
        else:
            cell.add(number)

    def time(self) -> Timer:
        """
        Return a timer that observes the seconds a block or a function took.
        """
        self._ready()
        return Timer(self, "observe", monotonic_ns)

    def _read(self) -> tuple[int, float, float]:
        cell = self._observable()
        with LOCK:
            return cell.count, cell.sum, cell.created
