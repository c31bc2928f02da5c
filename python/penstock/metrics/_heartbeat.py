"""A beat on an event loop, and a thread that sees when it fails to come."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from contextvars import Context
from math import floor
from threading import Event, Thread, get_ident
from typing import TYPE_CHECKING, Literal, NamedTuple
from weakref import ref

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

__all__ = ["Check", "Heartbeat", "check"]

logger = logging.getLogger("penstock.metrics")

#: Beats that are made up for after a block, so that making up for them never is one.
_MOST_MISSED = 1000

#: Frames shown of a blocked thread, the innermost ones.
_MOST_FRAMES = 50


class Check(NamedTuple):
    """What a look at the loop says, and in how many seconds to look again."""

    state: Literal["running", "blocked", "stopped"]
    wait: float


def check(now: float, due: float, *, running: bool, interval: float, threshold: float) -> Check:
    """
    Decide in what state a loop is.

    Args:
        now: The time.
        due: When the earliest beat was due that has not come.
        running: Whether the loop is.
        interval: Time from beat to beat.
        threshold: How late a beat is on a blocked loop.

    Returns:
        The next look is when the next beat is too late, so that looks are as rare as beats.
    """
    if not running:
        return Check("stopped", interval + threshold)
    late = now - due
    return Check("blocked", interval) if late >= threshold else Check("running", threshold - late)


class _Beat:
    """A beat to come, and with it the block of the loop by which it may be late."""

    __slots__ = ("_unclaimed", "due")

    def __init__(self, due: float) -> None:
        self.due = due
        self._unclaimed = [True]

    def claim(self) -> bool:
        """Return True to the first of the loop and the thread that sees the block."""
        try:
            return self._unclaimed.pop()
        except IndexError:
            return False


class Heartbeat:
    """
    The beat of the running event loop, and the thread that watches it.

    Args:
        owner: Referred to weakly; the beat ends with it.
        name: Of the loop, for messages.
        interval: Seconds from beat to beat.
        threshold: Seconds by which a beat is late on a blocked loop.
        timer: The clock, in seconds.
        on_end: Called by the thread when it ends.
    """

    __slots__ = (
        "_beat", "_ended", "_handle", "_interval", "_loop", "_on_end", "_owner", "_stopped",
        "_thread", "_threshold", "_timer", "_wake", "count", "name", "observe", "watcher",
    )  # fmt: skip

    def __init__(
        self,
        owner: object,
        name: str,
        interval: float,
        threshold: float,
        timer: Callable[[], float],
        on_end: Callable[[Heartbeat], object],
    ) -> None:
        self.name = name
        #: Called with the lateness of each beat, and for each block; set by whoever wants to know.
        self.observe: Callable[[float], object] = float
        self.count: Callable[[], object] = float
        self._owner = ref(owner)
        self._loop: Callable[[], AbstractEventLoop | None] = ref(asyncio.get_running_loop())
        self._interval = interval
        self._threshold = threshold
        self._timer = timer
        self._on_end = on_end
        self._beat = _Beat(timer() + interval)
        #: The timer of the next beat. It refers to the loop, which this must not keep alive.
        self._handle: Callable[[], TimerHandle | None] = lambda: None
        #: The loop was seen not to run since the last beat.
        self._stopped = False
        self._ended = False
        self._thread = get_ident()
        self._wake = Event()
        self.watcher = Thread(target=self._watch, name=f"penstock-watch-{name}", daemon=True)

    def start(self) -> None:
        """Begin to beat and to watch."""
        self.watcher.start()
        # In a context of its own: that of the caller may hold a whole request.
        loop = asyncio.get_running_loop()
        self._handle = ref(loop.call_later(self._interval, self.beat, context=Context()))

    def end(self) -> None:
        """End: at once if this is called on the loop, otherwise at the next beat."""
        self._ended = True
        self._wake.set()
        handle = self._handle()
        if handle is not None and asyncio._get_running_loop() is self._loop():
            handle.cancel()

    def end_in_fork(self) -> None:
        """End where there is no thread, and where the lock of the event may be held for ever."""
        self._ended = True
        self._wake = Event()

    def blocked(self) -> float:
        """Return for how many seconds the loop has been blocked, 0.0 if it is not."""
        if self._is_over() or self._stopped or not self._is_running():
            return 0.0
        late = self._timer() - self._beat.due
        return late if late >= self._threshold else 0.0

    def beat(self) -> None:
        """Beat, on the loop."""
        if self._is_over():
            return
        now, beat = self._timer(), self._beat
        # A timer may fire a little early. One that fires much too early is not that of this beat.
        came = not self._stopped and now >= beat.due - self._interval / 2
        missed = max(floor((now - beat.due) / self._interval), 0) if came else 0
        if self._stopped:
            self._stopped = False
            self._beat = _Beat(now + self._interval)
        elif came:
            self._beat = _Beat(beat.due + (missed + 1) * self._interval)
        self._thread = get_ident()
        # Before anything that might raise: a beat that ends for good looks like a block for ever.
        loop = asyncio.get_running_loop()
        self._handle = ref(loop.call_later(max(self._beat.due - now, 0.0), self.beat))
        if came:
            self._record(beat, max(now - beat.due, 0.0), missed)

    def look(self) -> float | None:
        """Look whether the loop is blocked; return seconds until the next look, None for none."""
        if self._is_over():
            return None
        beat, now = self._beat, self._timer()
        state, wait = check(
            now,
            beat.due,
            running=self._is_running(),
            interval=self._interval,
            threshold=self._threshold,
        )
        if state == "stopped":
            self._stopped = True
        elif self._stopped:  # it runs again, and has not beaten yet
            self._beat = _Beat(now + self._interval)
            self._stopped = False
            wait = self._interval + self._threshold
        elif state == "blocked" and beat.claim():
            self.count()
            stack = _stack_of(self._thread)
            if self._beat is not beat:  # it shows what came after the block
                stack = "  it goes on just now\n"
            late = now - beat.due
            logger.warning("event loop %r has been blocked for %.3f s:\n%s", self.name, late, stack)
        return wait

    def _record(self, beat: _Beat, late: float, missed: int) -> None:
        # Beats that were due meanwhile would have been late too, each a little less.
        for number in range(min(missed + 1, _MOST_MISSED)):
            self.observe(max(late - number * self._interval, 0.0))
        if late >= self._threshold and beat.claim():
            self.count()
            logger.warning(
                "event loop %r was blocked for %.3f s; no other thread got to see by what",
                self.name,
                late,
            )

    def _is_over(self) -> bool:
        loop = self._loop()
        return self._ended or self._owner() is None or loop is None or loop.is_closed()

    def _is_running(self) -> bool:
        loop = self._loop()
        return loop is not None and loop.is_running()

    def _watch(self) -> None:
        wait: float | None = self._interval + self._threshold
        try:
            while wait is not None and not self._wake.wait(wait):
                wait = self.look()
        finally:
            self._on_end(self)


def _stack_of(thread: int) -> str:
    """Return where a thread is, innermost frame last."""
    frame = sys._current_frames().get(thread)
    return "" if frame is None else "".join(traceback.format_stack(frame, _MOST_FRAMES))
