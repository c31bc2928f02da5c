"""`RetryBudget`: what keeps retries from multiplying the load on something that fails."""

from __future__ import annotations

from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

from penstock import _backend
from penstock.flow._checks import check_number, check_timer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

__all__ = ["RetryBudget"]

#: What a retry costs: whole numbers add up without an error.
_RETRY = 1_000_000

#: In how many parts of the time to live things are counted; each part is forgotten as a whole.
_SLOTS = 10

#: More than this is a mistake, or meant to be no limit at all.
_MOST = 1_000_000_000


class RetryBudget:
    """
    Allows a share of calls to be retried, and a few retries more.

    Calls pay in, retries take out, and both are forgotten *ttl* seconds later (in steps of a tenth
    of that): in that time there are at most ``ratio * calls + min_per_second * ttl`` retries. Share
    one among all that calls the same dependency: when that is down, it gets 1.1 times the calls,
    and not 3 times as many.

    Args:
        ttl: Seconds (or a timedelta) for which a call counts.
        min_per_second: Retries per second that are allowed without any call.
        ratio: Retries that are allowed per call.
        timer: Seconds on a clock of your own, for tests.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: *ttl* is not positive, *min_per_second* or *ratio* negative, or not finite.

    Cost: O(1), a lock and a look at the clock per call. Any number of threads and event loops.

    Source: Finagle's RetryBudget, with the ten slots of tower's TpsBudget.
    """

    __slots__ = (
        "__weakref__", "_balance", "_deposit", "_lock", "_min_per_second", "_next", "_ratio",
        "_reserve", "_slot", "_slots", "_start", "_step", "_timer", "_ttl",
    )  # fmt: skip

    def __init__(
        self,
        *,
        ttl: float | timedelta = 10.0,
        min_per_second: float = 3.0,
        ratio: float = 0.1,
        timer: Callable[[], float] | None = None,
    ) -> None:
        check_timer(timer)
        self._ttl = _backend.duration("ttl", ttl)
        self._min_per_second = _not_negative("min_per_second", min_per_second)
        self._ratio = _not_negative("ratio", ratio)
        self._deposit = round(self._ratio * _RETRY)
        self._reserve = round(self._min_per_second * self._ttl * _RETRY)
        self._timer = monotonic if timer is None else timer
        self._start = self._timer()
        self._step = self._ttl / _SLOTS
        # What was paid in less what was taken out, by the time at which it was; and the sum of it.
        self._slots = [0] * _SLOTS
        self._balance = 0
        self._slot = 0
        self._next = self._start + self._step
        # Re-entrant: a handler of a signal may come in between. Nothing is called in mid-change.
        self._lock = RLock()

    @property
    def ttl(self) -> float:
        """
        For how many seconds a call counts.
        """
        return self._ttl

    @property
    def min_per_second(self) -> float:
        """
        Retries per second that are allowed without any call.
        """
        return self._min_per_second

    @property
    def ratio(self) -> float:
        """
        Retries that are allowed per call.
        """
        return self._ratio

    @property
    def available(self) -> int:
        """
        How many retries are allowed at once now.
        """
        now = self._timer()
        with self._lock:
            if now >= self._next:
                self._turn(now)
            return max(0, (self._reserve + self._balance) // _RETRY)

    def deposit(self) -> None:
        """
        Count a call: not its retries.
        """
        now = self._timer()
        with self._lock:
            if now >= self._next:
                self._turn(now)
            self._slots[self._slot % _SLOTS] += self._deposit
            self._balance += self._deposit

    def try_withdraw(self) -> bool:
        """
        Count a retry, if there may be one.

        Returns:
            Whether there may.
        """
        now = self._timer()
        with self._lock:
            if now >= self._next:
                self._turn(now)
            if self._reserve + self._balance < _RETRY:
                return False
            self._slots[self._slot % _SLOTS] -= _RETRY
            self._balance -= _RETRY
            return True

    def __repr__(self) -> str:
        return (
            f"RetryBudget(ttl={self._ttl:g}, min_per_second={self._min_per_second:g}, "
            f"ratio={self._ratio:g})"
        )

    def _turn(self, now: float) -> None:
        """Forget what is older than the time to live."""
        # A clock that went back does not come here, but a number that was rounded may.
        slot = max(self._slot, int((now - self._start) / self._step))
        for passed in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            self._balance -= self._slots[passed % _SLOTS]
            self._slots[passed % _SLOTS] = 0
        self._slot = slot
        self._next = self._start + (slot + 1) * self._step


def _not_negative(name: str, value: float) -> float:
    number = check_number(name, value)
    if number < 0:
        raise ValueError(f"{name} must be >= 0, got {value!r}")
    if number > _MOST:
        raise ValueError(f"{name} must be <= {_MOST}, got {value!r}")
    return number
