"""The metrics of HTTP requests, and the children of them that are needed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.metrics._classes import Gauge
    from penstock.metrics._maker import Maker

__all__ = ["OTHER", "HTTPFamilies", "Series"]

# What a client or an application makes up never becomes a label value: it all goes here.
OTHER: Final = "__other__"
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)

# Those that prometheus-fastapi-instrumentator has under the same name, since dashboards ask for
# them by value; and three below, for services that answer within 10 ms.
_FINE_BUCKETS: Final = (
    0.001, 0.0025, 0.005,
    0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1,
    1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60,
)  # fmt: skip
_SIZE_BUCKETS: Final = (1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)


# What to call for a request: the count, then the duration, the same for the metric without labels,
# the time to the first byte, and the sizes of request and response. A plain tuple unpacks fastest.
Series: TypeAlias = """tuple[
    Callable[[], None],
    Callable[[float], None],
    Callable[[float], None],
    Callable[[float], None],
    Callable[[float], None],
    Callable[[float], None],
]"""


class HTTPFamilies:
    """
    The metrics of HTTP requests.

    Names and labels are those of prometheus-fastapi-instrumentator for what it has, so that
    dashboards made for it keep working; labels that it lacks vanish in the sums over its own.

    Args:
        make: Makes the metrics.
        buckets: Upper bounds of durations by handler.
    """

    __slots__ = (
        "_duration", "_first_byte", "_in_progress", "_overall", "_request_size", "_requests",
        "_response_size", "methods",
    )  # fmt: skip

    def __init__(self, make: Maker, buckets: tuple[float, ...]) -> None:
        self.methods: dict[str, tuple[str, Gauge]] = {}
        self._requests = make.counter(
            "http_requests", "Requests answered.", "method", "handler", "status"
        )
        self._duration = make.histogram(
            "http_request_duration_seconds",
            "Time from the request to the last byte of the response.",
            buckets, "method", "handler", "status",
        )  # fmt: skip
        # No labels: a percentile of everything would otherwise need a merge of all handlers.
        self._overall = make.histogram(
            "http_request_duration_highr_seconds",
            "Time from the request to the last byte of the response, in fine buckets.",
            _FINE_BUCKETS,
        )
        # Not response_start_seconds: Prometheus names points in time like that.
        self._first_byte = make.histogram(
            "http_request_time_to_first_byte_seconds",
            "Time from the request to the start of the response.",
            buckets, "method", "handler",
        )  # fmt: skip
        # The instrumentator has summaries here: a histogram has their _sum and _count too.
        self._request_size = make.histogram(
            "http_request_size_bytes",
            "Bytes of request bodies, as far as they were read.",
            _SIZE_BUCKETS, "method", "handler",
        )  # fmt: skip
        self._response_size = make.histogram(
            "http_response_size_bytes",
            "Bytes of response bodies, as far as they were sent.",
            _SIZE_BUCKETS, "method", "handler",
        )  # fmt: skip
        # By method only: the handler is not known until a router has seen the request.
        self._in_progress = make.gauge(
            "http_requests_in_progress", "Requests without a complete response.", "method"
        )

    def add_method(self, method: str) -> tuple[str, Gauge]:
        """Return the label value and the gauge of a method that is not in `methods`."""
        label = method if method in _METHODS else OTHER
        found = self.methods.get(label)
        if found is None:
            found = self.methods.setdefault(label, (label, self._in_progress.labels(label)))
        return found

    def series(self, method: str, handler: str, status: str) -> Series:
        """Return what to call for a request with these label values."""
        return (
            self._requests.labels(method, handler, status).inc,
            self._duration.labels(method, handler, status).observe,
            self._overall.observe,
            self._first_byte.labels(method, handler).observe,
            self._request_size.labels(method, handler).observe,
            self._response_size.labels(method, handler).observe,
        )
