"""A thread that ends what takes too long."""

from __future__ import annotations

import threading
from _thread import allocate_lock
from collections import deque
from concurrent.futures._base import LOGGER
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Alarm", "Timekeeper"]

#: Cancelled alarms are thrown out when they are more than half of all, and more than this.
_MANY = 64


class Alarm:
    """Something to be called at some time, unless it is cancelled before."""

    __slots__ = ("_keeper", "call", "when")

    def __init__(self, keeper: Timekeeper, when: float, call: Callable[[], object]) -> None:
        self._keeper = keeper
        self.when = when
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Do not call it; any thread, any number of times."""
        if self.call is not None:
            self.call = None
            self._keeper.cancelled += 1  # a few more or less do not matter


class Timekeeper:
    """
    Calls things at their time, in a thread that begins with the first of them.

    No wake-up is lost: who sets an alarm puts it into the inbox, then looks when the thread is
    going to wake up; the thread says when that will be, then looks into the inbox.

    Args:
        name: Of the thread.
    """

    __slots__ = ("_ending", "_heap", "_inbox", "_lock", "_numbers", "_park", "_wakes_at",
        "cancelled", "name", "thread")  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.thread: threading.Thread | None = None
        self.cancelled = 0
        self._inbox: deque[Alarm] = deque()
        self._heap: list[tuple[float, int, Alarm]] = []
        self._numbers = count()
        self._lock = threading.RLock()
        #: Taken while there is no reason to wake up.
        self._park = allocate_lock()
        self._park.acquire()
        self._wakes_at = inf
        self._ending = False

    def set(self, when: float, call: Callable[[], object]) -> Alarm:
        """Call something at a time of `monotonic`."""
        alarm = Alarm(self, when, call)
        self._inbox.append(alarm)
        if self.thread is None:
            self._start()
        elif when < self._wakes_at:
            self._wake()
        return alarm

    def end(self) -> None:
        """Call nothing any more, and end the thread."""
        self._ending = True
        self._wake()

    def join(self) -> None:
        """Wait for the end of the thread, which was told to end."""
        if self.thread is not None and self.thread is not threading.current_thread():
            with suppress(RuntimeError):  # it is just being started, and will end at once
                self.thread.join()

    def _start(self) -> None:
        with self._lock:
            if self.thread is not None:
                return
            self.thread = thread = threading.Thread(target=self._run, name=self.name)
        thread.start()

    def _wake(self) -> None:
        # Two who wake it at once are as good as one.
        if self._park.locked():
            with suppress(RuntimeError):
                self._park.release()

    def _run(self) -> None:
        while not self._ending:
            self._wakes_at = -inf  # nobody has to wake what is awake
            self._sort()
            self._ring()
            self._wakes_at = wakes_at = self._heap[0][0] if self._heap else inf
            if self._inbox or self._ending:
                continue
            if wakes_at == inf:
                self._park.acquire()
            else:
                pause = min(max(wakes_at - monotonic(), 0.0), threading.TIMEOUT_MAX)
                self._park.acquire(timeout=pause)
        self._heap.clear()
        self._inbox.clear()

    def _sort(self) -> None:
        inbox, heap = self._inbox, self._heap
        while inbox:
            alarm = inbox.popleft()
            heappush(heap, (alarm.when, next(self._numbers), alarm))
        if self.cancelled > _MANY and self.cancelled > len(heap) // 2:
            self.cancelled = 0
            heap[:] = [entry for entry in heap if entry[2].call is not None]
            heapify(heap)

    def _ring(self) -> None:
        heap, now = self._heap, monotonic()
        while heap and heap[0][0] <= now:
            alarm = heappop(heap)[2]
            call, alarm.call = alarm.call, None
            if call is not None:
                try:
                    call()
                except BaseException:
                    LOGGER.exception("exception of a callback of a task that has expired")
