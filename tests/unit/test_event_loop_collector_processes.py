"""`EventLoopMonitor` in forks and where the interpreter ends, each in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import Any

from prometheus_client import CollectorRegistry
from tests.stress.forking import check_in_fork
from tests.stress.harness import cases, in_child

from penstock.metrics import _event_loop
from penstock.metrics._event_loop import EventLoopMonitor

NEVER: Any = {"interval": 1000, "threshold": 1000}
SOON: Any = {"interval": 0.005, "threshold": 0.01}


def value(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(f"event_loop_{name}", {"loop": "main"})


def beat(monitor: EventLoopMonitor) -> None:
    assert monitor._heart is not None
    monitor._heart._beat.due -= 1000
    monitor._heart.beat()


def silence() -> None:
    logging.getLogger("penstock.metrics").addHandler(logging.NullHandler())
    logging.getLogger("penstock.metrics").propagate = False


@in_child
def test_a_fork_is_not_blocked_and_may_watch_a_loop_of_its_own() -> None:
    registry = CollectorRegistry()

    async def main() -> None:
        now = [0.0]
        async with EventLoopMonitor(registry=registry, timer=lambda: now[0], **NEVER) as monitor:
            beat(monitor)
            now[0] = 9000.0
            assert value(registry, "blocked_seconds") == monitor.blocked_seconds == 8000
            check_in_fork(lambda: in_fork(monitor))
            assert value(registry, "blocked_seconds") == 8000

    def in_fork(inherited: EventLoopMonitor) -> None:
        assert value(registry, "blocked_seconds") == inherited.blocked_seconds == 0
        beat(inherited)
        assert value(registry, "lag_seconds_count") == 1  # as it was
        thread = threading.Thread(target=asyncio.run, args=[watch(inherited)])
        thread.start()
        thread.join()
        assert _event_loop._shown == {}

    async def watch(inherited: EventLoopMonitor) -> None:
        async with EventLoopMonitor(registry=registry, **NEVER) as monitor:
            assert value(registry, "lag_seconds_count") == 0
            beat(monitor)
            assert value(registry, "lag_seconds_count") == 1
            await inherited.aclose()
            assert value(registry, "lag_seconds_count") == 1

    asyncio.run(main())


@in_child
def test_a_fork_that_comes_while_locks_are_held_does_not_hang() -> None:
    registry = CollectorRegistry()

    async def main() -> None:
        async with EventLoopMonitor(registry=registry, **NEVER) as monitor:
            assert monitor._heart is not None
            with _event_loop._lock, monitor._heart._wake._cond:  # type: ignore[attr-defined]
                check_in_fork(lambda: close(monitor))

    def close(monitor: EventLoopMonitor) -> None:
        thread = threading.Thread(target=asyncio.run, args=[monitor.aclose()])
        thread.start()
        thread.join()

    asyncio.run(main())


@in_child
@cases("how", ["closed", "left", "blocked"])
def test_the_interpreter_ends_quietly(how: str) -> None:
    silence()
    registry = CollectorRegistry()
    started = threading.Event()

    async def main() -> None:
        monitor = EventLoopMonitor(registry=registry, **SOON).start()
        globals()["kept"] = monitor
        started.set()
        if how == "closed":
            await monitor.aclose()
        elif how == "blocked":
            while True:
                time.sleep(0.02)  # noqa: ASYNC251  # the subject
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=[main()], daemon=True).start()
    started.wait()


@in_child
def test_threads_are_gone_before_the_interpreter_is() -> None:
    import atexit

    async def main() -> None:
        globals()["kept"] = EventLoopMonitor(registry=CollectorRegistry(), **NEVER).start()

    def check() -> None:
        # What is registered first is called last.
        assert kept._heart is not None  # type: ignore[name-defined]  # noqa: F821
        os._exit(kept._heart.watcher.is_alive())  # type: ignore[name-defined]  # noqa: F821

    atexit.unregister(_event_loop._at_exit)
    atexit.register(check)
    atexit.register(_event_loop._at_exit)
    asyncio.run(main())
