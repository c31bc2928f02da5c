"""Forks after metrics exist: the child counts and serves by itself, the parent never notices."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any
from urllib.request import urlopen

from tests.clock import Clock
from tests.stress.forking import check_in_fork
from tests.stress.harness import in_child, rounds
from tests.threads import LIMIT, spawn

from penstock.metrics import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    generate_latest,
    make_asgi_app,
    start_http_server,
)


class Service:
    """Metrics of all kinds, with series, in a registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter("events", "Help.", ["a"], registry=self.registry)
        self.level = Gauge("level", "Help.", registry=self.registry)
        self.size = Summary("size", "Help.", registry=self.registry)
        self.delay = Histogram("delay", "Help.", registry=self.registry, timer=Clock())

    def use(self) -> None:
        """Count everything once."""
        self.events.labels("x").inc()
        self.level.inc()
        self.size.observe(2)
        with self.delay.time():
            pass

    def counted(self) -> set[float]:
        """How often it was used, by each metric."""
        value = self.registry.get_sample_value
        return {
            value("events_total", {"a": "x"}) or 0,
            value("level") or 0,
            value("size_count") or 0,
            (value("size_sum") or 0) / 2,
            value("delay_count") or 0,
            self.delay.count(),
        }

    def page(self) -> str:
        return generate_latest(self.registry).decode()


@in_child
def test_fork_goes_on_from_what_was_counted_and_the_parent_does_not_see_it() -> None:
    service = Service()
    service.use()
    page = service.page()

    def use() -> None:
        assert service.page() == page
        for _ in range(5):
            service.use()
        assert service.counted() == {6}
        assert 'events_total{a="x"} 6.0\n' in service.page()
        service.events.labels("made in the fork").inc()
        service.events.remove("x")
        assert len(service.events._metrics) == 1
        Counter("made_in_the_fork", "Help.", registry=service.registry).inc()

    for _ in range(3):
        check_in_fork(use)
    assert service.page() == page
    service.use()
    assert service.counted() == {2}


@in_child
def test_fork_of_a_fork() -> None:
    service = Service()

    def deeper(depth: int) -> None:
        service.use()
        assert service.counted() == {depth}
        if depth < 4:
            check_in_fork(lambda: deeper(depth + 1))
        assert service.counted() == {depth}

    deeper(1)


@in_child
def test_fork_while_threads_count_and_scrape() -> None:
    sys.setswitchinterval(1e-5)
    service = Service()
    done = threading.Event()

    def count() -> None:
        number = 0
        while not done.is_set():
            service.use()
            service.events.labels(number % 50).inc()
            service.events.remove(number % 7)
            number += 1

    def scrape() -> None:
        while not done.is_set():
            service.page()
            list(service.registry.collect())

    def use() -> None:
        before = service.events.labels("x")._value.get()
        for _ in range(10):
            service.use()
        assert service.events.labels("x")._value.get() == before + 10
        assert "delay_count " in service.page()
        Counter("made_in_the_fork", "Help.", registry=CollectorRegistry()).inc()
        spawn(service.use).result()

    threads = [spawn(count), spawn(count), spawn(scrape), spawn(scrape)]
    try:
        for _ in range(rounds(30)):
            check_in_fork(use)
    finally:
        done.set()
    for thread in threads:
        thread.result()


@in_child
def test_fork_inside_of_a_function_of_a_gauge() -> None:
    service = Service()
    service.use()

    def value() -> float:
        if not forked:
            forked.append(True)
            check_in_fork(use)
        return 7

    def use() -> None:
        service.use()
        page = service.page()
        assert "level 7.0\n" in page
        assert "size_count 2.0\n" in page

    forked: list[bool] = []
    service.level.set_function(value)
    page = service.page()
    assert forked == [True]
    assert "level 7.0\n" in page
    assert "size_count 1.0\n" in page


@in_child
def test_fork_inside_of_a_timed_block() -> None:
    service = Service()
    with service.delay.time() as timer:
        check_in_fork(lambda: timer.__exit__(None, None, None))
        assert service.delay.count() == 0
    assert service.delay.count() == 1


@in_child
def test_fork_of_a_server_serves_its_own_counts() -> None:
    service = Service()

    def get(port: int) -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def serve() -> None:
        service.use()
        own, _ = start_http_server(0, "127.0.0.1", service.registry)
        assert get(own.server_port) == service.page()
        assert "size_count 2.0\n" in service.page()

    server, thread = start_http_server(0, "127.0.0.1", service.registry)
    service.use()
    assert get(server.server_port) == service.page()
    check_in_fork(serve)
    assert "size_count 1.0\n" in get(server.server_port)
    server.shutdown()
    server.server_close()
    thread.join(LIMIT)


@in_child
def test_fork_during_a_scrape_of_an_application_scrapes_by_itself() -> None:
    service = Service()
    service.use()
    app = make_asgi_app(service.registry)
    inside, go = threading.Event(), threading.Event()

    def value() -> float:
        if not inside.is_set():
            inside.set()
            assert go.wait(LIMIT)
        return 5

    async def scrape() -> bytes:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        await app({"type": "http", "method": "GET", "headers": []}, receive, send)
        body: bytes = sent[1]["body"]
        return body

    service.level.set_function(value)
    held = spawn(lambda: asyncio.run(scrape()))
    assert inside.wait(LIMIT)
    check_in_fork(lambda: _check_level(asyncio.run(scrape())))
    go.set()
    _check_level(held.result())


def _check_level(page: bytes) -> None:
    assert b"\nlevel 5.0\n" in page
