"""Scrapes in the worst company: forks, threads that count, series that come and go."""

from __future__ import annotations

import asyncio
import sys
import threading

from prometheus_client import CollectorRegistry
from tests.scraping import HeldCollector, Request
from tests.stress.forking import check_in_fork
from tests.stress.harness import in_child, rounds
from tests.threads import LIMIT, spawn

from penstock.metrics import Counter, Gauge, Histogram, generate_latest, make_asgi_app
from penstock.metrics._asgi import MetricsApp


def scrape(app: MetricsApp) -> bytes:
    async def main() -> bytes:
        request = await Request().to(app)
        assert request.status == 200
        return request.body

    return asyncio.run(main())


@in_child
def test_application_in_use_at_fork_time_works_in_the_fork() -> None:
    """Both of its threads are in a collector, others wait, and its lock may be held."""
    registry = CollectorRegistry()
    held = HeldCollector()
    registry.register(held)
    app = make_asgi_app(registry)
    clients = []
    for _ in range(2):
        clients.append(spawn(scrape, app))
        assert held.inside.acquire(timeout=LIMIT)
    clients += [spawn(scrape, app) for _ in range(4)]

    def use() -> None:
        held.go.set()
        for _ in range(3):
            assert b"held" in scrape(app)

    with app._scraper._lock:
        check_in_fork(use)
    held.go.set()
    for client in clients:
        assert b"held" in client.result()


@in_child
def test_scrapes_go_on_in_forks_made_during_scrapes() -> None:
    sys.setswitchinterval(1e-5)
    registry = CollectorRegistry()
    counter = Counter("hits", "Of pages.", ["page"], registry=registry)
    for page in range(100):
        counter.labels(page).inc()
    app = make_asgi_app(registry)
    scrape(app)  # a fork during the very first loop of a process hangs in asyncio
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            scrape(app)
            generate_latest(registry)
            registry.unregister(Gauge("short_lived", "There for a moment.", registry=registry))

    def use() -> None:
        assert scrape(app).count(b"hits_total{") == 100
        assert generate_latest(registry).count(b"hits_total{") == 100

    worker = spawn(work)
    try:
        for _ in range(rounds(20)):
            check_in_fork(use)
    finally:
        done.set()
    worker.result()


@in_child
def test_series_that_come_and_go_during_scrapes_leave_whole_pages() -> None:
    sys.setswitchinterval(1e-5)
    registry = CollectorRegistry()
    counter = Counter("hits", "Of pages.", ["page"], registry=registry)
    times = Histogram("time", "Of pages.", ["page"], registry=registry, buckets=[1])
    done = threading.Event()

    def count(offset: int) -> None:
        number = offset
        while not done.is_set():
            number += 1
            counter.labels(number % 50).inc()
            times.labels(number % 50).observe(number % 3)
            if number % 7 == 0:
                counter.remove(number % 50)
                times.clear()

    workers = [spawn(count, offset) for offset in range(3)]
    try:
        for _ in range(rounds(50)):
            page = generate_latest(registry).decode()
            assert "scrape_errors" not in page
            numbers = dict(line.rsplit(" ", 1) for line in page.splitlines())
            for series, total in numbers.items():
                # The count and the last bucket of a histogram agree in every page.
                if series.startswith("time_count{"):
                    labels = series.removeprefix("time_count{")
                    assert numbers['time_bucket{le="+Inf",' + labels] == total
    finally:
        done.set()
    for worker in workers:
        worker.result()
