"""Components among the metrics: their statistics are read when they are scraped, and only then."""

from __future__ import annotations

import logging
import os
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, cast
from weakref import WeakSet

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import REGISTRY

from penstock import _components
from penstock._backend import drops
from penstock._components import track

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

    from penstock._components import Entry, Field, Kind, Tracked

    Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily
    #: A kind, and the name of components of it; None where these have no label.
    Key: TypeAlias = tuple[Kind, str | None]
    #: One for each field of a kind; None is left out.
    Figures: TypeAlias = list[float | None]

__all__ = ["COMPONENT_COLLECTOR", "ComponentCollector", "track"]

logger = logging.getLogger("penstock.metrics")


class _Reading(NamedTuple):
    """What the statistics of one component say."""

    number: int
    key: Key
    figures: Figures


class _Group:
    """
    What the components of one kind and name have counted together.

    The sum must not fall when one of them dies or starts again from zero: Prometheus would take all
    that the others have counted so far for new. So what was last read of it stays in the sum.
    """

    __slots__ = ("base", "last")

    def __init__(self, fields: int) -> None:
        self.base = [0.0] * fields
        #: The figures last read of each, by the number of its entry.
        self.last: dict[int, list[float]] = {}

    def update(self, reading: _Reading, *, is_latest: bool) -> None:
        """Take a reading in; a lower figure is a new start if this is the latest reading."""
        last = self.last.get(reading.number)
        if last is None:
            self.last[reading.number] = [figure or 0.0 for figure in reading.figures]
            return
        for at, figure in enumerate(reading.figures):
            if figure is None or (figure < last[at] and not is_latest):
                continue
            if figure < last[at]:
                self.base[at] += last[at]
            last[at] = figure

    def retire(self, alive: set[int]) -> bool:
        """Keep the counts of components that died; return whether any is left."""
        for number in [number for number in self.last if number not in alive]:
            last = self.last.pop(number)
            self.base = [base + figure for base, figure in zip(self.base, last, strict=True)]
        return bool(self.last)

    def count(self, at: int) -> float:
        """Return the value of a field that is a counter."""
        return self.base[at] + sum(last[at] for last in self.last.values())


class ComponentCollector:
    """
    A collector of the statistics of all named components, for a registry of prometheus_client.

    One of them, ``COMPONENT_COLLECTOR``, is in ``REGISTRY`` from the import of this package on;
    ``REGISTRY.unregister(COMPONENT_COLLECTOR)`` takes it out.

    Args:
        registry: Where to register; None for nowhere.

    Raises:
        ValueError: A name is taken in the registry.

    Cost: nothing between scrapes. A scrape calls ``stats()`` of each component, in its own thread.
    """

    __slots__ = (
        "__weakref__", "_errors", "_failing", "_groups", "_is_busy", "_lock", "_registry",
        "_round", "_taken",
    )  # fmt: skip

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        self._registry = registry
        #: Names of kinds whose families something else in the registry has.
        self._taken: set[str] = set()
        self._groups: dict[Key, _Group] = {}
        self._failing: set[int] = set()
        self._errors: dict[str, int] = {}
        self._round = 0
        # A finalizer may scrape wherever it runs, also in the middle of a scrape.
        self._is_busy = False
        self._lock = RLock()
        if registry is not None:
            registry.register(self)
        _collectors.add(self)

    def describe(self) -> list[Metric]:
        """
        Return the families there can be, without samples: a registry asks for their names.
        """
        of_kinds = [_family(kind, field) for kind in self._kinds() for field in kind.fields]
        return [*of_kinds, *_about_metrics((), ())]

    def collect(self) -> list[Metric]:
        """
        Return the families of all components that live.

        A component whose ``stats()`` raises is left out and counted, and logged when that begins.
        """
        begun = self._round
        failed: list[str] = []
        read = [self._read(entry, failed) for entry in _components.entries()]
        readings = [reading for reading in read if reading is not None]
        refused = drops()
        # Nobody else's code runs under this lock; stats() may have called on_evict of a cache.
        with self._lock:
            nested, self._is_busy = self._is_busy, True
            try:
                if not nested:
                    # Another scrape that got here since this one began may have read later.
                    self._fold(readings, failed, is_latest=self._round == begun)
                figures = self._add_up(readings)
                errors = list(self._errors.items())
            finally:
                self._is_busy = nested
        families = [*self._families(figures), *_about_metrics(errors, refused)]
        return [family for family in families if family.samples]

    def _kinds(self) -> list[Kind]:
        return [kind for kind in _components.kinds() if kind.name not in self._taken]

    def _read(self, entry: Entry, failed: list[str]) -> _Reading | None:
        """Read the statistics of a component; None if it died, or cannot and is put in *failed*."""
        component = cast("Tracked | None", entry())
        if component is None:
            return None
        name = _encodable(entry.name)
        try:
            kind, stats = _components.stats_of(component)
            figures = [_figure(getattr(stats, field.attribute)) for field in kind.fields]
        except Exception:
            failed.append(name)
            if entry.number not in self._failing:
                self._failing.add(entry.number)
                logger.warning("component %r is left out of the metrics", name, exc_info=True)
            return None
        self._failing.discard(entry.number)
        return _Reading(entry.number, (kind, name if kind.labelled else None), figures)

    def _fold(self, readings: list[_Reading], failed: list[str], *, is_latest: bool) -> None:
        """Remember what was read, and forget who died."""
        self._round += 1
        entries = _components.entries()
        alive = {entry.number for entry in entries}
        for reading in readings:
            # One that died meanwhile may be retired already, and must not be counted twice.
            if reading.number in alive:
                group = self._groups.setdefault(reading.key, _Group(len(reading.figures)))
                group.update(reading, is_latest=is_latest)
        for key, group in list(self._groups.items()):
            if not group.retire(alive):
                del self._groups[key]
        self._failing &= alive
        for name in failed:
            self._errors[name] = self._errors.get(name, 0) + 1
        names = {_encodable(entry.name) for entry in entries}
        self._errors = {name: count for name, count in self._errors.items() if name in names}

    def _add_up(self, readings: list[_Reading]) -> dict[Key, Figures]:
        """Return sums by kind and name; those of counters with what the dead have counted."""
        sums: dict[Key, Figures] = {}
        for number, key, figures in readings:
            if key in self._groups and number in self._groups[key].last:
                others = sums.get(key, [0.0] * len(figures))
                sums[key] = [_plus(one, other) for one, other in zip(others, figures, strict=True)]
        for key, figures in sums.items():
            for at, field in enumerate(key[0].fields):
                if field.type == "counter" and figures[at] is not None:
                    figures[at] = self._groups[key].count(at)
        return sums

    def _families(self, sums: dict[Key, Figures]) -> list[Metric]:
        families: list[Metric] = []
        for kind in self._kinds():
            rows = [(name, figures) for (of, name), figures in sums.items() if of is kind]
            for at, field in enumerate(kind.fields):
                family = _family(kind, field)
                for name, figures in rows:
                    figure = figures[at]
                    if figure is not None:
                        family.add_metric([] if name is None else [name], figure)
                families.append(family)
        return families

    def _renew(self, kind: Kind) -> None:
        """Register anew, with the names of a kind that was described after this was registered."""
        if self._registry is None:
            return
        try:
            self._registry.unregister(self)
        except KeyError:  # somebody took it out
            return
        try:
            self._registry.register(self)
        except ValueError as error:
            self._taken.add(kind.name)
            self._registry.register(self)
            logger.warning("components of kind %r are not shown: %s", kind.name, error)


def _family(kind: Kind, field: Field) -> Family:
    """Return a family without samples."""
    of_type = CounterMetricFamily if field.type == "counter" else GaugeMetricFamily
    name = f"penstock_{kind.name}_{field.attribute}"
    return of_type(name, field.documentation, labels=["name"] if kind.labelled else [])


def _about_metrics(
    errors: Iterable[tuple[str, int]], refused: Iterable[tuple[str, int, int]]
) -> list[Metric]:
    """Return the families about metrics themselves."""
    failures = CounterMetricFamily(
        "penstock_metrics_component_errors",
        "Scrapes in which the statistics of a component could not be read.",
        labels=["name"],
    )
    overflowed = CounterMetricFamily(
        "penstock_metrics_overflowed",
        "Calls of labels() that got the overflow series because of max_series.",
        labels=["metric"],
    )
    invalid = CounterMetricFamily(
        "penstock_metrics_invalid", "Observations refused because they were NaN.", labels=["metric"]
    )
    for name, count in errors:
        failures.add_metric([name], count)
    for metric, too_many, nans in refused:
        if too_many:
            overflowed.add_metric([metric], too_many)
        if nans:
            invalid.add_metric([metric], nans)
    return [failures, overflowed, invalid]


def _figure(value: object) -> float | None:
    return None if value is None else float(cast("float", value))


def _plus(one: float | None, other: float | None) -> float | None:
    """Add; with something unknown or unbounded the sum is that too."""
    return None if one is None or other is None else one + other


def _encodable(name: str) -> str:
    """Return *name* as exactly a str that has an encoding."""
    name = str.__str__(name)
    if name.isascii():
        return name
    return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_collectors: WeakSet[ComponentCollector] = WeakSet()


def _on_describe(kind: Kind) -> None:
    for collector in list(_collectors):
        collector._renew(kind)


def _in_fork() -> None:
    # Another thread may have held the lock; it does not exist here.
    for collector in list(_collectors):
        collector._lock, collector._is_busy = RLock(), False


_components.on_describe(_on_describe)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)

COMPONENT_COLLECTOR = ComponentCollector()
