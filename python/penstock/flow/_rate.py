"""`RateLimiter`: how many may begin in a second."""

from __future__ import annotations

import threading
from asyncio import _get_running_loop, get_running_loop
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from penstock import _backend, _components
from penstock._waiters import TaskWaiter, ThreadWaiter, Waiters, refuse_loop, seconds_of
from penstock.errors import AcquireTimeout, LimitExceeded
from penstock.flow._checks import check_int, check_name, check_number, check_timer
from penstock.flow._deadline import sooner
from penstock.flow._families import RATE_LIMITER_FIELDS
from penstock.flow._slot import limited

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

__all__ = ["RateLimiter", "RateLimiterStats"]

#: Seconds that a whole burst may take at the steady rate.
_LONGEST = 9e9

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimiterStats:
    """
    What a `RateLimiter` has done so far.

    Args:
        rate: How many may begin in a second.
        burst: How many of them at once.
        available: How many could begin now.
        waiting: How many wait.
        acquired: How many have begun, at once or after a wait.
        waited: How many had to wait.
        rejected: How many were turned away because too many waited.
        timeouts: How many gave up because their time was over, or would have been.
        cancelled: How many were cancelled while they waited.
        wait_seconds: Time that those waited who then began.
    """

    rate: float = 0.0
    burst: int = 0
    available: int = 0
    waiting: int = 0
    acquired: int = 0
    waited: int = 0
    rejected: int = 0
    timeouts: int = 0
    cancelled: int = 0
    wait_seconds: float = 0.0


class _Turnstile(Waiters):
    """Lets one through at a time, who then waits until the rate allows for him."""

    __slots__ = ("_owner_max", "cancelled", "head", "timeouts", "wait_seconds")

    def __init__(self, max_waiting: int | None) -> None:
        super().__init__(1, "fifo", None if max_waiting is None else max(max_waiting - 1, 0))
        self._owner_max = max_waiting
        if max_waiting == 0:
            self.try_acquire()  # for good: whoever comes is turned away
        # Of those who had the turn, and changed by them alone.
        self.timeouts = 0
        self.cancelled = 0
        self.wait_seconds = 0.0
        #: Who has the turn: weakly, so that a task goes with its loop when that is closed.
        self.head: ref[TaskWaiter | ThreadWaiter] | None = None

    def current(self) -> TaskWaiter | ThreadWaiter | None:
        """Return who has the turn."""
        head = self.head
        return None if head is None else head()

    _time_left = staticmethod(sooner)

    def _refused(self) -> Exception:
        most = self._owner_max or 0
        waiting = self.waiting + (most > 0)
        message = f"{waiting} wait already, and at most {most} may"
        return LimitExceeded(message, waiting=waiting, max_waiting=most)

    def _expired(self, seconds: float) -> Exception:
        return AcquireTimeout(f"the rate leaves no room within {seconds:g} s", seconds=seconds)

    def check(self, pause: float, left: float | None, seconds: float | None) -> None:
        """Raise if the time is over before the pause is."""
        soonest, due = sooner(left)
        if soonest is not None and soonest < pause:
            self.timeouts += 1
            raise self._late(seconds, due)

    def count(self) -> tuple[int, int, int, int]:
        """Return how many had to wait, were turned away, ran out of time and were cancelled."""
        _, _, waiting, acquired, _, rejected, timeouts, cancelled, _ = self._stats()
        passed = acquired - (self._owner_max == 0)
        waited = passed + waiting + timeouts + cancelled
        return waited, rejected, timeouts + self.timeouts, cancelled + self.cancelled


class RateLimiter(_backend.RateGate):
    """
    Limits how many begin in a second, and lets the others wait in line.

    ``async with limiter:`` in tasks, ``with limiter:`` in threads, ``@limiter`` on functions and
    coroutine functions; leaving the block does nothing. Those who wait are let in in the order in
    which they came, and nobody gets in between. A wait ends with the ambient ``deadline()``, at
    once when it is certain to be over first.

    Args:
        rate: How many in a second, above 0; ``1 / 60`` for one in a minute.
        burst: How many at once after a while of none. 1 spaces them evenly; with more, up to *rate*
            + *burst* may begin within one second.
        max_waiting: How many may wait; more are turned away with `LimitExceeded`. None: any number.
        timer: Seconds on a clock of your own.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: O(1), and native where nobody has to wait. Of those who wait only the first has a timer
        for the rate. Any number of threads and event loops.

    Source: the generic cell rate algorithm, ITU-T I.371. Failing at once is as in Go's
        golang.org/x/time/rate.
    """

    __slots__ = ("__weakref__", "_clock", "_max_waiting", "_name", "_turns")

    def __init__(
        self,
        rate: float,
        burst: int = 1,
        *,
        max_waiting: int | None = None,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        rate, burst = _check_rate(rate, burst)
        if max_waiting is not None:
            max_waiting = check_int("max_waiting", max_waiting, 0)
        check_timer(timer)
        check_name(name)
        self._name = name
        self._max_waiting = max_waiting
        self._clock = monotonic if timer is None else timer
        self._turns = _Turnstile(max_waiting)
        self._init(rate, burst, timer)
        _components.enter(self)

    @property
    def max_waiting(self) -> int | None:
        """
        How many may wait, None for any number.
        """
        return self._max_waiting

    @property
    def waiting(self) -> int:
        """
        How many wait.
        """
        return super()._stats()[1]

    @property
    def name(self) -> str | None:
        """
        The name given to the limiter.
        """
        return self._name

    def set_rate(self, rate: float, burst: int | None = None) -> None:
        """
        Change the rate; what began ahead of its time counts as before.

        Args:
            rate: How many in a second, above 0.
            burst: How many at once; None leaves that as it is.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of its range.
        """
        self._set_rate(*_check_rate(rate, self.burst if burst is None else burst))
        head = self._turns.current()
        if head is not None:  # he waits as long as the old rate asked for
            head.wake(_get_running_loop())

    def stats(self) -> RateLimiterStats:
        """
        Return what the limiter has done so far.
        """
        acquired, waiting = self._stats()
        waited, rejected, timeouts, cancelled = self._turns.count()
        return RateLimiterStats(
            rate=self.rate,
            burst=self.burst,
            available=self.available,
            waiting=waiting,
            acquired=acquired,
            waited=waited,
            rejected=rejected,
            timeouts=timeouts,
            cancelled=cancelled,
            wait_seconds=self._turns.wait_seconds,
        )

    def __call__(self, function: F) -> F:
        """
        Return *function*, each call of it within the rate.

        Raises:
            TypeError: It is no function, or a generator function: a call of that begins nothing.
        """
        return limited("RateLimiter", self, function)

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        return f"RateLimiter({self.rate:g}, burst={self.burst}, waiting={self.waiting}{name})"

    async def _wait(self, weight: int, deadline: float | timedelta | None) -> None:
        """Wait in a task."""
        seconds = seconds_of(deadline)
        loop, turns, began = get_running_loop(), self._turns, self._clock()
        until = None if seconds is None else loop.time() + seconds
        waiter = TaskWaiter(weight, loop)
        self._hold(1)
        try:
            self._free_turn()
            await turns.acquire(deadline=seconds)
        except BaseException:
            self._hold(-1)
            raise
        try:
            turns.head = ref(waiter)
            # In place before the look at the rate, so that no change of it is missed.
            while (pause := self._take(weight)) > 0:
                turns.check(pause, None if until is None else until - loop.time(), seconds)
                timer = loop.call_later(pause, waiter.wake, loop)
                try:
                    await waiter.future
                except BaseException:
                    turns.cancelled += 1
                    raise
                finally:
                    timer.cancel()
                waiter.future = loop.create_future()
            turns.wait_seconds += max(self._clock() - began, 0.0)
        finally:
            self._end_turn(waiter)

    def _block(self, weight: int, deadline: float | timedelta | None) -> None:
        """Wait in a thread."""
        refuse_loop()
        seconds = seconds_of(deadline)
        turns, began = self._turns, self._clock()
        until = None if seconds is None else monotonic() + seconds
        waiter = ThreadWaiter(weight)
        self._hold(1)
        try:
            self._free_turn()
            if not turns.try_acquire():
                turns._block(1, 0, seconds)
        except BaseException:
            self._hold(-1)
            raise
        try:
            turns.head = ref(waiter)
            while (pause := self._take(weight)) > 0:
                turns.check(pause, None if until is None else until - monotonic(), seconds)
                try:
                    waiter.lock.acquire(timeout=min(pause, threading.TIMEOUT_MAX))
                except BaseException:  # a signal handler raised
                    turns.cancelled += 1
                    raise
            turns.wait_seconds += max(self._clock() - began, 0.0)
        finally:
            self._end_turn(waiter)

    def _free_turn(self) -> None:
        """End the turn of somebody whose loop was closed, who will never end it."""
        head = self._turns.current()
        if isinstance(head, TaskWaiter) and head.loop.is_closed():
            self._end_turn(head)

    def _end_turn(self, waiter: TaskWaiter | ThreadWaiter) -> None:
        if waiter.disown():
            self._hold(-1)
            self._turns.head = None
            self._turns.release()


def _check_rate(rate: float, burst: int) -> tuple[float, int]:
    number = check_number("rate", rate)
    if number <= 0:
        raise ValueError(f"rate must be > 0, got {rate!r}")
    count = check_int("burst", burst, 1)
    if count > number * _LONGEST:
        # The time is counted in nanoseconds, of which 64 bits hold so many.
        message = f"burst must be <= {number * _LONGEST:g} at a rate of {number:g}, got {burst!r}"
        raise ValueError(message)
    return number, count


_components.describe("rate_limiter", RateLimiterStats, RATE_LIMITER_FIELDS)
