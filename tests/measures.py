"""One metric of each use, around a function whose runs take as long as a test says."""

from __future__ import annotations

from typing import Any

from tests.clock import Clock

from penstock.metrics import Counter, Gauge, Histogram

__all__ = ["Measures"]


class Measures:
    """What measures runs, and the clock that all durations are measured by."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.duration = Histogram("duration", "Help.", registry=None, timer=self.clock)
        self.failures = Counter("failures", "Help.", registry=None)
        self.running = Gauge("running", "Help.", registry=None)

    def all(self, function: Any) -> Any:
        """Decorate with all there is."""
        counted = self.failures.count_exceptions(ValueError)
        return self.duration.time()(counted(self.running.track_inprogress()(function)))

    def seen(self) -> tuple[float, float, float, float]:
        """How many runs have ended, how long they took together, failed ones, and running ones."""
        counts, total, _, _ = self.duration._read()
        return sum(counts), total, self.failures._value.get(), self.running._value.get()
