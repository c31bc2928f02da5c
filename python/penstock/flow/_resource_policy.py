"""`resources`: a limit that gives way when the machine, or the container, is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from weakref import ref

from penstock import _backend
from penstock.flow._checks import check_int, check_number
from penstock.flow._policies import check_range
from penstock.flow._stepping import enlist

if TYPE_CHECKING:
    from datetime import timedelta

    from penstock.flow._resources import ResourceReading
    from penstock.flow._stepping import Sampler

__all__ = ["ResourcePolicy", "resources"]

#: More often than this the readings themselves would be felt.
_SHORTEST_INTERVAL = 0.01

#: Readings in a row without a figure after which it is taken to be one that cannot be had.
_GONE = 2


class Resizable(Protocol):
    """What the policy needs of its limiter."""

    def _resize_to(self, limit: int) -> object: ...


class _Mark:
    """A figure that must not exceed a mark, and what is known of it."""

    __slots__ = ("_clear", "_high", "_missing")

    def __init__(self, high: float, hysteresis: float) -> None:
        self._high = high
        self._clear = high - hysteresis
        self._missing = 0

    def judge(self, value: float | None) -> int:
        """Return -1 above the mark, 1 where the limit may grow, 0 in between or if unknown."""
        if value is None:
            self._missing += 1
            # Where there never is a figure it must not hold the limit down for ever.
            return 1 if self._missing >= _GONE else 0
        self._missing = 0
        return -1 if value > self._high else 1 if value < self._clear else 0


class ResourcePolicy:
    """
    Halves a limit while CPU or memory is above its mark, and lets it grow when both are below.

    Made by `resources`. It acts on time, not on calls: a thread, one for all of them, takes a
    reading every interval and hands it to `step`.
    """

    __slots__ = (
        "__weakref__", "_cpu", "_interval", "_limit", "_limiter", "_memory", "_sampler", "_step",
        "max_limit", "min_limit",
    )  # fmt: skip

    #: No latencies are sampled for it.
    window: tuple[float, int] | None = None

    def __init__(
        self,
        max_limit: int,
        min_limit: int,
        cpu: float,
        memory: float,
        step: int | None,
        interval: float | timedelta,
        hysteresis: float,
        sampler: Sampler | None,
    ) -> None:
        _, self.min_limit, self.max_limit = check_range(max_limit, min_limit, max_limit)
        high_cpu, high_memory = _check_share("cpu", cpu), _check_share("memory", memory)
        gap = check_number("hysteresis", hysteresis)
        if not 0.0 <= gap < min(high_cpu, high_memory):
            raise ValueError(f"hysteresis must be >= 0 and below both marks, got {hysteresis!r}")
        self._interval = _backend.duration("interval", interval)
        if self._interval < _SHORTEST_INTERVAL:
            raise ValueError(f"interval must be >= {_SHORTEST_INTERVAL}, got {self._interval:g}")
        if sampler is not None and not callable(getattr(sampler, "read", None)):
            raise TypeError(f"sampler must have a read(), got {type(sampler).__name__}")
        default = max(self.max_limit // 10, 1)
        self._step = default if step is None else check_int("step", step, 1)
        self._cpu = _Mark(high_cpu, gap)
        self._memory = _Mark(high_memory, gap)
        self._sampler = sampler
        self._limit = self.max_limit
        self._limiter: ref[Resizable] | None = None

    @property
    def initial(self) -> int:
        """
        The limit to start with, the highest one.
        """
        return self.max_limit

    @property
    def limit(self) -> int:
        """
        The limit of now.
        """
        return self._limit

    @property
    def interval(self) -> float:
        """
        Seconds from one reading to the next.
        """
        return self._interval

    @property
    def sampler(self) -> Sampler | None:
        """
        What takes the readings, None for the one that is shared.
        """
        return self._sampler

    def __repr__(self) -> str:
        return f"resources(max_limit={self.max_limit}, min_limit={self.min_limit})"

    def update(self, window: object, limit: int) -> int:
        """
        Leave the limit as it is: no calls are looked at.
        """
        return limit

    def bind(self, limiter: Resizable) -> None:
        """
        Follow the resources from now on, for as long as *limiter* lives.

        Args:
            limiter: Whose limit it is. Only a weak reference is kept.

        Raises:
            ValueError: There is another limiter already.
            RuntimeError: The thread cannot be started.
        """
        if self._limiter is not None and self._limiter() is not None:
            raise ValueError(f"{self!r} already serves another limiter, make another")
        self._limit = self.max_limit
        self._limiter = ref(limiter)
        enlist(limiter, self)

    def step(self, reading: ResourceReading) -> int:
        """
        Follow one reading.

        Args:
            reading: Where a figure is missing, the limit does not grow by this reading; one that
                has been missing from two in a row is left out.

        Returns:
            The limit that is in force now.

        Cost: O(1), and waking those for whom there is room now. Any thread.
        """
        if reading.cpu is None and reading.memory is None:
            return self._limit  # nothing is known at all
        worst = min(self._cpu.judge(reading.cpu), self._memory.judge(reading.memory))
        limit = self._limit
        if worst < 0:
            limit = max(limit // 2, self.min_limit)
        elif worst > 0:
            limit = min(limit + self._step, self.max_limit)
        if limit != self._limit:
            self._limit = limit
            limiter = None if self._limiter is None else self._limiter()
            if limiter is not None:
                limiter._resize_to(limit)
        return limit


def resources(
    *,
    max_limit: int = 50,
    min_limit: int = 10,
    cpu: float = 0.80,
    memory: float = 0.85,
    step: int | None = None,
    interval: float | timedelta = 1.0,
    hysteresis: float = 0.05,
    sampler: Sampler | None = None,
) -> ResourcePolicy:
    """
    Return a policy that gives way when the CPU or the memory is nearly used up.

    The limit starts at *max_limit*, is halved at each reading above a mark, and grows by *step* at
    each one in which both figures are below their marks by *hysteresis*.

    Args:
        max_limit: The highest limit, and the first.
        min_limit: The lowest one.
        cpu: Share of the CPUs that the container may use above which the limit is halved.
        memory: The same of the memory.
        step: By how much the limit grows; a tenth of *max_limit* if it is not given.
        interval: Seconds (or a timedelta) from one reading to the next.
        hysteresis: How far below both marks the figures must be for the limit to grow.
        sampler: Something with a ``read()`` that returns a `ResourceReading`, in place of
            `Resources`.

    Returns:
        The policy, to be handed to one `Limiter`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: one thread for all limiters of the process, which ends with the last of them; a reading
        for each interval in use. Nothing is added to a call.

    Source: the decrease and increase of TCP congestion control (AIMD), on what the container uses.
    """
    return ResourcePolicy(max_limit, min_limit, cpu, memory, step, interval, hysteresis, sampler)


def _check_share(name: str, value: float) -> float:
    share = check_number(name, value)
    if not 0.0 < share <= 1.0:
        raise ValueError(f"{name} must be > 0 and <= 1, got {value!r}")
    return share
