"""When to stop asking a store that fails, and when to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.flow import CircuitBreaker

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REFUSED", "TierBreaker"]

#: In place of a lease.
REFUSED = -1


class TierBreaker(CircuitBreaker):
    """
    A circuit breaker that also opens after a number of failures in a row.

    Args:
        in_a_row: That number.
        failure_rate: Share of failures from which on it opens too.
        min_calls: Of at least so many calls.
        window: In so many seconds.
        open_for: Seconds until it lets one call through on trial.
        max_open_for: Seconds, when that fails again and again.
        trial_timeout: Seconds after which another one is let through.
        on_change: Called when it opens or closes.
        timer: Monotonic clock.
    """

    __slots__ = ("_in_a_row", "_row")

    def __init__(
        self,
        *,
        in_a_row: int,
        failure_rate: float,
        min_calls: int,
        window: float,
        open_for: float,
        max_open_for: float,
        trial_timeout: float,
        on_change: Callable[[CircuitBreaker, str, str], object],
        timer: Callable[[], float],
    ) -> None:
        super().__init__(
            failure_rate=failure_rate,
            window_seconds=window,
            min_calls=min_calls,
            open_for=open_for,
            max_open_for=max_open_for,
            trial_calls=1,
            trial_timeout=trial_timeout,
            on_change=on_change,
            timer=timer,
        )
        self._in_a_row = in_a_row
        self._row = 0

    def begin(self) -> int:
        """Return a lease for a call, or REFUSED."""
        return self._begin()

    def end(self, lease: int, outcome: str) -> None:
        """Tell what became of it: "success", "failure" or "ignored"."""
        if outcome == "success":
            self._row = 0
        self._end(lease, outcome)
        if outcome == "failure":
            self._row += 1
            if self._row >= self._in_a_row:
                self._row = 0
                if self.state == "closed":
                    self.trip()

    # An error would cost more than the call that it is for.
    def _refuse(self, retry_after: float) -> int:  # type: ignore[override]  # of the base: NoReturn
        return REFUSED
