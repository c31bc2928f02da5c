"""What the four classes of metrics share beyond their backend: being collectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from prometheus_client import metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import REGISTRY
from prometheus_client.samples import Exemplar, Sample

from penstock.metrics import _naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from prometheus_client.registry import CollectorRegistry

    from penstock._backend import Family

    _Base = Family
else:
    _Base = object

__all__ = ["MAX_SERIES", "Collected", "View", "created_shown", "to_exemplar"]


MAX_SERIES = 10_000


class Collected(_Base):
    """A family of ours as prometheus_client's registries and exporters see it."""

    __slots__ = ()
    _kind: str
    _reserved_labelnames: tuple[str, ...] = ()

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
        *,
        max_series: int | None = MAX_SERIES,
    ) -> None:
        family = self._names(
            name, documentation, labelnames, namespace, subsystem, unit, _labelvalues, max_series
        )
        cast("Any", self)._init(*family)  # the backend's, whose class comes next
        self._register(registry)

    def _names(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str],
        namespace: str,
        subsystem: str,
        unit: str,
        labelvalues: Sequence[str] | None,
        max_series: int | None,
    ) -> tuple[str, str, str, tuple[str, ...], int | None]:
        """Check what all constructors take and return what the backend is told of it."""
        if labelvalues:
            raise TypeError("_labelvalues is not for callers; use labels()")
        return (
            _naming.full_name(self._kind, name, namespace, subsystem, unit),
            documentation,
            unit or "",
            _naming.check_labelnames(self, labelnames),
            _naming.check_max_series(max_series),
        )

    def _register(self, registry: CollectorRegistry | None) -> None:
        if registry:
            registry.register(self)

    def _is_parent(self) -> bool:
        return bool(self._labelnames) and not self._labelvalues

    def _raise_if_not_observable(self) -> None:
        if self._is_parent():
            raise ValueError(f"{self._type} metric is missing label values")

    def _child_samples(self) -> Iterator[Sample]:
        """Return the samples of one series, names being suffixes, as prometheus_client does."""
        raise NotImplementedError

    def _samples(self) -> Iterator[Sample]:
        if not self._is_parent():
            # Also of a child: what is collected by itself carries no labels.
            yield from self._child_samples()
            return
        for child in self._children():
            labels = dict(zip(self._labelnames, child._labelvalues, strict=True))
            for sample in child._child_samples():
                yield sample._replace(labels={**labels, **sample.labels})

    def _get_metric(self) -> Metric:
        return Metric(self._name, self._documentation, self._type, self._unit)

    def describe(self) -> list[Metric]:
        """Return the family without samples, for a registry."""
        return [self._get_metric()]

    def collect(self) -> list[Metric]:
        """
        Return the family with the samples of all its series.

        Cost: a Python object for each sample; `generate_latest` does without.
        """
        family = self._get_metric()
        for suffix, labels, value, timestamp, exemplar, _ in self._samples():
            family.add_sample(self._name + suffix, labels, value, timestamp, exemplar)
        return [family]

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """
        Remove all series that have these values for these labels.

        Raises:
            TypeError: *labels* is no dict.
            ValueError: There is no such label.

        Cost: O(series).
        """
        if not self._labelnames:
            raise ValueError(f"No label names were set when constructing {self}")
        if not isinstance(labels, dict):
            raise TypeError("labels must be a dict of {label_name: label_value}")
        invalid = [name for name in labels if name not in self._labelnames]
        if invalid:
            raise ValueError(f"Unknown label names: {invalid}; expected {self._labelnames}")
        if labels:
            at = {self._labelnames.index(name): str(value) for name, value in labels.items()}
            self._remove_where(at)

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self._name})"

    @property
    def _metrics(self) -> dict[tuple[str, ...], Self]:
        """The children by their label values: what prometheus_client keeps, and people look at."""
        if not self._is_parent():  # who asks with hasattr() is told what prometheus_client tells
            raise AttributeError(f"{self} has no children")
        return {child._labelvalues: child for child in self._children()}

    def _view(
        self,
        get: Callable[[], float],
        inc: Callable[[float], None] | None = None,
        set: Callable[[float], None] | None = None,  # noqa: A002  # prometheus_client's name
    ) -> View:
        if self._is_parent():
            raise AttributeError(f"{self} has no value but those of its children")
        return View(get, inc, set)


class View:
    """A number of a metric in the shape of prometheus_client's values: ``metric._value.get()``."""

    __slots__ = ("get", "inc", "set")

    def __init__(
        self,
        get: Callable[[], float],
        inc: Callable[[float], None] | None = None,
        set: Callable[[float], None] | None = None,  # noqa: A002  # prometheus_client's name
    ) -> None:
        self.get = get
        self.inc = inc
        self.set = set


def created_shown() -> bool:
    """Whether ``_created`` series are exported: prometheus_client's switch."""
    return bool(metrics._use_created)


def to_exemplar(exemplar: tuple[dict[str, str], float, float] | None) -> Any:
    """Return an exemplar of the backend as prometheus_client's."""
    return exemplar and Exemplar(*exemplar)
