"""Statistics of a circuit breaker."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CircuitBreakerStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerStats:
    """
    What a circuit breaker has seen so far, at one moment.

    Args:
        state: ``"closed"``, ``"open"`` or ``"half_open"``.
        calls: Calls that ended in a success or a failure.
        failures: Those that failed.
        slow: Those that took longer than ``slow_after``.
        window_calls: The calls in the window, from which the rates are made.
        window_failures: Those that failed.
        window_slow: Those that were slow.
        rejected: Calls that were not let through.
        opened: How often it opened.
    """

    state: str = "closed"
    calls: int = 0
    failures: int = 0
    slow: int = 0
    window_calls: int = 0
    window_failures: int = 0
    window_slow: int = 0
    rejected: int = 0
    opened: int = 0

    @property
    def failure_rate(self) -> float:
        """
        The share of the calls in the window that failed, 0.0 if there are none.
        """
        return self.window_failures / self.window_calls if self.window_calls else 0.0

    @property
    def slow_rate(self) -> float:
        """
        The share of the calls in the window that were slow, 0.0 if there are none.
        """
        return self.window_slow / self.window_calls if self.window_calls else 0.0

    # As numbers that may be summed: breakers of the same name are shown as one.

    @property
    def open(self) -> int:
        """
        1 while it is open, otherwise 0.
        """
        return int(self.state == "open")

    @property
    def half_open(self) -> int:
        """
        1 while it is half open, otherwise 0.
        """
        return int(self.state == "half_open")
