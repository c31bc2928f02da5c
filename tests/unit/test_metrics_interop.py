"""Our metrics in prometheus_client's registries, exporters, bridges and parsers."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.bridge.graphite import GraphiteBridge
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.registry import RestrictedRegistry
from tests.metric_pairs import LIBRARIES, check_alike, make
from tests.threads import spawn

from penstock import metrics
from penstock.metrics import (
    Counter,
    Gauge,
    Histogram,
    Summary,
    delete_from_gateway,
    generate_latest,
    push_to_gateway,
    pushadd_to_gateway,
    write_to_textfile,
)
from penstock.metrics._exposition import render
from penstock.metrics._negotiation import OPENMETRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType


@pytest.fixture(autouse=True)
def _without_times() -> Iterator[None]:
    metrics.disable_created_metrics()
    yield
    metrics.enable_created_metrics()


def fill(library: ModuleType, registry: CollectorRegistry | None = None) -> CollectorRegistry:
    """Make metrics of all kinds and give them values."""
    registry = registry or CollectorRegistry()
    counter = make(library, "Counter", "path", name="requests", registry=registry)
    counter.labels('a "quoted"\\path\n').inc(2)
    counter.labels("/").inc(0.5)
    make(library, "Gauge", name="queue", unit="bytes", registry=registry).set(-3)
    make(library, "Summary", "a", "b", name="wait", registry=registry).labels(1, 2).observe(4)
    histogram = make(library, "Histogram", name="delay", registry=registry, buckets=(1, 2.5))
    histogram.observe(1.5)
    histogram.observe(99)
    make(library, "Info", name="build", registry=registry).info({"version": "1"})
    make(library, "Enum", name="state", registry=registry, states=["on", "off"])
    make(library, "Gauge", "a", name="empty", registry=registry)
    return registry


@pytest.fixture
def registry() -> CollectorRegistry:
    return fill(metrics)


class TestRegistry:
    """What a registry answers."""

    def test_everything_that_is_collected_is_the_same(self) -> None:
        theirs, ours = (list(fill(library).collect()) for library in LIBRARIES)
        assert ours == theirs

    @pytest.mark.parametrize(
        ("name", "labels", "value"),
        [
            ("requests_total", {"path": "/"}, 0.5),
            ("requests_total", {"path": 'a "quoted"\\path\n'}, 2),
            ("requests_total", {}, None),
            ("requests", {"path": "/"}, None),
            ("queue_bytes", {}, -3),
            ("wait_sum", {"b": "2", "a": "1"}, 4),
            ("wait_count", {"b": "2", "a": "1"}, 1),
            ("delay_bucket", {"le": "2.5"}, 1),
            ("delay_bucket", {"le": "+Inf"}, 2),
            ("delay_sum", {}, 100.5),
            ("state", {"state": "on"}, 1),
        ],
    )
    def test_single_values_can_be_asked_for(
        self, registry: CollectorRegistry, name: str, labels: dict[str, str], value: float | None
    ) -> None:
        assert registry.get_sample_value(name, labels) == value

    @pytest.mark.parametrize(
        "names",
        [
            ["requests_total"],
            ["delay_sum", "delay_count"],
            ["delay"],
            ["queue_bytes", "wait_sum", "build_info"],
            ["empty", "nothing"],
            [],
        ],
    )
    def test_restricted_registry_shows_the_same(self, names: list[str]) -> None:
        def show(library: ModuleType) -> list[object]:
            restricted = fill(library).restricted_registry(names)
            assert isinstance(restricted, RestrictedRegistry)
            # Collectors come in the order of a set.
            families = sorted(restricted.collect(), key=lambda family: family.name)
            pages = prometheus_client.generate_latest, openmetrics.generate_latest
            return [families, *[sorted(page(restricted).splitlines()) for page in pages]]

        theirs, ours = map(show, LIBRARIES)
        assert ours == theirs
        restricted = fill(metrics).restricted_registry(names)
        assert sorted(generate_latest(restricted).splitlines()) == ours[1]
        assert sorted(render(restricted, OPENMETRICS).splitlines()) == ours[2]

    def test_registry_that_describes_by_collecting_takes_it(self) -> None:
        registry = fill(metrics, CollectorRegistry(auto_describe=True))
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            Counter("requests", "Help.", registry=registry)
        names = sorted(registry._names_to_collectors)
        assert names == sorted(fill(prometheus_client)._names_to_collectors)

    def test_nothing_waits_for_the_registry_while_it_is_collected(self) -> None:
        registry = CollectorRegistry()
        made = []

        def make_another() -> int:
            made.append(spawn(Gauge, f"made_{len(made)}", "Help.", registry=registry).result())
            return len(made)

        Gauge("gauge", "Help.", registry=registry).set_function(make_another)
        assert b"\ngauge 1.0\n" in generate_latest(registry)
        assert registry.get_sample_value("gauge") == 2
        assert registry.get_sample_value("made_0") == 0


class TestPages:
    """What exporters and parsers make of it."""

    def test_exporters_of_both_write_the_same(self, registry: CollectorRegistry) -> None:
        theirs = fill(prometheus_client)
        page = generate_latest(registry)
        assert page == prometheus_client.generate_latest(registry)
        assert page == prometheus_client.generate_latest(theirs)
        page = render(registry, OPENMETRICS)
        assert page == openmetrics.generate_latest(registry)
        assert page == openmetrics.generate_latest(theirs)

    def test_parsers_read_what_was_counted(self, registry: CollectorRegistry) -> None:
        collected = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in registry.collect()
            for sample in family.samples
        }
        for families in (
            read_text(generate_latest(registry).decode()),
            read_openmetrics(render(registry, OPENMETRICS).decode()),
        ):
            read = {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in families
                for sample in family.samples
            }
            assert read == collected

    def test_openmetrics_says_units(self, registry: CollectorRegistry) -> None:
        families = {
            family.name: family
            for family in read_openmetrics(render(registry, OPENMETRICS).decode())
        }
        assert families["queue_bytes"].unit == "bytes"
        assert families["requests"].type == "counter"
        assert families["requests"].documentation == "Help."

    def test_server_of_prometheus_client_serves_it(self, registry: CollectorRegistry) -> None:
        server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
        try:
            with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
                assert answer.read() == generate_latest(registry)
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)

    def test_text_file_is_written(self, registry: CollectorRegistry, tmp_path: Path) -> None:
        path = tmp_path / "metrics.prom"
        write_to_textfile(str(path), registry)
        assert path.read_bytes() == generate_latest(registry)


class TestGateways:
    """What is pushed."""

    @pytest.mark.parametrize(
        ("push", "method"), [(push_to_gateway, "PUT"), (pushadd_to_gateway, "POST")]
    )
    def test_push_sends_the_page(
        self, registry: CollectorRegistry, push: Callable[..., None], method: str
    ) -> None:
        sent: list[object] = []

        def handler(url: str, method: str, timeout: float, headers: Any, data: bytes) -> Any:
            return lambda: sent.append((url, method, data))

        push("gateway:9091", "job", registry, {"instance": "a"}, handler=handler)
        url = "http://gateway:9091/metrics/job/job/instance/a"
        assert sent == [(url, method, generate_latest(registry))]

    def test_delete_sends_nothing(self) -> None:
        sent: list[object] = []

        def handler(url: str, method: str, timeout: float, headers: Any, data: bytes) -> Any:
            return lambda: sent.append((method, data))

        delete_from_gateway("gateway:9091", "job", handler=handler)
        assert sent == [("DELETE", b"")]

    def test_graphite_gets_the_values(self) -> None:
        def pushed(library: ModuleType) -> bytes:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                received: list[bytes] = []

                def receive() -> None:
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rb") as file:
                        received.append(file.read())

                thread = threading.Thread(target=receive)
                thread.start()
                address = ("127.0.0.1", listener.getsockname()[1])
                bridge = GraphiteBridge(address, registry=fill(library), _timer=lambda: 5.0)
                bridge.push(prefix="pre")
                thread.join(10)
            return received[0]

        page = check_alike(pushed)
        assert isinstance(page, bytes)
        assert b"pre.queue_bytes -3.0 5\n" in page


def test_switch_of_created_series_is_that_of_prometheus_client() -> None:
    registry = CollectorRegistry()
    for kind in (Counter, Summary, Histogram):
        kind(kind.__name__, "Help.", registry=registry)

    def created() -> list[str]:
        pages = [
            generate_latest(registry),
            render(registry, OPENMETRICS),
            prometheus_client.generate_latest(registry),
        ]
        found = [page.decode().count("\n" + kind) for page in pages for kind in created_names]
        assert len({*found}) == 1
        return found

    created_names = ["Counter_created", "Summary_created", "Histogram_created"]
    assert {*created()} == {0}
    prometheus_client.enable_created_metrics()
    assert {*created()} == {1}
    prometheus_client.disable_created_metrics()
    assert {*created()} == {0}
