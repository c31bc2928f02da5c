"""Pages of our own metrics, of others', and of both: what prometheus_client writes, and faster."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Enum, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample
from tests.threads import spawn

from penstock import _backend
from penstock.metrics import Counter, Gauge, Histogram, Summary, generate_latest
from penstock.metrics._exposition import ERRORS, render
from penstock.metrics._negotiation import OPENMETRICS, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

ESCAPINGS = ("underscores", "allow-utf-8", "dots", "values")


class Collector:
    """A collector of somebody else, with whatever families it is given."""

    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


@pytest.fixture
def registry() -> CollectorRegistry:
    """All there is: our classes and prometheus_client's, plain names and exotic ones."""
    registry = CollectorRegistry(target_info={"host": 'a"b'})
    counter = Counter("requests", "Of a\nservice \\.", ["path"], registry=registry)
    counter.labels('/"quoted"\\\n').inc(2.5)
    counter.labels("/é\ud800").inc(exemplar={"trace": "ü"})
    Info("build", "Of the service.", registry=registry).info({"version": "1"})
    Gauge("queue.length", "An exotic name.", ["a b", "c"], registry=registry).labels(1, 2).set(-3)
    Counter("a:b", "A recorded name.", registry=registry).inc()
    Histogram("size", "Bytes.", unit="bytes", buckets=[-1, 1e9], registry=registry).observe(5)
    Histogram("seconds", "Time.", ["a"], registry=registry).labels("x").observe(5, {"id": "1"})
    registry.register(Collector(GaugeMetricFamily("foreign", "Of a collector.", 1e300)))
    Enum("state", "On or off.", states=["on", "off"], registry=registry)
    Summary("wait", "Time.", registry=registry).observe(float("inf"))
    Gauge("empty", "Nothing yet.", ["a"], registry=registry)
    return registry


@pytest.mark.parametrize("escaping", ESCAPINGS)
def test_text_is_what_prometheus_client_writes(registry: CollectorRegistry, escaping: str) -> None:
    expected = prometheus_client.generate_latest(registry, escaping)
    assert generate_latest(registry, escaping).decode() == expected.decode()


# Not "values": prometheus_client then takes samples out of their families.
@pytest.mark.parametrize("escaping", ESCAPINGS[:-1])
def test_openmetrics_is_what_prometheus_client_writes(
    registry: CollectorRegistry, escaping: str
) -> None:
    expected: bytes = openmetrics.generate_latest(registry, escaping)  # type: ignore[no-untyped-call]
    page = render(registry, OPENMETRICS._replace(escaping=escaping))
    assert page.decode() == expected.decode()


def test_openmetrics_escapes_values_of_samples_and_families_alike(
    registry: CollectorRegistry,
) -> None:
    lines = render(registry, OPENMETRICS._replace(escaping="values")).decode().splitlines()
    assert "# TYPE requests counter" in lines
    assert 'requests_total{path="/é\ufffd"} 1.0 # {trace="ü"}' in "\n".join(lines)
    assert "# TYPE U__queue_2e_length gauge" in lines
    assert 'U__queue_2e_length{U__a_20_b="1",c="2"} -3.0' in lines
    assert "a:b_total 1.0" in lines


def test_ours_may_take_the_place_of_theirs(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generate_latest(registry)
    monkeypatch.setattr(prometheus_client.exposition, "generate_latest", generate_latest)
    assert prometheus_client.exposition.generate_latest(registry) == expected


def test_created_series_follow_the_switch_of_prometheus_client(
    registry: CollectorRegistry,
) -> None:
    assert b"requests_created" in generate_latest(registry)
    prometheus_client.disable_created_metrics()
    try:
        page = generate_latest(registry)
        assert b"_created" not in page
        assert page == prometheus_client.generate_latest(registry)
    finally:
        prometheus_client.enable_created_metrics()


def test_signature_is_that_of_prometheus_client() -> None:
    ours, theirs = map(inspect.signature, (generate_latest, prometheus_client.generate_latest))
    assert [(p.name, p.default) for p in ours.parameters.values()] == [
        (p.name, p.default) for p in theirs.parameters.values()
    ]


def test_empty_registry_is_an_empty_page() -> None:
    assert generate_latest(CollectorRegistry()) == b""
    assert render(CollectorRegistry(), OPENMETRICS) == b"# EOF\n"


def test_anything_that_collects_can_be_scraped(registry: CollectorRegistry) -> None:
    gauge = Gauge("alone", "In no registry.", registry=None)
    assert generate_latest(gauge) == prometheus_client.generate_latest(gauge)
    foreign = Collector(*registry.collect())
    assert generate_latest(foreign) == prometheus_client.generate_latest(foreign)


def test_registry_with_a_way_of_its_own_to_collect_is_asked() -> None:
    class Mine(CollectorRegistry):
        def collect(self) -> Iterable[Metric]:
            return [GaugeMetricFamily("other", "Than what is registered.", 1)]

    registry = Mine()
    Gauge("registered", "Not shown.", registry=registry)
    page = generate_latest(registry)
    assert b"other 1.0" in page
    assert b"registered 0.0" not in page


class Recorder:
    """Stands in for the backend's encode and writes down what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[list[str]] = []
        self.encode = _backend.encode
        monkeypatch.setattr(_backend, "encode", self)

    def __call__(
        self,
        families: list[_backend.Family],
        is_openmetrics: bool,
        created: bool,
        names: frozenset[str] | None,
    ) -> tuple[bytes, list[tuple[str, Exception]]]:
        self.runs.append([family._name for family in families])
        if "broken" in self.runs[-1]:
            raise ValueError("not one of them is encoded")
        return self.encode(families, is_openmetrics, created, names)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


def test_neighbours_of_ours_are_encoded_at_once(
    recorder: Recorder, registry: CollectorRegistry
) -> None:
    generate_latest(registry)
    assert recorder.runs == [
        ["requests"],
        ["a:b", "size_bytes", "seconds"],
        ["wait", "empty"],
    ]


def test_names_that_change_are_not_left_to_the_backend(
    recorder: Recorder, registry: CollectorRegistry
) -> None:
    generate_latest(registry, "dots")
    assert recorder.runs == []
    render(registry, OPENMETRICS)
    assert not any("a:b" in run for run in recorder.runs)


def test_collect_of_a_subclass_is_asked(recorder: Recorder) -> None:
    class Doubled(Gauge):
        def collect(self) -> list[Metric]:
            return [GaugeMetricFamily("doubled", "Twice.", self._read() * 2)]

    registry = CollectorRegistry()
    Doubled("simple", "Once.", registry=registry).set(4)
    assert b"doubled 8.0" in generate_latest(registry)
    assert recorder.runs == []


def test_collect_of_an_instance_is_asked(recorder: Recorder) -> None:
    class Open(Gauge):
        """With a __dict__."""

    registry = CollectorRegistry()
    gauge = Open("patched", "By a test, say.", registry=registry)
    gauge.collect = lambda: [GaugeMetricFamily("patch", "Instead.", 1)]  # type: ignore[method-assign]
    assert b"patch 1.0" in generate_latest(registry)
    assert recorder.runs == []


def test_subclass_that_only_adds_is_encoded_by_the_backend(recorder: Recorder) -> None:
    class Named(Counter):
        def twice(self) -> None:
            self.inc(2)

    registry = CollectorRegistry()
    Named("named", "With a method more.", registry=registry).twice()
    assert b"named_total 2.0" in generate_latest(registry)
    assert recorder.runs == [["named"]]


def test_family_that_spoils_a_run_is_left_out_alone(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    for name in ("first", "broken", "last"):
        Gauge(name, "One of three.", registry=registry)
    page = generate_latest(registry).decode()
    assert "first 0.0\n" in page
    assert "last 0.0\n" in page
    assert "broken 0.0" not in page
    assert f'{ERRORS}{{collector="broken"}} 1.0\n' in page
    assert len(caplog.records) == 1


def test_gauge_whose_function_raises_is_left_out_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> float:
        raise OSError("no such sensor")

    registry = CollectorRegistry()
    Gauge("before", "Fine.", registry=registry)
    Gauge("temperature", "Of the sensor.", registry=registry).set_function(fail)
    Gauge("exotic.temperature", "Of the sensor.", registry=registry).set_function(fail)
    Gauge("after", "Fine.", registry=registry)
    page = generate_latest(registry).decode()
    assert "before 0.0\n" in page
    assert "after 0.0\n" in page
    assert "\ntemperature" not in page
    assert "\nexotic_temperature" not in page
    assert page.endswith(
        f"# HELP {ERRORS} What is missing from this page because it failed.\n"
        f"# TYPE {ERRORS} gauge\n"
        f'{ERRORS}{{collector="exotic.temperature"}} 1.0\n'
        f'{ERRORS}{{collector="temperature"}} 1.0\n'
    )
    (first, second) = caplog.records
    assert (first.name, first.levelname) == ("penstock.metrics", "WARNING")
    assert first.exc_info is not None
    assert "no such sensor" in caplog.text
    assert "temperature" in second.getMessage()


def test_errors_come_before_the_end_of_openmetrics() -> None:
    registry = CollectorRegistry()
    Gauge("bad", "Not to be had.", registry=registry).set_function(lambda: 1 / 0)
    page = render(registry, OPENMETRICS).decode()
    assert page.endswith(f'{ERRORS}{{collector="bad"}} 1.0\n# EOF\n')


def test_page_without_errors_does_not_mention_any(registry: CollectorRegistry) -> None:
    assert ERRORS.encode() not in generate_latest(registry)


def on_collect(registry: CollectorRegistry, act: Callable[[], object]) -> None:
    """Register a collector that does something when it is collected."""

    class Acting:
        def collect(self) -> Iterable[Metric]:
            act()
            return []

    registry.register(Acting())


def test_lock_of_the_registry_is_not_held_during_collect() -> None:
    registry = CollectorRegistry()
    locked: list[bool] = []
    on_collect(registry, lambda: locked.append(registry._lock.locked()))
    generate_latest(registry)
    assert locked == [False]


@pytest.mark.parametrize("names", [None, frozenset({"a"})])
def test_scrape_does_not_wait_for_the_lock_of_the_registry(names: frozenset[str] | None) -> None:
    registry = CollectorRegistry()
    Gauge("a", "One.", registry=registry)
    with registry._lock:
        page = spawn(render, registry, PLAIN, names).result()
    assert b"a 0.0" in page


def test_collectors_may_come_and_go_during_a_scrape() -> None:
    registry = CollectorRegistry()
    goes = Gauge("goes", "Was there when the scrape began.", registry=registry)

    def act() -> None:
        registry.unregister(goes)
        Gauge("comes", "Was not.", registry=registry)

    on_collect(registry, act)
    assert b"goes 0.0" in generate_latest(registry)
    on_collect(registry, lambda: None)
    assert b"comes 0.0" in generate_latest(registry)


def test_a_subclass_that_makes_its_own_samples_is_asked_for_them() -> None:
    class Doubled(Counter):
        def _child_samples(self) -> Iterator[Sample]:
            yield Sample("_total", {}, 2 * self._value.get())

    registry = CollectorRegistry()
    Doubled("things", "Things.", registry=registry).inc(3)
    assert b"\nthings_total 6.0\n" in generate_latest(registry)
