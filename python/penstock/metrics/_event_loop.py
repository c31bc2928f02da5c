"""How late event loops are, as metrics."""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client.registry import REGISTRY

from penstock import _backend
from penstock.metrics._classes import Counter, Gauge, Histogram
from penstock.metrics._heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from prometheus_client.registry import CollectorRegistry

__all__ = ["EventLoopMonitor"]

#: Upper bounds of the lag; below 1 ms it is the resolution of the loop's timers that is measured.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: More often than this the beat itself would be felt.
_SHORTEST_INTERVAL = 0.001


class _Series:
    """The metrics of the loops that one registry shows."""

    __slots__ = ("_blocked", "_blocks", "_lag", "_registry", "hearts")

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.hearts: dict[Heartbeat, None] = {}
        self._lag = Histogram(
            "event_loop_lag_seconds",
            "How late the event loop ran what was due.",
            ["loop"],
            registry=None,
            buckets=_BUCKETS,
        )
        self._blocked = Gauge(
            "event_loop_blocked_seconds",
            "For how long the event loop has been blocked, 0 if it is not.",
            ["loop"],
            registry=None,
        )
        self._blocks = Counter(
            "event_loop_blocks", "How often the event loop was blocked.", ["loop"], registry=None
        )

    def register(self) -> None:
        """Register all metrics or none."""
        registered = []
        try:
            for metric in self._metrics():
                self._registry.register(metric)
                registered.append(metric)
        except ValueError:
            for metric in registered:
                self._registry.unregister(metric)
            raise

    def unregister(self) -> None:
        """Take the metrics out of the registry, unless somebody did."""
        for metric in self._metrics():
            with suppress(KeyError):
                self._registry.unregister(metric)

    def add(self, heart: Heartbeat) -> None:
        """Show a loop."""
        name, hearts = heart.name, self.hearts
        if not self._has(name):
            self._remove(name)  # in a fork: what its parent has counted
        heart.observe = self._lag.labels(name).observe
        heart.count = self._blocks.labels(name).inc
        self._blocked.labels(name).set_function(
            lambda: max((one.blocked() for one in list(hearts) if one.name == name), default=0.0)
        )
        hearts[heart] = None

    def discard(self, heart: Heartbeat) -> None:
        """Show a loop no more; its series go with the last loop of the name."""
        self.hearts.pop(heart, None)
        if not self._has(heart.name):
            self._remove(heart.name)

    def _metrics(self) -> list[Histogram | Gauge | Counter]:
        return [self._lag, self._blocked, self._blocks]

    def _has(self, name: str) -> bool:
        return any(heart.name == name for heart in self.hearts)

    def _remove(self, name: str) -> None:
        for metric in self._metrics():
            metric.remove(name)


_lock = Lock()
# By the id of the registry, which is referred to.
_shown: dict[int, _Series] = {}


def _join(heart: Heartbeat, registry: CollectorRegistry) -> None:
    """Show a loop in a registry."""
    with _lock:
        series = _shown.get(id(registry))
        if series is None:
            series = _Series(registry)
            series.register()
            _shown[id(registry)] = series
        series.add(heart)


def _leave(heart: Heartbeat) -> None:
    """Show a loop no more, if it is shown; the last one takes the metrics out of the registry."""
    with _lock:
        for at, series in list(_shown.items()):
            if heart in series.hearts:
                series.discard(heart)
                if not series.hearts:
                    series.unregister()
                    del _shown[at]


def _in_fork() -> None:
    global _lock  # noqa: PLW0603  # a thread may hold it that does not exist here
    _lock = Lock()
    for series in _shown.values():
        for heart in series.hearts:
            heart.end_in_fork()
        series.hearts.clear()


def _at_exit() -> None:
    # A daemon thread that is in the middle of writing a log can crash the interpreter's end.
    hearts = [heart for series in list(_shown.values()) for heart in list(series.hearts)]
    for heart in hearts:
        heart.end()
    for heart in hearts:
        if heart.watcher.is_alive():
            heart.watcher.join(1.0)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)


class EventLoopMonitor:
    """
    Measures how late an event loop runs what is due, and tells what blocks it while it is blocked.

    Shown are the histogram ``event_loop_lag_seconds``, the gauge ``event_loop_blocked_seconds`` and
    the counter ``event_loop_blocks_total``, by the label ``loop``. The logger ``penstock.metrics``
    gets one warning for each block, with the stack of the blocked thread.

    Args:
        name: The value of the label. Loops of the same name share their series.
        interval: Seconds (or a timedelta) from one beat on the loop to the next.
        threshold: Seconds (or a timedelta) by which a beat is late on a blocked loop.
        registry: Where the metrics are shown while a loop is monitored.
        timer: Seconds on a clock of your own, for tests.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: *name* is empty; *interval* or *threshold* is out of its range.

    Cost: a timer on the loop every *interval*, and a look from a thread a little less often; some
        microseconds each.
    """

    __slots__ = (
        "__weakref__", "_heart", "_interval", "_is_closed", "_name", "_registry", "_threshold",
        "_timer",
    )  # fmt: skip

    def __init__(
        self,
        name: str = "main",
        *,
        interval: float | timedelta = 0.1,
        threshold: float | timedelta = 0.25,
        registry: CollectorRegistry = REGISTRY,
        timer: Callable[[], float] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {type(name).__name__}")
        if not name:
            raise ValueError("name must not be empty")
        if timer is not None and not callable(timer):
            raise TypeError(f"timer must be callable, got {type(timer).__name__}")
        self._interval = _backend.duration("interval", interval)
        if self._interval < _SHORTEST_INTERVAL:
            raise ValueError(f"interval must be >= {_SHORTEST_INTERVAL}, got {self._interval:g}")
        self._threshold = _backend.duration("threshold", threshold)
        self._name = name
        self._registry = registry
        self._timer = monotonic if timer is None else timer
        self._heart: Heartbeat | None = None
        self._is_closed = False

    @property
    def name(self) -> str:
        """
        The value of the label.
        """
        return self._name

    @property
    def blocked_seconds(self) -> float:
        """
        For how long the loop has been blocked, 0.0 if it is not.
        """
        return 0.0 if self._heart is None else self._heart.blocked()

    def start(self) -> Self:
        """
        Begin to monitor the running event loop.

        It ends with `aclose`, with the loop, or when the monitor is dropped: keep it.

        Returns:
            The monitor.

        Raises:
            RuntimeError: No loop is running; the monitor is started or closed already.
            ValueError: The registry has something else of the same name.
        """
        if self._is_closed:
            raise RuntimeError("this EventLoopMonitor is closed, make another")
        if self._heart is not None:
            raise RuntimeError("this EventLoopMonitor is started already")
        heart = Heartbeat(self, self._name, self._interval, self._threshold, self._timer, _leave)
        _join(heart, self._registry)
        try:
            heart.start()
        except BaseException:
            heart.end()
            _leave(heart)
            raise
        self._heart = heart
        return self

    async def aclose(self) -> None:
        """
        Stop, and take the series out of the registry.

        It waits for nothing; the thread ends by itself. May be called again, and on any loop.
        """
        self._is_closed = True
        if self._heart is not None:
            self._heart.end()
            _leave(self._heart)

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
