"""What a scraper reads, written by prometheus_client."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penstock._pure.metrics.amounts import Exemplar
from penstock._pure.metrics.counter import Counter
from penstock._pure.metrics.family import Family
from penstock._pure.metrics.gauge import Gauge
from penstock._pure.metrics.histogram import Histogram
from penstock._pure.metrics.summary import Summary

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["encode"]

_EOF = b"# EOF\n"

#: Suffix, labels of its own, value, exemplar.
_Row = tuple[str, dict[str, str], float, Exemplar | None]


def encode(
    families: list[Family[Any, Any]],
    openmetrics: bool,
    created: bool,
    names: frozenset[str] | None,
) -> tuple[bytes, list[tuple[str, Exception]]]:
    """
    Return the text of *families*, and which of them failed with what.

    Args:
        families: Their names and label names need no quoting.
        openmetrics: Format OpenMetrics 1.0 without the final EOF line, instead of text 0.0.4.
        created: Whether ``_created`` samples are written.
        names: If given, only samples of these names; a family without any is left out.

    Returns:
        The text, and (family name, error) of each gauge left out because its function raised.
    """
    # Importing the twin must not import prometheus_client: whoever only caches does without.
    from prometheus_client.exposition import generate_latest
    from prometheus_client.openmetrics import exposition

    metrics: list[Metric] = []
    errors: list[tuple[str, Exception]] = []
    for family in families:
        metric = _metric(family, created, errors)
        shown = metric if names is None else metric._restricted_metric(names)
        if shown is not None:
            metrics.append(shown)
    write = exposition.generate_latest if openmetrics else generate_latest
    text: bytes = write(_Collected(metrics))
    return text.removesuffix(_EOF) if openmetrics else text, errors


class _Collected:
    """What a registry would have collected."""

    __slots__ = ("_metrics",)

    def __init__(self, metrics: "list[Metric]") -> None:
        self._metrics = metrics

    def collect(self) -> "list[Metric]":
        return self._metrics


def _metric(
    family: Family[Any, Any], created: bool, errors: list[tuple[str, Exception]]
) -> "Metric":
    """Return a family with its samples as prometheus_client has them."""
    from prometheus_client import samples
    from prometheus_client.metrics_core import Metric

    name = family._name
    metric = Metric(name, family._documentation, family._type, family._unit)
    is_parent = bool(family._labelnames) and not family._labelvalues
    for series in family._children() if is_parent else [family]:
        labels = (
            dict(zip(series._labelnames, series._labelvalues, strict=True)) if is_parent else {}
        )
        try:
            rows = list(_rows(series))
        except Exception as error:  # whatever a gauge's function raises
            errors.append((name, error))
            continue
        for suffix, own, value, exemplar in rows:
            if suffix != "_created" or created:
                shown = samples.Exemplar(*exemplar) if exemplar else None
                metric.add_sample(name + suffix, labels | own, value, None, shown)
    return metric


def _rows(series: Family[Any, Any]) -> Iterator[_Row]:
    """Return the samples of one series."""
    match series:
        case Counter():
            value, born, exemplar = series._read()
            yield "_total", {}, value, exemplar
            yield "_created", {}, born, None
        case Gauge():
            yield "", {}, series._read(), None
        case Summary():
            count, total, born = series._read()
            yield "_count", {}, count, None
            yield "_sum", {}, total, None
            yield "_created", {}, born, None
        case Histogram():
            yield from _histogram_rows(series)


def _histogram_rows(series: Histogram) -> Iterator[_Row]:
    from prometheus_client.utils import floatToGoString

    counts, total, born, exemplars = series._read()
    running = 0
    for bound, count, exemplar in zip(series._upper_bounds, counts, exemplars, strict=True):
        running += count
        yield "_bucket", {"le": floatToGoString(bound)}, running, exemplar
    yield "_count", {}, running, None
    if series._upper_bounds[0] >= 0:
        yield "_sum", {}, total, None
    yield "_created", {}, born, None
