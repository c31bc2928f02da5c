"""A number that goes up and down."""

from collections.abc import Callable
from time import monotonic_ns

from penstock._pure.metrics.amounts import Number, to_float
from penstock._pure.metrics.family import Cell, Family, Shared
from penstock._pure.metrics.lock import LOCK
from penstock._pure.metrics.timer import Timer

__all__ = ["Gauge"]


class GaugeCell(Cell):
    """The number of one gauge, or what computes it."""

    __slots__ = ("function", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.function: Callable[[], float] | None = None

    def add(self, amount: float) -> None:
        """Add to the number."""
        with LOCK:
            self.value += amount


class GaugeShared(Shared[GaugeCell]):
    """What a gauge and its children have in common."""

    __slots__ = ("most_recent",)

    most_recent: bool

    def new_cell(self) -> GaugeCell:
        return GaugeCell()


class Gauge(Family[GaugeShared, GaugeCell]):
    """
    A number that goes up and down.
    """

    __slots__ = ()
    _KIND = "gauge"

    def _init(
        self,
        name: str,
        documentation: str,
        unit: str,
        labelnames: tuple[str, ...],
        max_series: int | None,
        most_recent: bool,
    ) -> None:
        shared = GaugeShared(name, documentation, unit, labelnames, max_series)
        shared.most_recent = most_recent
        self._set_up(shared)

    def inc(self, amount: Number = 1) -> None:
        """
        Add *amount*.

        Args:
            amount: Any number.

        Raises:
            RuntimeError: The metric's multiprocess mode is one that keeps the most recent value.
        """
        if self._ready().most_recent:
            raise RuntimeError("inc must not be used with the mostrecent mode")
        self._observable().add(to_float(amount))

    def dec(self, amount: Number = 1) -> None:
        """
        Subtract *amount*.

        Args:
            amount: Any number.

        Raises:
            RuntimeError: The metric's multiprocess mode is one that keeps the most recent value.
        """
        if self._ready().most_recent:
            raise RuntimeError("dec must not be used with the mostrecent mode")
        self._observable().add(-to_float(amount))

    def set(self, value: Number | str) -> None:
        """
        Set to *value*.

        Args:
            value: Whatever ``float()`` takes, as prometheus_client.
        """
        cell = self._observable()
        number = float(value)
        with LOCK:
            cell.value = number

    def set_function(self, f: Callable[[], float]) -> None:
        """
        Show what *f* returns, called at each scrape, instead of what was set.

        Args:
            f: Returns a float; may be called from any thread.
        """
        self._observable().function = f

    def time(self) -> Timer:
        """
        Return a timer that sets this gauge to the seconds a block or a function took.
        """
        self._ready()
        return Timer(self, "set", monotonic_ns)

    def _read(self) -> float:
        cell = self._observable()
        return cell.value if cell.function is None else float(cell.function())
