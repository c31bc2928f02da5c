"""The interpreter ends in silence, whatever of the metrics is still in use."""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest
from tests.stress.harness import in_child
from tests.stress.leaks import Node
from tests.threads import LIMIT

from penstock import Cache, cached
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

KINDS: list[Any] = [Counter, Gauge, Summary, Histogram]


class Last:
    """Something that uses metrics when it dies, which is when modules are already gone."""

    def __init__(self, *metrics: Any) -> None:
        self.metrics = metrics

    def __del__(self) -> None:
        for metric in self.metrics:
            series = metric.labels("last")
            (series.observe if hasattr(series, "observe") else series.inc)(1)
            metric.collect()
            metric.clear()


def keep(name: str, thing: object) -> None:
    """Keep something until the very end: modules are let go of last."""
    sys.modules[name] = thing  # type: ignore[assignment]


def run_forever(work: Any) -> None:
    """Call something in a daemon thread until the end, which it has begun when this returns."""
    begun = threading.Event()

    def run() -> None:
        while True:
            work()
            begun.set()

    threading.Thread(target=run, daemon=True).start()
    assert begun.wait(LIMIT)


@in_child
def test_end_inside_of_a_timed_block() -> None:
    for kind in (Gauge, Summary, Histogram):
        timer = kind(f"delay_{kind.__name__}", "Help.").time()
        keep(f"keeps_{kind.__name__}", timer.__enter__())


@in_child
def test_end_inside_of_decorated_generators() -> None:
    delay = Histogram("delay", "Help.")
    running = Gauge("running", "Help.")

    @delay.time()
    @running.track_inprogress()
    def generate() -> Any:
        yield

    generator = generate()
    next(generator)
    keep("keeps", generator)


@in_child
def test_end_with_metrics_in_a_cycle() -> None:
    for kind in KINDS:
        family = kind(kind.__name__, "Help.", ["a"])
        node = Node(family=family, series=family.labels("x"))
        node.node = node
        if kind is Gauge:
            node.series.set_function(lambda node=node: id(node))
        node.last = Last(family)


@in_child
def test_end_with_what_uses_metrics_when_it_dies() -> None:
    families = [kind(kind.__name__, "Help.", ["a"]) for kind in KINDS]
    keep("keeps", Last(*families))


@in_child
def test_end_while_threads_count_and_scrape() -> None:
    sys.setswitchinterval(1e-5)
    families = [kind(kind.__name__, "Help.", ["a"]) for kind in KINDS]

    def count() -> None:
        for family in families:
            series = family.labels("x")
            (series.observe if hasattr(series, "observe") else series.inc)(1)

    for work in (count, count, generate_latest, generate_latest):
        run_forever(work)


@in_child
def test_end_while_a_server_serves() -> None:
    Counter("events", "Help.").inc()
    server, _ = start_http_server(0, "127.0.0.1")

    def get() -> None:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=LIMIT) as answer:
            assert b"\nevents_total 1.0\n" in answer.read()

    run_forever(get)


@in_child
def test_end_during_a_scrape_of_an_application() -> None:
    inside = threading.Event()
    waits = threading.Event()

    def value() -> float:
        inside.set()
        waits.wait()
        return 1

    Gauge("level", "Help.").set_function(value)

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        scope = {"type": "http", "method": "GET", "headers": []}
        scrape = asyncio.ensure_future(make_asgi_app()(scope, receive, send))
        assert await asyncio.to_thread(inside.wait, LIMIT)
        scrape.cancel()

    asyncio.run(main())


@in_child
def test_last_scrape_is_one_at_exit() -> None:
    counter = Counter("events", "Help.")
    counter.inc()

    def scrape() -> None:
        counter.inc()
        assert b"\nevents_total 2.0\n" in generate_latest()

    atexit.register(scrape)


def slow(*_: object) -> float:
    """Code of a user that goes on when the program is over, and wants the interpreter back then."""
    inside.set()
    for _ in range(100):
        time.sleep(0.002)
    return 1.0


inside = threading.Event()


class Slow:
    """An amount, a label value and a key that take their time."""

    __float__ = slow

    def __str__(self) -> str:
        return str(slow())

    def __hash__(self) -> int:
        return int(slow())


def count_slowly(kind: type[Counter | Gauge]) -> None:
    metric = kind("level", "Help.", registry=None)
    (metric.inc if kind is Counter else metric.set)(Slow())  # type: ignore[operator, arg-type]


def label_slowly() -> None:
    Counter("things", "Help.", ["of"], registry=None).labels(Slow())


def time_slowly() -> None:
    Histogram("seconds", "Help.", registry=None, timer=slow).observe(1)


def scrape_slowly() -> None:
    registry = CollectorRegistry()
    Gauge("level", "Help.", registry=registry).set_function(slow)
    generate_latest(registry)


def load_slowly() -> None:
    Cache[int, float](5).get_or_load(1, slow)


def look_up_slowly() -> None:
    Cache[Slow, float](5).get(Slow())


def call_slowly() -> None:
    cached(slow)()


SLOW: dict[str, Callable[[], object]] = {
    "amount of a counter": lambda: count_slowly(Counter),
    "value of a gauge": lambda: count_slowly(Gauge),
    "label": label_slowly,
    "timer": time_slowly,
    "function of a gauge": scrape_slowly,
    "loader": load_slowly,
    "hash of a key": look_up_slowly,
    "cached function": call_slowly,
}


@pytest.mark.parametrize("what", SLOW)
@in_child
def test_program_ends_while_a_daemon_thread_is_in_code_of_a_user(what: str) -> None:
    threading.Thread(target=SLOW[what], daemon=True).start()
    assert inside.wait(LIMIT)
