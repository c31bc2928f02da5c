"""Metrics that cost nothing to count: prometheus_client's interface over a Rust core."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    REGISTRY,
    CollectorRegistry,
    Enum,
    GCCollector,
    Info,
    Metric,
    PlatformCollector,
    ProcessCollector,
    delete_from_gateway,
    disable_created_metrics,
    enable_created_metrics,
    instance_ip_grouping_key,
    push_to_gateway,
    pushadd_to_gateway,
    write_to_textfile,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
    UntypedMetricFamily,
)

from penstock.metrics._asgi import make_asgi_app
from penstock.metrics._classes import Counter, Gauge, Histogram, Summary
from penstock.metrics._event_loop import EventLoopMonitor
from penstock.metrics._exposition import generate_latest
from penstock.metrics._middleware import ASGIMiddleware, instrument
from penstock.metrics._multiprocess import warn_of_processes
from penstock.metrics._tracking import COMPONENT_COLLECTOR, ComponentCollector, track
from penstock.metrics._wsgi import (
    MetricsHandler,
    make_wsgi_app,
    start_http_server,
    start_wsgi_server,
)

__all__ = [
    "COMPONENT_COLLECTOR",
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "GC_COLLECTOR",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "REGISTRY",
    "ASGIMiddleware",
    "CollectorRegistry",
    "ComponentCollector",
    "Counter",
    "CounterMetricFamily",
    "Enum",
    "EventLoopMonitor",
    "GCCollector",
    "Gauge",
    "GaugeHistogramMetricFamily",
    "GaugeMetricFamily",
    "Histogram",
    "HistogramMetricFamily",
    "Info",
    "InfoMetricFamily",
    "Metric",
    "MetricsHandler",
    "PlatformCollector",
    "ProcessCollector",
    "StateSetMetricFamily",
    "Summary",
    "SummaryMetricFamily",
    "UnknownMetricFamily",
    "UntypedMetricFamily",
    "delete_from_gateway",
    "disable_created_metrics",
    "enable_created_metrics",
    "generate_latest",
    "instance_ip_grouping_key",
    "instrument",
    "make_asgi_app",
    "make_wsgi_app",
    "push_to_gateway",
    "pushadd_to_gateway",
    "start_http_server",
    "start_wsgi_server",
    "track",
    "write_to_textfile",
]

warn_of_processes()
