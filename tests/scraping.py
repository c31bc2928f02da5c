"""Scrapes without a server: requests to an ASGI application, and a collector that waits."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from tests.asgi import Connection
from tests.threads import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric
    from tests.asgi import App

__all__ = ["HeldCollector", "Request", "join_scrapes"]

THREADS = "penstock-scrape"


def join_scrapes() -> None:
    """Wait for the threads that scrape."""
    for thread in threading.enumerate():
        if thread.name == THREADS:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a scrape hangs"


class HeldCollector:
    """A collector whose collections wait until they are let go, and are counted."""

    def __init__(self, name: str = "held") -> None:
        self.name = name
        self.inside = threading.Semaphore(0)
        self.go = threading.Event()
        self.threads: list[threading.Thread] = []
        self.at_once = 0
        self.peak = 0
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self.name, "How often it was collected.")]

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            self.threads.append(threading.current_thread())
            self.at_once += 1
            self.peak = max(self.peak, self.at_once)
            count = len(self.threads)
        self.inside.release()
        assert self.go.wait(LIMIT), "nobody let the collector go"
        with self._lock:
            self.at_once -= 1
        return [GaugeMetricFamily(self.name, "How often it was collected.", count)]

    async def entered(self) -> None:
        """Wait, without holding the loop, until one more collection has begun."""
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, self.inside.acquire, True, LIMIT)


class Request(Connection):
    """A request for metrics, and what was sent back."""

    def __init__(
        self,
        method: str = "GET",
        query: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] = (),
        path: str = "/metrics",
    ) -> None:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query,
            "headers": headers,
        }
        super().__init__(scope, [{"type": "http.request", "body": b"", "more_body": False}])

    async def to(self, app: App) -> Request:
        """Make the request."""
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def answer(self) -> dict[str, str]:
        """The headers that were sent back."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}
