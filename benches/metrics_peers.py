"""
The peers of metrics, scrapes and middleware, as contenders; part of ``peers.py``.

prometheus_client's multiprocess mode is decided by the environment before the import. So that it
can be measured beside the ordinary one it runs in a process of its own, in turn with the others.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from penstock.bench import CHECK, FILL, Contender, family, prometheus_like

__all__ = ["METRICS_PEERS"]

# With it the ordinary contender would be in multiprocess mode too.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
os.environ.pop("prometheus_multiproc_dir", None)

_PROMETHEUS: Final = prometheus_like(
    "prometheus_client", "import prometheus_client as m\n", needs="prometheus-client"
)

_MULTIPROCESS: Final = """\
import os, tempfile
folder = globals().get("folder") or tempfile.TemporaryDirectory()
os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder.name
"""
# The files of four workers, which all have every series.
_WORKERS: Final = f"""\
{_MULTIPROCESS}
import prometheus_client as m
from prometheus_client import multiprocess
registry = m.CollectorRegistry()
{FILL}
for _ in range(3):
    child = os.fork()
    if not child:
        fill(series, series // 10)
        os._exit(0)
    os.waitpid(child, 0)
fill(series, series // 10)
collected = m.CollectorRegistry()
multiprocess.MultiProcessCollector(collected)
c = lambda: m.generate_latest(collected)
{CHECK}"""


def _multiprocess() -> list[Contender]:
    name = "prometheus_client, multiprocess mode (own process)"
    same = [
        replace(contender, name=name, make=_MULTIPROCESS + contender.make, own_process=True)
        for contender in _PROMETHEUS
        if contender.kinds & {"metrics", "series"}
    ]
    scrape = family(
        "prometheus_client, multiprocess mode (own process, 4 workers)",
        ["scrape"],
        _WORKERS,
        ops={"scrape": "page()"},
        bind="page = c",
        needs="prometheus-client",
        own_process=True,
    )
    return [*same, scrape]


_BUCKETS: Final = "(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10)"

_PYTHEUS_IMPORT: Final = """\
from pytheus.backends import load_backend
from pytheus_backend_rs import SingleProcessAtomicBackend
load_backend(SingleProcessAtomicBackend)
from pytheus import metrics as m
from pytheus.exposition import generate_metrics
from pytheus.registry import CollectorRegistry
registry = CollectorRegistry()
"""
_PYTHEUS: Final = (
    family(
        "pytheus, Rust backend",
        ["metrics"],
        f"""{_PYTHEUS_IMPORT}
counter = m.Counter("requests", "Requests.", registry=registry)
labelled = m.Counter("responses", "Responses.", ("method", "status"), registry=registry)
gauge = m.Gauge("temperature", "Degrees.", registry=registry)
histogram = m.Histogram("latency_seconds", "Latency.", registry=registry, buckets={_BUCKETS})
summary = m.Summary("size_bytes", "Sizes.", registry=registry)
c = counter, labelled, labelled.labels(method="GET", status="200"), gauge, histogram, summary
""",
        # Label values are given by name only.
        ops={
            "inc": "counter.inc()",
            "child": "child.inc()",
            "labels-kw": 'labelled.labels(method="GET", status="200").inc()',
            "set": "gauge.set(k)",
            "observe": "histogram.observe(k)",
            "summary": "summary.observe(k)",
            "time": "with histogram.time():\n    pass",
        },
        bind="counter, labelled, child, gauge, histogram, summary = c",
        needs="pytheus-backend-rs",
    ),
    family(
        # No series for when a counter was created, which the others write.
        "pytheus, Rust backend",
        ["scrape"],
        f"""{_PYTHEUS_IMPORT}
requests = m.Counter("requests_total", "Requests.", ("method", "path"), registry=registry)
latency = m.Histogram("latency_seconds", "Latency.", ("path",), registry=registry,
                      buckets={_BUCKETS})
for i in range(series):
    requests.labels(method="GET", path=f"/items/{{i}}").inc(i)
for i in range(series // 10):
    child = latency.labels(path=f"/items/{{i}}")
    for tenth in range(20):
        child.observe(tenth / 10)
c = lambda: generate_metrics(registry).encode()
{CHECK}""",
        ops={"scrape": "page()"},
        bind="page = c",
        needs="pytheus-backend-rs",
    ),
    family(
        "pytheus, Rust backend",
        ["series"],
        f'{_PYTHEUS_IMPORT}c = m.Counter("requests", "Requests.", ("path", "status"))',
        ops={
            "new": "labels(path=k, status=v).inc()",
            "count": "sum(1 for _ in c._collector.collect())",
        },
        bind="labels = c.labels",
        needs="pytheus-backend-rs",
    ),
)

# Beyond 2,000 attribute sets the default is to count in an overflow series.
_OTEL_IMPORT: Final = """\
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader(cardinality_limits={Counter: 1_000_000})
meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("bench")
def collect():
    (resource,) = reader.get_metrics_data().resource_metrics
    (scope,) = resource.scope_metrics
    return scope.metrics
"""
_OTEL: Final = (
    family(
        "OpenTelemetry SDK",
        ["metrics"],
        f"""{_OTEL_IMPORT}
counter = meter.create_counter("requests")
labelled = meter.create_counter("responses")
gauge = meter.create_gauge("temperature")
histogram = meter.create_histogram("latency", explicit_bucket_boundaries_advisory={_BUCKETS})
c = counter, labelled, gauge, histogram
""",
        # No children to keep, no summary, no timer; attributes are given by name only.
        ops={
            "inc": "counter.add(1)",
            "labels-kw": 'labelled.add(1, {"method": "GET", "status": "200"})',
            "set": "gauge.set(k)",
            "observe": "histogram.record(k)",
        },
        bind="counter, labelled, gauge, histogram = c",
        needs="opentelemetry-sdk",
    ),
    family(
        # The SDK by itself has no text to write.
        "OpenTelemetry SDK, collected but not encoded",
        ["scrape"],
        f"""{_OTEL_IMPORT}
requests = meter.create_counter("requests")
latency = meter.create_histogram("latency", explicit_bucket_boundaries_advisory={_BUCKETS})
for i in range(series):
    requests.add(i, {{"method": "GET", "path": f"/items/{{i}}"}})
for i in range(series // 10):
    for tenth in range(20):
        latency.record(tenth / 10, {{"path": f"/items/{{i}}"}})
c = collect
found = len(c()[0].data.data_points)
assert found == series, f"there are {{found}} of {{series}} series"
""",
        ops={"scrape": "page()"},
        bind="page = c",
        needs="opentelemetry-sdk",
    ),
    family(
        "OpenTelemetry SDK",
        ["series"],
        f'{_OTEL_IMPORT}c = meter.create_counter("requests")',
        ops={
            "new": 'add(1, {"path": k, "status": v})',
            "count": "len(collect()[0].data.data_points)",
        },
        bind="add = c.add",
        needs="opentelemetry-sdk",
    ),
)

_MIDDLEWARE: Final = (
    family(
        "prometheus-fastapi-instrumentator",
        ["middleware"],
        "from prometheus_fastapi_instrumentator import Instrumentator\n"
        "Instrumentator(registry=registry).instrument(f)",
        needs="prometheus-fastapi-instrumentator",
    ),
    family(
        "starlette_exporter",
        ["middleware"],
        "from starlette_exporter import PrometheusMiddleware\n"
        "f.add_middleware(PrometheusMiddleware)",
        needs="starlette_exporter",
    ),
)

METRICS_PEERS: Final[tuple[Contender, ...]] = (
    *_PROMETHEUS,
    *_multiprocess(),
    *_PYTHEUS,
    *_OTEL,
    *_MIDDLEWARE,
)
