"""Pages of metrics: what is counted by us encoded by the backend, the rest by prometheus_client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import DOTS, UNDERSCORES
from prometheus_client.registry import REGISTRY, CollectorRegistry, RestrictedRegistry

from penstock import _backend
from penstock.metrics import _foreign
from penstock.metrics._classes import Counter
from penstock.metrics._family import Collected, created_shown
from penstock.metrics._negotiation import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.registry import Collector

    from penstock._backend import Family
    from penstock.metrics._negotiation import Format

__all__ = ["ERRORS", "generate_latest", "render"]

#: What a page says of itself when something is missing from it.
ERRORS: Final = "penstock_metrics_scrape_errors"

#: Where methods are defined that the backend's encoder stands in for.
_OURS: Final = {Collected._samples.__module__, Counter._child_samples.__module__}

_log = logging.getLogger("penstock.metrics")


def generate_latest(registry: Collector = REGISTRY, escaping: str = UNDERSCORES) -> bytes:
    """
    Return all metrics of a registry in Prometheus' text format.

    Args:
        registry: A registry, a restricted one, or anything with ``collect()``.
        escaping: What becomes of names beyond ``[a-zA-Z0-9_:]``: ``underscores``, ``dots``,
            ``values`` or ``allow-utf-8``.

    Returns:
        The page in UTF-8. What cannot be collected or encoded is left out, is logged as a warning,
        and makes a sample of ``penstock_metrics_scrape_errors``.

    Cost: a fraction of a microsecond per sample of our own classes, without the GIL; several
    microseconds for others. Thread-safe.
    """
    return render(registry, PLAIN._replace(escaping=escaping))


def render(registry: Collector, form: Format, names: frozenset[str] | None = None) -> bytes:
    """
    Return a page.

    Args:
        registry: As for `generate_latest`.
        form: The format.
        names: The samples to show; None shows all.
    """
    collectors, names = _collectors(registry, names)
    page = _Page(form, names)
    for collector in collectors:
        page.add(collector)
    return page.text()


def _collectors(
    registry: Collector, names: frozenset[str] | None
) -> tuple[Iterable[Collector], frozenset[str] | None]:
    """
    Return what to collect from, and the names to keep.

    No lock of a registry is taken: to copy a dict is one step, and a process forked while the lock
    is held here could never scrape again.
    """
    restrict = getattr(registry, "restricted_registry", None)
    if names is not None and restrict is not None:
        registry = restrict(names)
    if isinstance(registry, RestrictedRegistry) and _collects_like(registry, RestrictedRegistry):
        own, registry = frozenset(registry._name_set), registry._registry
        names = own if names is None else own & names
        producers = [registry._names_to_collectors.get(name) for name in names]
        producers += getattr(registry, "_collectors_without_names", [])  # since 0.25
        wanted = {id(producer) for producer in producers}
        collectors = [each for each in list(registry._collector_to_names) if id(each) in wanted]
    elif isinstance(registry, CollectorRegistry) and _collects_like(registry, CollectorRegistry):
        collectors = list(registry._collector_to_names)
    else:
        return [registry], names
    target = [_TargetInfo(registry)] if registry._target_info else []
    return [*target, *collectors], names


def _collects_like(collector: Collector, kind: type[Collector]) -> bool:
    """Whether an instance of a class collects as the class does, not in a way of its own."""
    return getattr(collector.collect, "__func__", None) is kind.collect


def _is_collected_by_us(kind: type) -> bool:
    """Whether a class, which may be a user's, overrides nothing of what makes samples."""
    makers = ("_samples", "_child_samples", "_get_metric")
    return all(getattr(kind, name).__module__ in _OURS for name in makers)


class _TargetInfo:
    """The labels of a registry as a collector."""

    __slots__ = ("_registry",)

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        return [self._registry._target_info_metric()]


class _Page:
    """Families in their order, each name once, and what went wrong with any."""

    __slots__ = ("_errors", "_families", "_form", "_names")

    def __init__(self, form: Format, names: frozenset[str] | None) -> None:
        self._form = form
        self._names = names
        self._families: dict[str, Collected | Metric] = {}
        self._errors: dict[str, int] = {}

    def add(self, collector: Collector) -> None:
        """Take in what a collector has."""
        if not isinstance(collector, Collected):
            self._collect(collector, _name_of(collector))
            return
        name = collector._name
        if name not in self._families and self._is_native(collector):
            self._families[name] = collector
        else:
            self._collect(collector, name)

    def text(self) -> bytes:
        """Encode everything."""
        parts: list[bytes] = []
        run: list[Family] = []
        for name, family in self._families.items():
            if isinstance(family, Metric):
                parts += self._encode_run(run)
                run = []
                parts += self._encode_metric(family, name)
            else:
                run.append(family)
        parts += self._encode_run(run)
        if self._errors:
            parts.append(_foreign.encode(self._report(), self._form))
        if self._form.openmetrics:
            parts.append(_foreign.EOF)
        return b"".join(parts)

    def _is_native(self, family: Collected) -> bool:
        """Whether the backend writes the family as its own collect() would have it written."""
        return (
            self._form.escaping != DOTS  # which changes plain names too
            # prometheus_client writes a_b for the samples of a:b then, and dashboards expect it.
            and not (self._form.openmetrics and ":" in family._name)
            and _foreign.plain(family._name, family._labelnames)
            and _collects_like(family, Collected)  # an instance may have a collect() of its own
            and _is_collected_by_us(type(family))
        )

    def _collect(self, collector: Collector, source: str) -> None:
        """Take in families one by one: those that came before an error stay."""
        try:
            for metric in collector.collect():
                try:
                    error = self._put(metric)
                except Exception as problem:  # it may be no metric at all
                    error = problem
                if error is not None:
                    self._fail(source, error)
        except Exception as error:
            self._fail(source, error)

    def _put(self, metric: Metric) -> Exception | None:
        family, error = _foreign.checked(metric, self._form, self._names)
        if family is None:
            return error
        there = self._families.setdefault(family.name, family)
        if there is family:
            return error
        if isinstance(there, Collected):
            # Others have samples of a family that we count, and a family is one group of lines.
            (header,) = there.describe()
            self._families[family.name] = header
            self._collect(there, there._name)
            there = header
        return _foreign.merge(there, family) or error

    def _encode_run(self, families: list[Family]) -> Iterator[bytes]:
        """Encode families of ours at once; one by one if that is too much for one of them."""
        if not families:
            return
        try:
            text, errors = _backend.encode(
                families, self._form.openmetrics, created_shown(), self._names
            )
        except Exception as error:
            if len(families) == 1:
                self._fail(families[0]._name, error)
                return
            for family in families:
                yield from self._encode_run([family])
        else:
            for name, problem in errors:
                self._fail(name, problem)
            yield text

    def _encode_metric(self, metric: Metric, source: str) -> Iterator[bytes]:
        try:
            yield _foreign.encode(metric, self._form)
        except Exception as error:  # whatever `checked` did not think of
            self._fail(source, error)

    def _fail(self, source: str, error: Exception) -> None:
        self._errors[source] = self._errors.get(source, 0) + 1
        _log.warning("%s: left out of a scrape, in part or whole", source, exc_info=error)

    def _report(self) -> Metric:
        family = GaugeMetricFamily(
            ERRORS, "What is missing from this page because it failed.", labels=["collector"]
        )
        for source, count in self._errors.items():
            family.add_metric([source], count)
        return family


def _name_of(collector: object) -> str:
    kind = collector if isinstance(collector, type) else type(collector)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name.encode("utf-8", "replace").decode()
