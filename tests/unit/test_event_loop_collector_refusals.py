"""What an `EventLoopMonitor` refuses."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from penstock.metrics._event_loop import EventLoopMonitor

#: Nothing is due within the test.
NEVER: Any = {"interval": 1000, "threshold": 1000}


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry for one test."""
    return CollectorRegistry()


def is_shown(registry: CollectorRegistry) -> bool:
    """Whether a loop is."""
    return registry.get_sample_value("event_loop_lag_seconds_count", {"loop": "main"}) is not None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": 5}, TypeError, "name must be a str, got int"),
        ({"name": ""}, ValueError, "name must not be empty"),
        ({"timer": 5}, TypeError, "timer must be callable, got int"),
        ({"interval": 0}, ValueError, "interval must be > 0, got 0"),
        ({"interval": 0.0005}, ValueError, "interval must be >= 0.001, got 0.0005"),
        ({"threshold": -1}, ValueError, "threshold must be > 0, got -1"),
        (
            {"threshold": "1"},
            TypeError,
            "threshold must be a number of seconds or a timedelta, got str",
        ),
    ],
)
def test_wrong_arguments_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        EventLoopMonitor(**options)


def test_a_timedelta_will_do() -> None:
    second = timedelta(seconds=1)
    monitor = EventLoopMonitor(interval=second, threshold=second)
    assert (monitor._interval, monitor._threshold) == (1.0, 1.0)


def test_a_monitor_needs_a_running_loop(registry: CollectorRegistry) -> None:
    monitor = EventLoopMonitor(registry=registry)
    with pytest.raises(RuntimeError, match=r"^no running event loop$"):
        monitor.start()
    assert not is_shown(registry)


def test_a_monitor_cannot_be_started_twice(registry: CollectorRegistry) -> None:
    async def main() -> None:
        async with EventLoopMonitor(registry=registry, **NEVER) as monitor:
            with pytest.raises(RuntimeError, match=r"^this EventLoopMonitor is started already$"):
                monitor.start()
            assert is_shown(registry)

    asyncio.run(main())


@pytest.mark.parametrize(
    "name", ["event_loop_lag_seconds", "event_loop_blocked_seconds", "event_loop_blocks_total"]
)
def test_a_name_that_is_taken_leaves_the_registry_as_it_was(
    registry: CollectorRegistry, name: str
) -> None:
    async def main() -> None:
        gauge = Gauge(name, "Mine.", registry=registry)
        before = generate_latest(registry)
        monitor = EventLoopMonitor(registry=registry, **NEVER)
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            monitor.start()
        assert generate_latest(registry) == before
        registry.unregister(gauge)
        async with monitor:
            assert is_shown(registry)

    asyncio.run(main())


def test_a_thread_that_cannot_start_leaves_nothing_behind(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        monitor = EventLoopMonitor(registry=registry, **NEVER)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                monitor.start()
        assert generate_latest(registry) == b""
        async with monitor:
            assert is_shown(registry)

    asyncio.run(main())
