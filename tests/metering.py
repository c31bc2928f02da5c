"""Metrics made straight from a backend, below the layer that names and registers them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from tests.clock import Clock

from penstock.metrics._decorators import decorate_timed
from penstock.metrics._naming import exemplar_pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["KINDS", "Odd", "init", "make", "set_hooks", "use"]

KINDS = ["Counter", "Gauge", "Summary", "Histogram"]

#: Arguments that only one kind takes, by the end of its ``_init``.
BOUNDS = (1.0, 2.0, inf)


def set_hooks(backend: ModuleType) -> None:
    """Give a backend the hooks that the package gives the one that it uses."""
    backend.set_metric_hooks(exemplar_pairs, decorate_timed)


def init(
    metric: Any,
    kind: str,
    *labelnames: str,
    name: str = "name",
    documentation: str = "Help.",
    unit: str = "",
    max_series: int | None = None,
    most_recent: bool = False,
    bounds: tuple[float, ...] = BOUNDS,
    window: float = 60.0,
    timer: Callable[[], float] | None = None,
) -> Any:
    """Initialise a metric; a histogram stands still unless it gets a timer."""
    own: tuple[object, ...] = ()
    if kind == "Gauge":
        own = (most_recent,)
    elif kind == "Histogram":
        own = (bounds, window, timer or Clock())
    metric._init(name, documentation, unit, labelnames, max_series, *own)
    return metric


def make(backend: ModuleType, kind: str, *labelnames: str, **options: Any) -> Any:
    """Make a metric of a backend."""
    set_hooks(backend)
    return init(getattr(backend, kind)(), kind, *labelnames, **options)


def use(metric: Any, amount: Any = 1) -> None:
    """Count or observe an amount."""
    (metric.observe if hasattr(metric, "observe") else metric.inc)(amount)


class Odd:
    """Something with a text of its own."""

    def __init__(self, text: Callable[[], str]) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text()
