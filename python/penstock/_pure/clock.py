"""The clock of a cache."""

from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from penstock._pure.convert import read_timer
from penstock._pure.entry import UNTIMED
from penstock._pure.flight import Guard

__all__ = ["Clock"]


class Clock:
    """Nanoseconds that never go backwards: monotonic, or from the caller's timer."""

    __slots__ = ("_guard", "_highest", "_timer")

    def __init__(self, timer: Callable[[], float] | None, guard: Guard) -> None:
        self._timer: Final = timer
        self._guard: Final = guard
        self._highest = UNTIMED

    def now(self) -> int:
        """Read the clock; it may run the caller's code."""
        if self._timer is None:
            return monotonic_ns()
        reading = read_timer(self._timer)
        with self._guard.lock:
            self._highest = max(self._highest, reading)
            return self._highest
