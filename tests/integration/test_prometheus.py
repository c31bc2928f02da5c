"""A real Prometheus reads what we write."""

from __future__ import annotations

import asyncio
import json
import subprocess
from math import inf
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

pytest.importorskip("aiohttp")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from tests.integration.prometheus import Prometheus, find_program, running_prometheus

from penstock.demo._client import request_all
from penstock.demo._documents import build_database
from penstock.demo._process import running_service
from penstock.metrics import (
    Counter,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
    start_http_server,
)
from penstock.metrics._exposition import render
from penstock.metrics._negotiation import OPENMETRICS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prometheus_client.core import Metric

#: Text that has broken somebody's exporter.
EXOTIC = [
    "", " ", "plain", 'a "quoted" one', "back\\slash", "trailing\\", "line\nfeed", "\\n", "\r\n",
    "tab\t", "{a=\"b\",} 1.0", "# HELP x", "größe", "日本語", "😀", "\u2028", "\u202e", "e\u0301",
    "\ud800", "\x7f", "a,b", "a=b", "__overflow__", "x" * 1000,
]  # fmt: skip


def make_exotic() -> CollectorRegistry:
    """A registry of all kinds, with such names and values as Python and HTTP bring along."""
    registry = CollectorRegistry()
    counter = Counter(
        "texts", 'With \\ and \n and " in it.', ["text", "a.b", "größe"], registry=registry
    )
    times = Histogram("text_seconds", "Time.", ["text"], registry=registry, buckets=[0.1, 1e6])
    waits = Summary("wait", "Time to wait.", ["text"], unit="seconds", registry=registry)
    levels = Gauge("level.of tank", "An exotic name.", ["text"], registry=registry)
    for number, text in enumerate(EXOTIC):
        counter.labels(text, text, text).inc(number, {"trace_id": "é"})
        times.labels(text).observe(number, {"trace_id": text[:20].replace("\ud800", "")})
        waits.labels(text).observe(number)
        levels.labels(text).set([inf, -inf, float("nan"), -0.0, 1e300][number % 5])
    Info("build", "Of this service.", registry=registry).info({"version": "1.0"})
    return registry


async def _check_demo(prometheus: Prometheus) -> None:
    of_documents = '{handler="/documents/{document_id:int}"}'
    answers = f"sum by (status) (http_requests_total{of_documents})"
    await prometheus.wait_for(
        answers, lambda got: got == {'{"status": "200"}': 4, '{"status": "404"}': 1}
    )
    for expression, expected in {
        "up": 1,
        'sum (penstock_cache_hits_total{name="documents"})': 2,
        f"sum (http_request_duration_seconds_count{of_documents})": 5,
        "count (process_cpu_seconds_total)": 1,
        "count (penstock_metrics_scrape_errors) or vector(0)": 0,
    }.items():
        await prometheus.wait_for(expression, lambda got, want=expected: [*got.values()] == [want])  # type: ignore[misc]
    buckets = "sum by (le) (http_request_duration_seconds_bucket)"
    assert 0 < (await prometheus.query(f"histogram_quantile(0.5, {buckets})"))["{}"] < 60


def test_prometheus_stores_what_the_demo_service_counts(tmp_path: Path) -> None:
    find_program("prometheus")
    database = tmp_path / "documents.sqlite"
    for _ in build_database(database, 10, 1):
        pass

    async def main() -> None:
        service_args = ("--cache-size", "5")
        async with running_service(database, service_args, tmp_path / "log") as service:
            documents = [1, 2, 1, 1, 99]
            await request_all(service.url, documents, 1, lambda done, total: None, 60)
            target = service.url.removeprefix("http://")
            async with running_prometheus(target, tmp_path) as prometheus:
                await _check_demo(prometheus)
                (answer,) = (await prometheus.ask("targets"))["activeTargets"]
                assert (answer["health"], answer["lastError"]) == ("up", "")
                assert "Error on ingesting" not in prometheus.log.read_text()

    asyncio.run(main())


def test_prometheus_stores_exotic_labels_unchanged(tmp_path: Path) -> None:
    """Over HTTP, negotiated, compressed: the whole way of a label value."""
    find_program("prometheus")
    server, thread = start_http_server(0, "127.0.0.1", make_exotic())

    async def main() -> None:
        async with running_prometheus(f"127.0.0.1:{server.server_port}", tmp_path) as prometheus:
            expected = {text.replace("\ud800", "\ufffd") for text in EXOTIC}
            for name in ("texts_total", "text_seconds_count", "wait_seconds_sum", "level_of_tank"):
                await prometheus.wait_for(name, lambda got: len(got) == len(EXOTIC))
                values = await prometheus.query(name)
                # A label without a value is no label to Prometheus.
                assert {json.loads(labels).get("text", "") for labels in values} == expected
            assert "Error on ingesting" not in prometheus.log.read_text()

    try:
        asyncio.run(main())
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


# Not "dots": with these prometheus_client's samples are not named after their families.
@pytest.mark.parametrize("escaping", ["underscores", "values"])
def test_promtool_accepts_every_line(escaping: str) -> None:
    page = generate_latest(make_exotic(), escaping)
    check = subprocess.run(
        [find_program("promtool"), "check", "metrics"],
        input=page,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert (check.returncode, check.stdout, check.stderr.decode()) == (0, b"", "")


def _of_texts(families: Iterable[Metric]) -> dict[str, float]:
    samples = [sample for family in families for sample in family.samples]
    return {each.labels["text"]: each.value for each in samples if each.name == "texts_total"}


@pytest.mark.parametrize("escaping", ["underscores", "allow-utf-8", "values"])
def test_parsers_of_prometheus_client_read_both_formats_back(escaping: str) -> None:
    registry = make_exotic()
    expected = {text.replace("\ud800", "\ufffd"): at for at, text in enumerate(EXOTIC)}
    text = generate_latest(registry, escaping).decode()
    assert _of_texts(parse_text(text)) == expected
    openmetrics = render(registry, OPENMETRICS._replace(escaping=escaping)).decode()
    assert _of_texts(parse_openmetrics(openmetrics)) == expected
