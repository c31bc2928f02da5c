"""How the ASGI middleware makes its metrics: unregistered, with options in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from penstock.metrics._classes import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Maker"]

M = TypeVar("M", Counter, Gauge, Histogram)


class Maker:
    """
    Makes metrics, and knows which it has made.

    Args:
        namespace, max_series: As for `Counter`.
        timer: As for `Histogram`.
    """

    __slots__ = ("_options", "_timer", "made")

    def __init__(
        self, namespace: str, max_series: int | None, timer: Callable[[], float] | None
    ) -> None:
        self._options: dict[str, Any] = {
            "namespace": namespace, "registry": None, "max_series": max_series,
        }  # fmt: skip
        self._timer = timer
        self.made: list[Counter | Gauge | Histogram] = []

    def counter(self, name: str, documentation: str, *labelnames: str) -> Counter:
        """Return a counter."""
        return self._keep(Counter(name, documentation, labelnames, **self._options))

    def gauge(self, name: str, documentation: str, *labelnames: str) -> Gauge:
        """Return a gauge."""
        return self._keep(Gauge(name, documentation, labelnames, **self._options))

    def histogram(
        self, name: str, documentation: str, buckets: Sequence[float], *labelnames: str
    ) -> Histogram:
        """Return a histogram with these upper bounds."""
        options = {**self._options, "buckets": buckets, "timer": self._timer}
        return self._keep(Histogram(name, documentation, labelnames, **options))

    def _keep(self, metric: M) -> M:
        self.made.append(metric)
        return metric
