"""The collector of components in prometheus_client's registries."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from tests.stress.forking import check_in_fork
from tests.threads import spawn

import penstock
from penstock import _components
from penstock.metrics import _tracking
from penstock.metrics._tracking import COMPONENT_COLLECTOR, ComponentCollector


class Stats(NamedTuple):
    """Figures of a component."""

    jobs: int = 5
    depth: int = 2


class Pump:
    """A component."""

    def __init__(self, name: str, stats: object = Stats()) -> None:
        self.stats = lambda: stats
        _components.track(self, name)


FIELDS: Any = [("jobs", "counter", "Jobs done."), ("depth", "gauge", "Jobs waiting.")]


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of components without entries and kinds."""
    monkeypatch.setattr(_components, "_entries", {})
    monkeypatch.setattr(_components, "_kinds", {})
    monkeypatch.setattr(_tracking, "_collectors", set())
    monkeypatch.setattr(_tracking, "drops", list)


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of metrics."""
    return CollectorRegistry()


def shown(registry: Any, *names: str) -> list[str]:
    """What the page shows beyond comments, of all or of these names."""
    chosen = registry.restricted_registry(names) if names else registry
    page = generate_latest(chosen).decode()
    return [line for line in page.splitlines() if not line.startswith("#")]


ALL = ['penstock_pump_jobs_total{name="north"} 5.0', 'penstock_pump_depth{name="north"} 2.0']


@pytest.mark.parametrize("is_described_first", [True, False])
def test_a_page_can_be_asked_for_single_names(
    registry: CollectorRegistry, is_described_first: bool
) -> None:
    if is_described_first:
        _components.describe("pump", Stats, FIELDS)
    ComponentCollector(registry=registry)
    if not is_described_first:
        _components.describe("pump", Stats, FIELDS)
    pump = Pump("north")
    assert shown(registry) == ALL
    assert shown(registry, "penstock_pump_jobs_total") == ALL[:1]
    assert shown(registry, "penstock_pump_depth") == ALL[1:]
    assert shown(registry, "penstock_pump") == []
    del pump


@pytest.mark.parametrize("is_described_first", [True, False])
@pytest.mark.parametrize(
    "name", ["penstock_pump_jobs", "penstock_pump_depth", "penstock_metrics_component_errors"]
)
def test_names_are_taken_in_the_registry(
    registry: CollectorRegistry, is_described_first: bool, name: str
) -> None:
    if is_described_first:
        _components.describe("pump", Stats, FIELDS)
    ComponentCollector(registry=registry)
    if not is_described_first:
        _components.describe("pump", Stats, FIELDS)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Counter(name, "Mine.", registry=registry)


def test_a_taken_name_is_an_error_where_the_collector_is_made(
    registry: CollectorRegistry,
) -> None:
    _components.describe("pump", Stats, FIELDS)
    Counter("penstock_pump_jobs", "Mine.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        ComponentCollector(registry=registry)
    assert list(_tracking._collectors) == []


def test_a_kind_described_later_whose_name_is_taken_is_not_shown(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    ComponentCollector(registry=registry)
    Counter("penstock_pump_jobs", "Mine.", registry=registry).inc(3)
    with caplog.at_level(logging.WARNING, "penstock.metrics"):
        _components.describe("pump", Stats, FIELDS)
    (message,) = caplog.messages
    assert message.startswith("components of kind 'pump' are not shown: Duplicated timeseries")
    _components.describe("valve", int, [("real", "gauge", "Position.")])
    pump, valve = Pump("north"), Pump("south", 7)
    lines = shown(registry)
    assert "penstock_pump_jobs_total 3.0" in lines
    assert 'penstock_valve_real{name="south"} 7.0' in lines
    assert not any("north" in line for line in lines)
    del pump
    del valve


def test_a_collector_that_was_taken_out_stays_out(registry: CollectorRegistry) -> None:
    collector = ComponentCollector(registry=registry)
    registry.unregister(collector)
    _components.describe("pump", Stats, FIELDS)
    pump = Pump("north")
    assert shown(registry) == []
    registry.register(collector)
    assert shown(registry, "penstock_pump_depth") == ALL[1:]
    del pump


def test_a_collector_without_a_registry_shows_what_is_described_later() -> None:
    collector = ComponentCollector(registry=None)
    _components.describe("pump", Stats, FIELDS)
    pump = Pump("north")
    assert [family.name for family in collector.collect()] == [
        "penstock_pump_jobs",
        "penstock_pump_depth",
    ]
    del pump


def test_every_registry_may_have_a_collector(registry: CollectorRegistry) -> None:
    registries = [registry, CollectorRegistry()]
    for each in registries:
        ComponentCollector(registry=each)
    _components.describe("pump", Stats, FIELDS)
    pump = Pump("north")
    assert [shown(each) for each in registries] == [ALL, ALL]
    del pump


def test_all_that_is_shown_was_described() -> None:
    _components.describe("pump", Stats, FIELDS)
    collector = ComponentCollector(registry=None)
    one, other = Pump("north"), Pump("south")
    one.stats = lambda: None
    described = {(family.name, family.type) for family in collector.describe()}
    collected = {(family.name, family.type) for family in collector.collect()}
    assert collected < described
    assert all(family.samples == [] for family in collector.describe())
    del other


def test_the_default_collector_is_in_the_default_registry() -> None:
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        REGISTRY.register(COMPONENT_COLLECTOR)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_during_a_scrape_can_scrape(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = ComponentCollector(registry=registry)
    _components.describe("pump", Stats, FIELDS)
    pump = Pump("north")

    def check() -> None:
        assert shown(registry) == ALL

    def in_scrape() -> None:
        with collector._lock:
            spawn(lambda: check_in_fork(check)).result()

    in_scrape()
    check()
    del pump


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    env = os.environ | {"PENSTOCK_PURE": "1" if penstock.BACKEND == "pure" else "0"}
    child = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


def test_what_does_not_measure_does_not_import_metrics() -> None:
    code = "import sys; from penstock import Cache, cached; Cache(5, name='users'); "
    loaded = run(code + "print(*sys.modules)").split()
    assert "penstock.caching" in loaded
    assert not any(name.startswith(("prometheus_client", "penstock.metrics")) for name in loaded)


@pytest.mark.parametrize("first", ["penstock.metrics", "penstock.caching"])
def test_caches_show_whatever_is_imported_first(first: str) -> None:
    code = (
        f"import {first}; from penstock import Cache; users = Cache(5, name='users'); "
        "import penstock.metrics, prometheus_client as prom; "
        "page = prom.REGISTRY.restricted_registry(['penstock_cache_maxsize']); "
        "print(prom.generate_latest(page).decode().splitlines()[-1])"
    )
    assert run(code) == 'penstock_cache_maxsize{name="users"} 5.0'
