"""Contenders of the metrics rows: what prometheus_client's interface spells, and penstock's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._model import Backend, Contender

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CHECK", "FILL", "METRICS", "family", "prometheus_like"]

# Fifteen buckets: the default of prometheus_client and of penstock.
_OPERATIONS: Final = """\
registry = m.CollectorRegistry()
counter = m.Counter("requests", "Requests.", registry=registry)
labelled = m.Counter("responses", "Responses.", ("method", "status"), registry=registry)
gauge = m.Gauge("temperature", "Degrees.", registry=registry)
histogram = m.Histogram("latency_seconds", "Latency.", registry=registry)
summary = m.Summary("size_bytes", "Sizes.", registry=registry)
c = counter, labelled, labelled.labels("GET", "200"), gauge, histogram, summary
"""
_BIND: Final = "counter, labelled, child, gauge, histogram, summary = c"
_OPS: Final = {
    "inc": "counter.inc()",
    "child": "child.inc()",
    "labels": 'labelled.labels("GET", "200").inc()',
    "labels-kw": 'labelled.labels(method="GET", status="200").inc()',
    "set": "gauge.set(k)",
    "observe": "histogram.observe(k)",
    "summary": "summary.observe(k)",
    "time": "with histogram.time():\n    pass",
}

#: Defines ``fill(series, histograms)`` over ``m`` and ``registry``, in prometheus_client's words.
FILL: Final = """\
requests = m.Counter("requests", "Requests.", ("method", "path"), registry=registry)
latency = m.Histogram("latency_seconds", "Latency.", ("path",), registry=registry)
def fill(series, histograms):
    for i in range(series):
        requests.labels("GET", f"/items/{i}").inc(i)
    for i in range(histograms):
        child = latency.labels(f"/items/{i}")
        for tenth in range(20):
            child.observe(tenth / 10)
"""
#: Whoever leaves series out must not win by it.
CHECK: Final = """\
found = c().count(b"\\nrequests_total{")
assert found == series, f"the page has {found} of {series} series"
"""
_SCRAPED: Final = f"""\
registry = m.CollectorRegistry()
{FILL}
fill(series, series // 10)
c = lambda: m.generate_latest(registry)
{CHECK}"""
_APP: Final = f"""\
registry = m.CollectorRegistry()
{FILL}
fill(0, children)
c = m.make_asgi_app(registry)
headers = []
"""
_GZIP: Final = 'headers = [(b"accept-encoding", b"gzip")]\n'

_SERIES: Final = """\
c = m.Counter("requests", "Requests.", ("path", "status"), registry=None{options})
"""
_SERIES_OPS: Final = {
    "new": "labels(k, v).inc()",
    "count": "sum(s.name.endswith('_total') for family in c.collect() for s in family.samples)",
}


def family(
    name: str,
    kinds: Sequence[str],
    make: str,
    *,
    ops: dict[str, str] | None = None,
    bind: str = "",
    needs: str | None = None,
    backend: Backend | None = None,
    own_process: bool = False,
) -> Contender:
    """
    Describe what takes part in rows of metrics.

    The operations of kind ``metrics``: ``inc``, ``child``, ``labels``, ``labels-kw``, ``set``,
    ``observe``, ``summary``, ``time``; of ``scrape``: ``scrape``, one page of ``series`` counters;
    of ``series``: ``new``, a series with the label values ``k`` and ``v``, and ``count``, an
    expression for how many there are. For ``scrape-loop``, *make* builds ``c``, an ASGI
    application that shows ``children`` histograms, and ``headers``, those of the request.
    """
    return Contender(
        name,
        frozenset(kinds),
        make,
        ops or {},
        bind,
        needs=needs,
        backend=backend,
        own_process=own_process,
    )


def prometheus_like(
    name: str, module: str, *, needs: str | None, backend: Backend | None = None, options: str = ""
) -> list[Contender]:
    """
    Return the contenders of a module with prometheus_client's interface.

    Args:
        name: What the tables call it.
        module: Statements that make it ``m``.
        needs: The distribution it comes from.
        backend: Which penstock it is.
        options: More arguments of the counter that gets very many series.
    """

    def one(kind: str, make: str, ops: dict[str, str], bind: str, also: str = "") -> Contender:
        made = module + make
        return family(name + also, [kind], made, ops=ops, bind=bind, needs=needs, backend=backend)

    return [
        one("metrics", _OPERATIONS, _OPS, _BIND),
        one("scrape", _SCRAPED, {"scrape": "page()"}, "page = c"),
        one("scrape-loop", _APP, {}, ""),
        one("scrape-loop", _APP + _GZIP, {}, "", also=", gzip"),
        one("series", _SERIES.format(options=options), _SERIES_OPS, "labels = c.labels"),
    ]


def _ours(backend: Backend) -> list[Contender]:
    suffix = "" if backend == "native" else " (pure)"
    found = prometheus_like(
        f"penstock metrics{suffix}",
        "m = penstock.metrics\n",
        needs=None,
        backend=backend,
        options=", max_series=None",
    )
    return [
        *found,
        family(
            f"penstock ASGIMiddleware{suffix}",
            ["middleware"],
            "f.add_middleware(penstock.metrics.ASGIMiddleware, registry=registry)",
            backend=backend,
        ),
        family(
            f"penstock instrument{suffix}",
            ["middleware"],
            "penstock.metrics.instrument(f, registry=registry)",
            backend=backend,
        ),
    ]


METRICS: Final[tuple[Contender, ...]] = (
    *_ours("native"),
    *_ours("pure"),
    family(
        "dict, tuple of labels to float",
        ["series"],
        "c = {}",
        ops={"new": "c[k, v] = c.get((k, v), 0.0) + 1.0", "count": "len(c)"},
    ),
)
