"""So many per second, some of them at once."""

from collections.abc import Awaitable, Callable
from math import floor
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from penstock._pure.holders import LOCK, check_count, done, read_clock

__all__ = ["RateGate"]

#: What stands for never, in nanoseconds.
_NEVER = 2**64 - 1


class Gcra:
    """
    A limit of so many per second, of which some may come at once; it runs under the lock.

    Source: the generic cell rate algorithm of ITU-T I.371, in its virtual scheduling form.
    """

    __slots__ = ("arrival", "burst", "held", "interval", "last", "passed", "rate", "timer")

    def __init__(self, timer: Callable[[], float] | None) -> None:
        self.timer = timer
        self.rate = 0.0
        #: Nanoseconds between two at the steady rate.
        self.interval = 1
        #: 0: not initialised, nobody goes through.
        self.burst = 0
        #: When the next one would be due if all came at the steady rate.
        self.arrival = 0
        self.last = 0
        #: How many stand in line, whom nobody may overtake.
        self.held = 0
        self.passed = 0

    def take(self, weight: int, now: int) -> int:
        """Let *weight* through (0), or say after how many nanoseconds that could be."""
        # Commit: no call in here.
        if not self.burst:
            return _NEVER
        if now < self.last:
            now = self.last
        self.last = now
        due = now
        if due < self.arrival:
            due = self.arrival
        due += weight * self.interval
        early = due - now - self.burst * self.interval
        if early > 0:
            return early
        self.arrival = due
        self.passed += 1
        return 0

    def available(self, now: int) -> int:
        """Return how many could come at once."""
        # Commit: no call in here.
        if now < self.last:
            now = self.last
        self.last = now
        free = self.burst
        if self.arrival > now:
            free -= -((now - self.arrival) // self.interval)
        return max(free, 0)

    def change(self, rate: float, burst: int, now: int) -> None:
        """Change rate and burst; what went through ahead of its time counts as many as before."""
        number = float(rate)
        interval = max(floor(min(1e9 / number + 0.5, 9e18)), 1)
        # Commit: no call in here.
        if now < self.last:
            now = self.last
        self.last = now
        if self.arrival > now:
            self.arrival = now + (self.arrival - now) * interval // self.interval
        self.rate, self.interval, self.burst = number, interval, burst


class RateGate:
    """
    So many per second, some of them at once.

    Subclassed by what is public: the waiting itself is up to the subclass.
    """

    __slots__ = ("_core",)

    _core: Gcra

    if TYPE_CHECKING:  # methods of the subclass

        def _wait(self, weight: int, deadline: float | None) -> Awaitable[None]: ...
        def _block(self, weight: int, deadline: float | None) -> None: ...

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._core = Gcra(None)
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _init(self, rate: float, burst: int, timer: Callable[[], float] | None = None) -> None:
        core = Gcra(timer)
        core.held, core.passed = self._core.held, self._core.passed
        core.change(rate, burst, 0)
        self._core = core

    def _set_rate(self, rate: float, burst: int) -> None:
        """
        Change the rate; what went through ahead of its time counts as before.
        """
        core = self._core
        now = read_clock(core.timer)
        with LOCK:
            core.change(rate, burst, now)

    @property
    def rate(self) -> float:
        """
        How many go through per second.
        """
        return self._core.rate

    @property
    def burst(self) -> int:
        """
        How many may go through at once.
        """
        return self._core.burst

    @property
    def available(self) -> int:
        """
        How many could go through at once now.
        """
        core = self._core
        now = read_clock(core.timer)
        with LOCK:
            return core.available(now)

    def try_acquire(self, weight: int = 1) -> bool:
        """
        Go through if it is not too early and nobody stands in line.

        Args:
            weight: For how many it counts, at most the burst.

        Returns:
            Whether it went through.

        Raises:
            TypeError: The weight is no int.
            ValueError: It is out of range.
        """
        return _pass(self._core, _check_weight(self._core, weight))

    def acquire(self, weight: int = 1, *, deadline: float | None = None) -> Awaitable[None]:
        """
        Go through, or wait for the time.

        Args:
            weight: For how many it counts, at most the burst.
            deadline: Seconds after which to give up.

        Returns:
            An awaitable; one that is done already when nothing has to be waited for.

        Raises:
            TypeError: The weight is no int.
            ValueError: It is out of range.
        """
        units = _check_weight(self._core, weight)
        return done() if _pass(self._core, units) else self._wait(units, deadline)

    def __aenter__(self) -> Awaitable[None]:
        """
        Go through, or wait for the time.
        """
        return done() if _pass(self._core, 1) else self._wait(1, None)

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]:
        """
        Nothing.
        """
        return done()

    def __enter__(self) -> None:
        """
        Go through, or wait for the time in this thread.
        """
        if not _pass(self._core, 1):
            self._block(1, None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """
        Nothing.
        """

    def _take(self, weight: int = 1) -> float:
        """
        Take *weight* now (0.0), or say after how many seconds it could be.
        """
        units = _check_weight(self._core, weight)
        core = self._core
        now = read_clock(core.timer)
        with LOCK:
            return core.take(units, now) / 1e9

    def _hold(self, n: int) -> None:
        """
        Add *n* to the number of those who stand in line.
        """
        core = self._core
        with LOCK:
            # Commit: no call in here.
            core.held += n
            if core.held < 0:
                core.held = 0

    def _stats(self) -> tuple[int, int]:
        """
        How many went through, and how many stand in line.
        """
        with LOCK:
            return self._core.passed, self._core.held


# Functions, since a subclass may have methods of any name.


def _pass(core: Gcra, weight: int) -> bool:
    """Go through if it is not too early and nobody stands in line."""
    now = read_clock(core.timer)
    with LOCK:
        return not core.held and not core.take(weight, now)


def _check_weight(core: Gcra, weight: int) -> int:
    units = check_count(weight, "weight")
    if core.burst and units > core.burst:
        raise ValueError(f"weight must be <= burst ({core.burst}), got {units}")
    return units
