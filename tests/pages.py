"""Pages for scrapers: what prometheus_client makes of the figures that a backend tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

__all__ = ["FORMS", "check", "expected", "text_of"]


def samples(metric: Any) -> Iterator[Sample]:
    """The samples of one series; names are suffixes."""
    read = metric._read()
    match metric._type:
        case "counter":
            yield Sample("_total", {}, read[0], None, read[2] and Exemplar(*read[2]))
            yield Sample("_created", {}, read[1])
        case "gauge":
            yield Sample("", {}, read)
        case "summary":
            yield Sample("_count", {}, read[0])
            yield Sample("_sum", {}, read[1])
            yield Sample("_created", {}, read[2])
        case "histogram":
            counts, total, created, exemplars = read
            running = 0
            for bound, count, found in zip(metric._upper_bounds, counts, exemplars, strict=True):
                running += count
                labels = {"le": floatToGoString(bound)}
                yield Sample("_bucket", labels, running, None, found and Exemplar(*found))
            yield Sample("_count", {}, running)
            if metric._upper_bounds[0] >= 0:
                yield Sample("_sum", {}, total)
            yield Sample("_created", {}, created)


def collected(metric: Any, created: bool) -> Metric:
    """A family with all its samples."""
    family = Metric(metric._name, metric._documentation, metric._type, metric._unit)
    for series in metric._children() if metric._labelnames else [metric]:
        labels = dict(zip(metric._labelnames, series._labelvalues, strict=True))
        for sample in samples(series):
            if created or sample.name != "_created":
                family.add_sample(
                    metric._name + sample.name,
                    {**labels, **sample.labels},
                    sample.value,
                    None,
                    sample.exemplar,
                )
    return family


class Registry:
    """One that has collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def collect(self) -> list[Metric]:
        """Return what there is."""
        return self.metrics


def expected(metrics: Iterable[Metric], names: Iterable[str] | None, in_openmetrics: bool) -> bytes:
    """What prometheus_client writes, but for the last line of OpenMetrics."""
    if names is not None:
        shown = [metric._restricted_metric(set(names)) for metric in metrics]
        metrics = [metric for metric in shown if metric is not None]
    registry: Any = Registry(metrics)
    if in_openmetrics:
        return openmetrics.generate_latest(registry).removesuffix(b"# EOF\n")
    return exposition.generate_latest(registry)


#: In OpenMetrics, with ``_created`` samples.
FORMS = [(False, False), (False, True), (True, False), (True, True)]


def check(backend: ModuleType, *metrics: Any, names: frozenset[str] | None = None) -> None:
    """Compare with prometheus_client in all formats."""
    for in_openmetrics, created in FORMS:
        families = [collected(metric, created) for metric in metrics]
        wanted = expected(families, names, in_openmetrics)
        text, errors = backend.encode(list(metrics), in_openmetrics, created, names)
        assert type(text) is bytes
        assert text.decode() == wanted.decode()
        assert errors == []


def text_of(backend: ModuleType, *metrics: Any, openmetrics: bool = False) -> str:
    """A page without ``_created`` samples."""
    return backend.encode(list(metrics), openmetrics, False, None)[0].decode()
