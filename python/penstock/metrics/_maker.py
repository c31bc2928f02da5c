"""How the ASGI middleware makes its metrics: unregistered, with options in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.metrics._classes import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Maker"]


class Maker:
    """
    Makes metrics, and knows which it has made.

    Args:
        namespace, max_series: As for `Counter`.
        timer: As for `Histogram`.
    """

    __slots__ = ("_max_series", "_namespace", "_timer", "made")

    def __init__(
        self, namespace: str, max_series: int | None, timer: Callable[[], float] | None
    ) -> None:
        self._namespace = namespace
        self._max_series = max_series
        self._timer = timer
        self.made: list[Counter | Gauge | Histogram] = []

    def counter(self, name: str, documentation: str, *labelnames: str) -> Counter:
        """Return a counter."""
        counter = Counter(
            name,
            documentation,
            labelnames,
            namespace=self._namespace,
            registry=None,
            max_series=self._max_series,
        )
        self.made.append(counter)
        return counter

    def gauge(self, name: str, documentation: str, *labelnames: str) -> Gauge:
        """Return a gauge."""
        gauge = Gauge(
            name,
            documentation,
            labelnames,
            namespace=self._namespace,
            registry=None,
            max_series=self._max_series,
        )
        self.made.append(gauge)
        return gauge

    def histogram(
        self, name: str, documentation: str, buckets: Sequence[float], *labelnames: str
    ) -> Histogram:
        """Return a histogram with these upper bounds."""
        histogram = Histogram(
            name,
            documentation,
            labelnames,
            namespace=self._namespace,
            registry=None,
            buckets=buckets,
            max_series=self._max_series,
            timer=self._timer,
        )
        self.made.append(histogram)
        return histogram
