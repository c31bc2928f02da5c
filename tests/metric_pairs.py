"""The same done to a metric of prometheus_client's and to one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import prometheus_client

from penstock import metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from prometheus_client.metrics_core import Metric

__all__ = ["KINDS", "LIBRARIES", "Failure", "check_alike", "make", "outcome", "samples", "shape"]

KINDS = ("Counter", "Gauge", "Summary", "Histogram")
LIBRARIES: tuple[ModuleType, ModuleType] = (prometheus_client, metrics)


class Failure(NamedTuple):
    """What a call raised."""

    type: type[BaseException]
    message: str


def outcome(call: Callable[[], object]) -> object:
    """What a call returns or raises."""
    try:
        return call()
    except Exception as error:
        return Failure(type(error), str(error))


def make(library: ModuleType, kind: str, *labelnames: str, **options: Any) -> Any:
    """Make a metric that is registered nowhere unless asked."""
    options = {"name": "name", "documentation": "Help.", "registry": None} | options
    return getattr(library, kind)(labelnames=labelnames, **options)


def samples(collector: Any) -> list[tuple[object, ...]]:
    """Everything a collector has, but for the times at which it was created."""
    families: list[Metric] = list(collector.collect())
    return [
        (family.name, family.documentation, family.type, family.unit, *sample[:4])
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]


def shape(metric: Any) -> list[object]:
    """What a metric tells of itself."""
    (described,) = metric.describe()
    return [
        str(metric),
        metric._type,
        metric._name,
        metric._documentation,
        metric._unit,
        metric._labelnames,
        metric._labelvalues,
        (described.name, described.documentation, described.type, described.unit),
        described.samples,
        samples(metric),
    ]


def check_alike(call: Callable[[ModuleType], object]) -> object:
    """Assert that a call does the same with either library, and return what it did."""
    theirs, ours = (outcome(lambda library=library: call(library)) for library in LIBRARIES)
    assert ours == theirs
    return ours
