"""Time under the control of a test."""

from __future__ import annotations

__all__ = ["Clock"]


class Clock:
    """A timer to hand to a cache; it moves only when told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.calls = 0

    def __call__(self) -> float:
        self.calls += 1
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
