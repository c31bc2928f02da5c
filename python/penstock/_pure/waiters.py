"""Permits, and a queue of those who wait for some."""

import operator
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Self, SupportsIndex, TypeAlias, cast

from penstock._pure.convert import MAX_SIZE, to_ns, type_name
from penstock._pure.holders import LOCK, check_count, current_holder, done, read_clock
from penstock._pure.line import Order, Queue, Waiter
from penstock._pure.sampling import Sampler, Summary

__all__ = ["WaiterQueue"]

Outcome: TypeAlias = Literal["success", "dropped", "ignored"]

_OUTCOMES: Final = ("success", "dropped", "ignored")


class WaiterQueue:
    """
    Permits, and a queue of those who wait for some.

    Subclassed by what is public: the waiting itself is up to the subclass.
    """

    __slots__ = ("_core",)

    _core: Queue

    if TYPE_CHECKING:  # methods of the subclass

        def _wait(self, weight: int, priority: int, deadline: float | None) -> Awaitable[None]: ...
        def _block(self, weight: int, priority: int, deadline: float | None) -> None: ...
        def _wake(self, waiters: list[object]) -> None: ...
        def _outcome(self, kind: type[BaseException]) -> Outcome: ...
        def _adapt(
            self,
            count: int,
            dropped: int,
            p50: float,
            p90: float,
            mean: float,
            minimum: float,
            peak: int,
            seconds: float,
        ) -> None: ...

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._core = Queue(0, "fifo", None, None)
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _init(
        self,
        limit: int,
        order: Order = "fifo",
        max_waiting: int | None = None,
        timer: Callable[[], float] | None = None,
    ) -> None:
        core = Queue(limit, order, max_waiting, timer)
        core.max_weight, core.sampler = self._core.max_weight, self._core.sampler
        self._core = core

    def _set_max_weight(self, n: int | None) -> None:
        """
        Refuse what is heavier than *n* from now on.
        """
        self._core.max_weight = n

    def _sample(self, interval: float, samples: int) -> None:
        """
        Measure latencies from now on, in windows of *interval* seconds and *samples* at least.
        """
        self._core.sampler = Sampler(to_ns(interval), samples)

    @property
    def limit(self) -> int:
        """
        How many permits there are.
        """
        return self._core.limit

    @property
    def in_use(self) -> int:
        """
        How many are held.
        """
        return self._core.in_use

    @property
    def waiting(self) -> int:
        """
        How many wait.
        """
        return self._core.waiting

    @property
    def available(self) -> int:
        """
        How many are free.
        """
        with LOCK:
            return max(self._core.limit - self._core.in_use, 0)

    def try_acquire(self, weight: int = 1) -> bool:
        """
        Take permits if they are there and nobody waits for some.

        Args:
            weight: How many, at least 1; more than there are when no other is held.

        Returns:
            Whether they were taken.

        Raises:
            TypeError: The weight is no int.
            ValueError: It is out of range.
        """
        return _take(self._core, _check_weight(self._core, weight))

    def acquire(
        self, weight: int = 1, *, priority: int = 0, deadline: float | None = None
    ) -> Awaitable[None]:
        """
        Take permits, or wait for them.

        Args:
            weight: How many, at least 1; more than there are when no other is held.
            priority: Who has the lowest is the first in line, in the order "priority".
            deadline: Seconds after which to give up.

        Returns:
            An awaitable; one that is done already when nothing has to be waited for.

        Raises:
            TypeError: The weight or the priority is no int.
            ValueError: One of them is out of range.
        """
        units, rank = _check_weight(self._core, weight), _check_priority(priority)
        return done() if _take(self._core, units) else self._wait(units, rank, deadline)

    def release(self, weight: int = 1, *, outcome: Outcome = "success") -> None:
        """
        Give permits back.

        Args:
            weight: How many.
            outcome: "success", "dropped" (a sign of overload) or "ignored" (no sign of anything).

        Raises:
            TypeError: The weight is no int.
            ValueError: It is out of range, or there is no such outcome.
            RuntimeError: Fewer are held.
        """
        units = check_count(weight, "weight")
        _give_back(self, units, _check_outcome(outcome), read_clock(self._core.timer))

    def resize(self, limit: int) -> None:
        """
        Change how many permits there are; those held stay held.

        Args:
            limit: At least 1.

        Raises:
            TypeError: It is no int.
            ValueError: It is out of range.
        """
        core, size = self._core, check_count(limit, "limit")
        now = read_clock(core.timer)
        granted: list[object] = []
        with LOCK:
            core.limit = size
            core.grant(now, granted)
        _tell(self, granted)

    def __aenter__(self) -> Awaitable[None]:
        """
        Take a permit, or wait for one.
        """
        return done() if _take(self._core, 1) else self._wait(1, 0, None)

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]:
        """
        Give the permit back.
        """
        _exit(self, kind)
        return done()

    def __enter__(self) -> None:
        """
        Take a permit, or wait for one in this thread.
        """
        if not _take(self._core, 1):
            self._block(1, 0, None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """
        Give the permit back.
        """
        _exit(self, kind)

    def _enqueue(self, waiter: object, weight: int, priority: int) -> int:
        """
        Take permits now (0), or get in line (a ticket), unless it is full (-1).
        """
        core = self._core
        rank = priority if core.order == "priority" else 0
        entry = Waiter(waiter, weight, rank, read_clock(core.timer))
        line: OrderedDict[int, Waiter] = OrderedDict()
        with LOCK:
            return core.enter(entry, line)

    def _withdraw(self, ticket: int, expired: bool) -> bool:
        """
        Leave the line; False if there is nobody with this ticket in it.
        """
        core = self._core
        now = read_clock(core.timer)
        granted: list[object] = []
        with LOCK:
            waiter = core.places.get(ticket)
            if waiter is None or not core.leave(waiter, granted=False):
                return False
            if expired:
                core.timeouts += 1
            else:
                core.cancelled += 1
            core.grant(now, granted)
        _tell(self, granted)
        return True

    def _begin(self) -> None:
        """
        Note that the running task or thread holds what it was granted from now on.
        """
        core = self._core
        sampler = core.sampler
        if sampler is None:
            return
        holder, now = current_holder(), read_clock(core.timer)
        with LOCK:
            sampler.begin(holder, now, core.in_use)

    def _stats(self) -> tuple[int, int, int, int, int, int, int, int, float]:
        core = self._core
        with LOCK:
            return (
                core.limit,
                core.in_use,
                core.waiting,
                core.acquired,
                core.waited,
                core.rejected,
                core.timeouts,
                core.cancelled,
                core.wait / 1e9,
            )


# Functions, since a subclass may have methods of any name.


def _take(core: Queue, weight: int) -> bool:
    """Take permits if they are there and nobody waits for some."""
    sampler = core.sampler
    if sampler is None:
        with LOCK:
            return core.take(weight)
    holder, now = current_holder(), read_clock(core.timer)
    with LOCK:
        taken = core.take(weight)
        if taken:
            sampler.begin(holder, now, core.in_use)
        return taken


def _exit(queue: WaiterQueue, kind: type[BaseException] | None) -> None:
    """Give one permit back, whatever comes of the question how it went."""
    now = 0
    try:
        try:
            outcome = "success" if kind is None else _check_outcome(queue._outcome(kind))
        finally:
            now = read_clock(queue._core.timer)
    except BaseException:
        with suppress(BaseException):
            _give_back(queue, 1, "ignored", now)
        raise
    _give_back(queue, 1, outcome, now)


def _give_back(queue: WaiterQueue, weight: int, outcome: Outcome, now: int) -> None:
    core = queue._core
    sampler = core.sampler
    holder = 0 if sampler is None else current_holder()
    granted: list[object] = []
    summary = None
    with LOCK:
        if not core.give_back(weight):
            raise RuntimeError("release() without acquire()")
        core.grant(now, granted)
        if sampler is not None:
            summary = sampler.end(holder, now, outcome, core.in_use)
    _tell(queue, granted, summary)


def _tell(queue: WaiterQueue, granted: list[object], summary: Summary | None = None) -> None:
    """Call those methods of the subclass that want to know what happened; without the lock."""
    try:
        if granted:
            queue._wake(granted)
    finally:
        if summary is not None:
            queue._adapt(*summary)


def _check_weight(core: Queue, weight: int) -> int:
    """Check a weight that somebody asks for."""
    units = check_count(weight, "weight")
    if core.max_weight is not None and units > core.max_weight:
        raise ValueError(f"weight must be <= {core.max_weight}, got {weight!r}")
    return units


def _check_priority(value: SupportsIndex) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"priority must be an int, got {type_name(value)}")
    rank = operator.index(value)
    if not -MAX_SIZE - 1 <= rank <= MAX_SIZE:
        raise ValueError(f"priority must have at most 64 bits, got {value!r}")
    return rank


def _check_outcome(value: object) -> Outcome:
    if not isinstance(value, str) or value not in _OUTCOMES:
        raise ValueError(f"outcome must be 'success', 'dropped' or 'ignored', got {value!r}")
    return cast("Outcome", value)
