"""`Counter`, `Gauge`, `Summary`, `Histogram`: prometheus_client's constructors over the backend."""

from __future__ import annotations

import time
from math import inf, isnan
from typing import TYPE_CHECKING, ClassVar, cast

from prometheus_client import metrics
from prometheus_client.registry import REGISTRY
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from penstock import _backend
from penstock.metrics._decorators import ExceptionCounter, InprogressTracker, decorate_timed
from penstock.metrics._family import MAX_SERIES, Collected, View, created_shown, to_exemplar
from penstock.metrics._naming import exemplar_pairs

if TYPE_CHECKING:
    from abc import ABCMeta
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import timedelta

    from prometheus_client.registry import CollectorRegistry

__all__ = ["Counter", "Gauge", "Histogram", "Summary"]


_backend.set_metric_hooks(exemplar_pairs, decorate_timed)


class Counter(Collected, _backend.Counter):
    """
    A number that only grows: requests served, bytes sent.

    Args:
        name: Without or with a trailing ``_total``, which the samples have in any case.
        documentation: One line for whoever reads the page.
        labelnames: Names of the labels; with any, `labels` gives the series to count in.
        namespace, subsystem: Put before the name, joined by ``_``.
        unit: Put behind the name, unless it is there.
        registry: Where to register; None for nowhere.
        max_series: Most children; label values beyond them share one series whose label values are
            all ``__overflow__``. None is unbounded.

    Raises:
        ValueError: A name is not valid, or is taken in the registry.

    Cost: `inc` a few nanoseconds under the GIL, `labels` one look-up; about 200 bytes per series.
    Thread-safe.

    Source: prometheus_client's class; integers are counted apart from fractions, as in
    client_golang.
    """

    __slots__ = ()
    __module__ = "penstock.metrics"
    _kind = "counter"

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounter:
        """Count the exceptions that leave a ``with`` block or a decorated function or coroutine."""
        self._raise_if_not_observable()
        return ExceptionCounter(self, exception)

    def _child_samples(self) -> Iterator[Sample]:
        value, created, exemplar = self._read()
        yield Sample("_total", {}, value, None, to_exemplar(exemplar))
        if created_shown():
            yield Sample("_created", {}, created)

    @property
    def _value(self) -> View:
        def set_(value: float) -> None:
            self.reset()
            self.inc(value)

        return self._view(lambda: self._read()[0], self.inc, set_)


class Gauge(Collected, _backend.Gauge):
    """
    A number that goes up and down: a queue's length, a temperature.

    Args:
        name, documentation, labelnames, namespace, subsystem, unit, registry, max_series: As for
            `Counter`.
        multiprocess_mode: Checked, and ``"mostrecent"`` forbids `inc` and `dec`; otherwise without
            effect.

    Cost: a few nanoseconds under the GIL. Thread-safe.

    Source: prometheus_client's class.
    """

    __slots__ = ()
    __module__ = "penstock.metrics"
    _kind = "gauge"
    _MOST_RECENT = frozenset({"mostrecent", "livemostrecent"})
    _MODES = _MOST_RECENT | {
        "all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum",
    }  # fmt: skip

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        _labelvalues: Sequence[str] | None = None,
        multiprocess_mode: str = "all",
        *,
        max_series: int | None = MAX_SERIES,
    ) -> None:
        if multiprocess_mode not in self._MODES:
            raise ValueError("Invalid multiprocess mode: " + multiprocess_mode)
        family = self._names(
            name, documentation, labelnames, namespace, subsystem, unit, _labelvalues, max_series
        )
        self._init(*family, multiprocess_mode in self._MOST_RECENT)
        self._register(registry)

    def set_to_current_time(self) -> None:
        """Set to the current Unix time in seconds."""
        self.set(time.time())

    def track_inprogress(self) -> InprogressTracker:
        """Count up and down around a ``with`` block or a decorated function or coroutine."""
        self._raise_if_not_observable()
        return InprogressTracker(self)

    def _child_samples(self) -> Iterator[Sample]:
        yield Sample("", {}, self._read())

    @property
    def _value(self) -> View:
        return self._view(self._read, self.inc, self.set)


class Summary(Collected, _backend.Summary):
    """
    The count and the sum of observations.

    Args:
        name, documentation, labelnames, namespace, subsystem, unit, registry, max_series: As for
            `Counter`.

    Cost: a few nanoseconds under the GIL. Thread-safe.

    Source: prometheus_client's class; a NaN is refused and counted instead of poisoning the sum.
    """

    __slots__ = ()
    __module__ = "penstock.metrics"
    _kind = "summary"
    _reserved_labelnames = ("quantile",)

    def _child_samples(self) -> Iterator[Sample]:
        count, total, created = self._read()
        yield Sample("_count", {}, float(count))
        yield Sample("_sum", {}, total)
        if created_shown():
            yield Sample("_created", {}, created)

    @property
    def _count(self) -> View:
        return self._view(lambda: float(self._read()[0]))

    @property
    def _sum(self) -> View:
        return self._view(lambda: self._read()[1])


class Histogram(Collected, _backend.Histogram):
    """
    Observations in buckets for Prometheus, and percentiles of the last minute in process.

    Args:
        name, documentation, labelnames, namespace, subsystem, unit, registry, max_series: As for
            `Counter`.
        buckets: Upper bounds in rising order; +Inf is appended.
        window: Seconds (or a timedelta): the longest window that `quantile`, `count`, `mean` and
            `max` can be asked for. It moves in twelve steps.
        timer: Seconds on a clock of your own, for tests; also read by `time`.

    Cost: `observe` some tens of nanoseconds under the GIL. Each series takes its buckets, and 128
    bytes for each power of two that was observed in each step of the window. Thread-safe.

    Source: prometheus_client's class. The windows hold exponential buckets of schema 5 of
    Prometheus' native histograms: a quantile is off by at most 1.1 %.
    """

    __slots__ = ()
    __module__ = "penstock.metrics"
    _kind = "histogram"
    _reserved_labelnames = ("le",)
    DEFAULT_BUCKETS: ClassVar[tuple[float, ...]] = (
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf,
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        _labelvalues: Sequence[str] | None = None,
        buckets: Sequence[float | str] = DEFAULT_BUCKETS,
        *,
        max_series: int | None = MAX_SERIES,
        window: float | timedelta = 60,
        timer: Callable[[], float] | None = None,
    ) -> None:
        bounds = _bounds(buckets)
        if timer is not None and not callable(timer):
            raise TypeError(f"timer must be callable, got {type(timer).__name__}")
        family = self._names(
            name, documentation, labelnames, namespace, subsystem, unit, _labelvalues, max_series
        )
        self._init(*family, bounds, _backend.duration("window", window), timer)
        self._register(registry)

    def _child_samples(self) -> Iterator[Sample]:
        counts, total, created, exemplars = self._read()
        running = 0
        for bound, count, exemplar in zip(self._upper_bounds, counts, exemplars, strict=True):
            running += count
            labels = {"le": floatToGoString(bound)}
            yield Sample("_bucket", labels, float(running), None, to_exemplar(exemplar))
        yield Sample("_count", {}, float(running))
        if self._upper_bounds[0] >= 0:
            yield Sample("_sum", {}, total)
        if created_shown():
            yield Sample("_created", {}, created)

    @property
    def _sum(self) -> View:
        return self._view(lambda: self._read()[1])

    @property
    def _buckets(self) -> list[View]:
        def view(at: int) -> View:
            return self._view(lambda: float(self._read()[0][at]))

        return [view(at) for at in range(len(self._upper_bounds))]


def _bounds(buckets: Sequence[float | str]) -> tuple[float, ...]:
    """Return upper bounds as floats with +Inf at the end, checked."""
    bounds = [float(bound) for bound in buckets]
    if bounds != sorted(bounds) or any(map(isnan, bounds)):
        raise ValueError("Buckets not in sorted order")
    if bounds and bounds[-1] != inf:
        bounds.append(inf)
    if len(bounds) < 2:
        raise ValueError("Must have at least two buckets")
    return tuple(bounds)


# Whoever asks isinstance(metric, prometheus_client.Counter) means what it can do.
for _class in (Counter, Gauge, Summary, Histogram):
    cast("ABCMeta", getattr(metrics, _class.__name__)).register(_class)
