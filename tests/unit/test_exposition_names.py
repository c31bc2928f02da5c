"""Pages of the samples that were asked for by name: what restricted registries show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Info
from prometheus_client import generate_latest as theirs
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import RestrictedRegistry

from penstock.metrics import Counter, Gauge, Histogram, generate_latest
from penstock.metrics._exposition import ERRORS, render
from penstock.metrics._negotiation import OPENMETRICS, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.metrics._negotiation import Format


class Named:
    """A collector that says what it has, and counts how often it is collected."""

    def __init__(self, *names: str, describes: bool = True) -> None:
        self.families = [GaugeMetricFamily(name, "Of somebody else.", 1) for name in names]
        self.described = self.families if describes else []
        self.collected = 0

    def describe(self) -> Iterable[Metric]:
        return self.described

    def collect(self) -> Iterable[Metric]:
        self.collected += 1
        return self.families


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry(target_info={"host": "a"}, support_collectors_without_names=True)
    Counter("hits", "Of ours.", ["a"], registry=registry).labels("b").inc(3)
    Histogram("time", "Of ours.", buckets=[1], registry=registry).observe(2)
    Gauge("odd name", "Of ours.", unit="bytes", registry=registry)
    Gauge("size", "Of ours.", unit="bytes", registry=registry)
    Info("build", "Of prometheus_client.", registry=registry).info({"v": "1"})
    registry.register(Named("first", "second"))
    registry.register(Named("nameless", describes=False))
    return registry


@pytest.mark.parametrize(
    "names",
    [
        {"hits_total"},
        {"hits_created"},
        {"hits"},
        {"time_bucket", "time_sum"},
        {"time_count", "hits_total", "second"},
        {"odd name_bytes", "size_bytes"},
        {"target_info"},
        {"build_info", "unheard_of"},
        {"nameless"},
        set(),
    ],
    ids=lambda names: "+".join(sorted(names)) or "none",
)
def test_page_is_what_prometheus_client_writes(
    registry: CollectorRegistry, names: set[str]
) -> None:
    restricted = registry.restricted_registry(names)
    chosen = frozenset(names)
    # prometheus_client goes through collectors in the order of a set.
    text = sorted(theirs(restricted).splitlines())
    assert sorted(generate_latest(restricted).splitlines()) == text
    assert sorted(render(registry, PLAIN, chosen).splitlines()) == text
    text = sorted(openmetrics.generate_latest(restricted).splitlines())
    assert sorted(render(registry, OPENMETRICS, chosen).splitlines()) == text


def test_families_are_in_the_order_of_the_registry(registry: CollectorRegistry) -> None:
    names = frozenset({"second", "odd name_bytes", "hits_total", "target_info", "time_sum"})
    page = render(registry, PLAIN, names).decode()
    order = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
    assert order == ["target_info", "hits_total", "time", "odd_name_bytes", "second"]


def test_names_within_a_restricted_registry_restrict_it_further(
    registry: CollectorRegistry,
) -> None:
    restricted = registry.restricted_registry(["hits_total", "first"])
    assert b"hits_total{" in render(restricted, PLAIN, frozenset({"hits_total", "second"}))
    assert b"second" not in render(restricted, PLAIN, frozenset({"hits_total", "second"}))
    assert render(restricted, PLAIN, frozenset({"second"})) == b""


def test_only_collectors_of_the_names_are_collected() -> None:
    registry = CollectorRegistry()
    asked, other = Named("asked", "also"), Named("other")
    registry.register(asked)
    registry.register(other)
    assert b"asked 1.0" in render(registry, PLAIN, frozenset({"asked", "also"}))
    assert (asked.collected, other.collected) == (1, 0)


def test_nameless_collectors_are_shown_only_if_the_registry_supports_them() -> None:
    registry = CollectorRegistry()
    registry.register(Named("nameless", describes=False))
    assert render(registry, PLAIN, frozenset({"nameless"})) == b""


@pytest.mark.parametrize("form", [PLAIN, OPENMETRICS])
def test_anything_that_collects_is_filtered(form: Format) -> None:
    page = render(Named("first", "second"), form, frozenset({"second"}))
    assert b"second 1.0" in page
    assert b"first" not in page


def test_registry_of_its_own_kind_is_asked_to_restrict_itself() -> None:
    class Mine(Named):
        def restricted_registry(self, names: Iterable[str]) -> Named:
            return Named(*(f"restricted_{name}" for name in names), *names)

    page = render(Mine("never"), PLAIN, frozenset({"x"}))
    assert b"x 1.0" in page
    assert b"never" not in page


def test_restricted_registry_with_a_way_of_its_own_to_collect_is_asked(
    registry: CollectorRegistry,
) -> None:
    class Mine(RestrictedRegistry):
        def collect(self) -> Iterable[Metric]:
            return [GaugeMetricFamily("mine", "My own.", 1)]

    page = generate_latest(Mine(["hits_total"], registry))
    assert b"mine 1.0" in page
    assert b"hits" not in page


def test_errors_are_shown_whatever_was_asked_for() -> None:
    registry = CollectorRegistry()
    Gauge("bad", "Not to be had.", registry=registry).set_function(lambda: 1 / 0)
    Gauge("good", "To be had.", registry=registry)
    page = render(registry, PLAIN, frozenset({"bad", "good"})).decode()
    assert f'{ERRORS}{{collector="bad"}} 1.0\n' in page
    assert ERRORS not in render(registry, PLAIN, frozenset({"good"})).decode()


def test_sample_of_ours_and_of_others_is_one_group() -> None:
    registry = CollectorRegistry(support_collectors_without_names=True)
    Counter("c", "Of ours.", registry=registry).inc()
    foreign = Named(describes=False)
    foreign.families = [Metric("c", "Of somebody else.", "counter")]
    foreign.families[0].add_sample("c_total", {"a": "b"}, 2)
    registry.register(foreign)
    page = render(registry, PLAIN, frozenset({"c_total"})).decode()
    assert page.splitlines() == [
        "# HELP c_total Of ours.",
        "# TYPE c_total counter",
        "c_total 1.0",
        'c_total{a="b"} 2.0',
    ]


def test_registry_of_an_older_prometheus_client_is_read() -> None:
    registry = CollectorRegistry()
    Gauge("named", "Of ours.", registry=registry)
    del registry._collectors_without_names
    assert b"named 0.0" in generate_latest(RestrictedRegistry(["named"], registry))
