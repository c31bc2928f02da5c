"""From the start of an `EventLoopMonitor` to its end, with its thread."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.loading import settle
from tests.threads import LIMIT, spawn

from penstock.metrics import _event_loop
from penstock.metrics._event_loop import EventLoopMonitor
from penstock.metrics._heartbeat import Heartbeat

#: Nothing is due within the test.
NEVER: Any = {"interval": 1000, "threshold": 1000}
#: Something is due at once.
SOON: Any = {"interval": 0.005, "threshold": 0.02}


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry for one test."""
    return CollectorRegistry()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Neither threads nor metrics, whatever a test does."""
    yield
    watchers = [each for each in threading.enumerate() if each.name.startswith("penstock-watch")]
    for watcher in watchers:
        watcher.join(LIMIT / 4)
    assert [watcher for watcher in watchers if watcher.is_alive()] == []
    assert _event_loop._shown == {}


def heart_of(monitor: EventLoopMonitor) -> Heartbeat:
    assert monitor._heart is not None
    return monitor._heart


def ends(heart: Heartbeat) -> bool:
    """Whether the thread ends."""
    heart.watcher.join(LIMIT)
    return not heart.watcher.is_alive()


def loops(registry: CollectorRegistry) -> dict[str, float]:
    """The loops that are shown, with their number of beats."""
    return {
        sample.labels["loop"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "event_loop_lag_seconds_count"
    }


class Log(logging.Handler):
    """Sets an event and calls back for each record, in the thread that logs."""

    def __init__(self, call: Any = id) -> None:
        super().__init__()
        self.came = threading.Event()
        self.call = call

    def emit(self, record: logging.LogRecord) -> None:
        self.call(record)
        self.came.set()


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged."""
    handler = Log()
    logger = logging.getLogger("penstock.metrics")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_blocked_loop_is_seen_while_it_is_blocked(registry: CollectorRegistry, log: Log) -> None:
    seen: list[Any] = []

    def scrape(record: logging.LogRecord) -> None:
        for name in ("blocked_seconds", "blocks_total"):
            value = registry.get_sample_value(f"event_loop_{name}", {"loop": "main"})
            seen.append((record.threadName, value))
        seen.append(record.getMessage())

    async def main() -> None:
        async with EventLoopMonitor(registry=registry, **SOON):
            await asyncio.sleep(0)
            blocks_here()

    def blocks_here() -> None:
        assert log.came.wait(LIMIT), "nobody saw it"

    log.call = scrape
    asyncio.run(main())
    (where, blocked), (_, blocks), message = seen
    assert where == "penstock-watch-main"
    assert 0.02 <= blocked < LIMIT
    assert blocks == 1
    assert message.startswith("event loop 'main' has been blocked for 0.0")
    assert "in main\n    blocks_here()" in message
    assert "assert log.came.wait(LIMIT)" in message


def test_a_loop_beats_by_itself(registry: CollectorRegistry) -> None:
    async def main() -> None:
        beaten = asyncio.Event()
        async with EventLoopMonitor("fast", interval=0.001, registry=registry) as monitor:
            heart = heart_of(monitor)
            observe, beats = heart.observe, 0

            def count(late: float) -> None:
                nonlocal beats
                observe(late)
                beats += 1
                if beats == 5:
                    beaten.set()

            heart.observe = count
            await asyncio.wait_for(beaten.wait(), LIMIT)
            assert loops(registry)["fast"] >= 5

    asyncio.run(main())


def test_the_metrics_are_there_as_long_as_a_loop_is(registry: CollectorRegistry) -> None:
    async def main() -> None:
        assert generate_latest(registry) == b""
        async with EventLoopMonitor(registry=registry, **NEVER) as monitor:
            assert monitor.name == "main"
            names = {family.name for family in registry.collect()}
            assert names == {
                "event_loop_lag_seconds",
                "event_loop_blocked_seconds",
                "event_loop_blocks",
            }
        assert generate_latest(registry) == b""
        assert ends(heart_of(monitor))

    asyncio.run(main())


def test_several_loops_are_told_apart(registry: CollectorRegistry) -> None:
    def run(name: str) -> None:
        async def main() -> None:
            async with EventLoopMonitor(name, registry=registry, **NEVER) as monitor:
                for _ in name:
                    heart_of(monitor)._beat.due -= 1000
                    heart_of(monitor).beat()
                await asyncio.to_thread(started.wait, LIMIT)
                await asyncio.to_thread(checked.wait, LIMIT)

        asyncio.run(main())

    started, checked = threading.Barrier(3), threading.Event()
    running = [spawn(run, name) for name in ("a", "bcd")]
    started.wait(LIMIT)
    assert loops(registry) == {"a": 1, "bcd": 3}
    checked.set()
    for each in running:
        each.result()
    assert loops(registry) == {}


def test_loops_of_the_same_name_share_their_series(registry: CollectorRegistry) -> None:
    async def main() -> None:
        now = [0.0, 0.0]
        async with EventLoopMonitor(registry=registry, timer=lambda: now[0], **NEVER) as first:
            async with EventLoopMonitor(registry=registry, timer=lambda: now[1], **NEVER) as other:
                now[:] = [1000.0, 1000.0]
                for monitor in (first, other):
                    heart_of(monitor).beat()
                assert loops(registry) == {"main": 2}
                now[:] = [5000.0, 9000.0]
                blocked = registry.get_sample_value("event_loop_blocked_seconds", {"loop": "main"})
                assert blocked == other.blocked_seconds == 7000
                assert first.blocked_seconds == 3000
            assert loops(registry) == {"main": 2}
        assert loops(registry) == {}

    asyncio.run(main())


def test_loops_may_be_shown_in_several_registries(registry: CollectorRegistry) -> None:
    async def main() -> None:
        other = CollectorRegistry()
        async with (
            EventLoopMonitor("a", registry=registry, **NEVER),
            EventLoopMonitor("b", registry=other, **NEVER),
        ):
            assert (loops(registry), loops(other)) == ({"a": 0}, {"b": 0})

    asyncio.run(main())


def test_a_loop_that_comes_again_begins_at_zero(registry: CollectorRegistry) -> None:
    async def main() -> None:
        async with EventLoopMonitor("other", registry=registry, **NEVER):
            for _ in range(2):
                async with EventLoopMonitor(registry=registry, **NEVER) as monitor:
                    assert loops(registry)["main"] == 0
                    heart_of(monitor)._beat.due -= 1000
                    heart_of(monitor).beat()
                    assert loops(registry)["main"] == 1
                assert loops(registry).keys() == {"other"}

    asyncio.run(main())


class TestClosing:
    """``aclose``."""

    def test_may_be_called_again_and_from_elsewhere(self, registry: CollectorRegistry) -> None:
        async def main() -> None:
            monitor = EventLoopMonitor(registry=registry, **NEVER).start()
            await asyncio.to_thread(lambda: asyncio.run(monitor.aclose()))
            assert loops(registry) == {}
            handle = heart_of(monitor)._handle
            heart_of(monitor).beat()  # this loop has not heard of it
            assert heart_of(monitor)._handle is handle
            await monitor.aclose()
            assert ends(heart_of(monitor))
            assert monitor.blocked_seconds == 0

        asyncio.run(main())

    def test_may_come_without_a_start(self, registry: CollectorRegistry) -> None:
        async def main() -> None:
            monitor = EventLoopMonitor(registry=registry, **NEVER)
            assert monitor.blocked_seconds == 0
            await monitor.aclose()
            with pytest.raises(
                RuntimeError, match=r"^this EventLoopMonitor is closed, make another$"
            ):
                monitor.start()

        asyncio.run(main())

    def test_happens_whatever_ends_the_block(self, registry: CollectorRegistry) -> None:
        async def cancelled() -> None:
            async with EventLoopMonitor(registry=registry, **NEVER):
                await asyncio.Event().wait()

        async def raising() -> None:
            async with EventLoopMonitor(registry=registry, **NEVER):
                raise LookupError

        async def main() -> None:
            task = asyncio.create_task(cancelled())
            await settle()
            assert loops(registry) == {"main": 0}
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert loops(registry) == {}
            with pytest.raises(LookupError):
                await raising()
            assert loops(registry) == {}

        asyncio.run(main())

    def test_leaves_no_timer(self, registry: CollectorRegistry) -> None:
        async def main() -> None:
            async with EventLoopMonitor(registry=registry, **NEVER) as monitor:
                handle = heart_of(monitor)._handle()
                assert handle is not None
                assert not handle.cancelled()
            assert handle.cancelled()

        asyncio.run(main())

    def test_minds_no_metrics_that_somebody_took_out(self, registry: CollectorRegistry) -> None:
        async def main() -> None:
            async with EventLoopMonitor(registry=registry, **NEVER):
                for collector in list(registry._collector_to_names):
                    registry.unregister(collector)

        asyncio.run(main())


class TestEndings:
    """Nobody calls ``aclose``."""

    def test_a_dropped_monitor_stops(self, registry: CollectorRegistry) -> None:
        async def main() -> None:
            monitor = EventLoopMonitor(registry=registry, **SOON).start()
            heart, dropped = heart_of(monitor), weakref.ref(monitor)
            del monitor
            assert dropped() is None
            assert await asyncio.to_thread(ends, heart)
            assert loops(registry) == {}
            handle = heart._handle
            heart.beat()
            assert heart._handle is handle

        asyncio.run(main())

    def test_a_loop_that_is_closed_is_watched_no_more(self, registry: CollectorRegistry) -> None:
        async def main() -> tuple[EventLoopMonitor, asyncio.AbstractEventLoop]:
            monitor = EventLoopMonitor(registry=registry, **SOON).start()
            return monitor, asyncio.get_running_loop()

        monitor, loop = asyncio.run(main())
        assert loop.is_closed()
        assert monitor.blocked_seconds == 0
        assert ends(heart_of(monitor))
        assert loops(registry) == {}
        asyncio.run(monitor.aclose())

    def test_a_loop_is_not_kept_alive(self, registry: CollectorRegistry) -> None:
        kept: list[EventLoopMonitor] = []

        async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
            kept.append(EventLoopMonitor(registry=registry, **NEVER).start())
            return weakref.ref(asyncio.get_running_loop())

        dead = asyncio.run(main())
        gc.collect()
        assert dead() is None
        assert heart_of(kept[0]).look() is None
        asyncio.run(kept[0].aclose())

    def test_the_context_of_whoever_started_it_is_not_kept(
        self, registry: CollectorRegistry
    ) -> None:
        class Request:
            pass

        request: ContextVar[Request] = ContextVar("request")

        async def handle() -> tuple[EventLoopMonitor, weakref.ref[Request]]:
            request.set(Request())
            return EventLoopMonitor(registry=registry, **NEVER).start(), weakref.ref(request.get())

        async def main() -> None:
            monitor, dead = await asyncio.create_task(handle())
            await settle()  # let go of the task
            gc.collect()
            assert dead() is None
            await monitor.aclose()

        asyncio.run(main())
