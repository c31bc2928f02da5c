"""`Limiter`: how many may do something at once."""

from __future__ import annotations

import logging
import threading
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from weakref import WeakValueDictionary

from penstock import _components
from penstock._waiters import Waiters
from penstock.errors import DeadlineExceeded
from penstock.flow._checks import check_int, check_name, check_timer
from penstock.flow._deadline import remaining, sooner
from penstock.flow._families import LIMITER_FIELDS
from penstock.flow._gradient import gradient
from penstock.flow._limiter_options import LimiterStats, check_errors
from penstock.flow._policies import (
    INTERVAL,
    SAMPLES,
    Fixed,
    Window,
    aimd,
    check_policy,
    fixed,
    policy_of,
)
from penstock.flow._slot import Slot, limited

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Self, Unpack

    from penstock.flow._limiter_options import Errors, LimiterOptions, Order, Outcome
    from penstock.flow._policies import Policy
    from penstock.flow._stepping import Sampler

__all__ = ["Limiter"]

logger = logging.getLogger("penstock.flow")

F = TypeVar("F", bound="Callable[..., Any]")

#: By the id of a policy, which is its alone while the limiter lives.
_serving: WeakValueDictionary[int, Limiter] = WeakValueDictionary()


class Limiter(Waiters):
    """
    Limits how many do something at once, and lets the others wait in line.

    ``async with limiter:`` in tasks, ``with limiter:`` in threads, ``@limiter`` on functions and
    coroutine functions. A permit that is given back is handed to who is first in line; nobody gets
    in between. Whoever is cancelled passes his on. A wait ends with the ambient ``deadline()``.

    Args:
        limit: How many, at least 1, or a policy: `fixed`, `aimd`, `gradient`, `resources`, or an
            object of your own.
        order: Who is first in line: ``"fifo"``; ``"lifo"``, whoever came last, so that under
            overload some are served in time; or ``"priority"``, the lowest number.
        max_waiting: How many may wait; more are turned away with `LimitExceeded`. None: any number.
        dropped: Errors that are a sign of overload. A body that ends with another one, or is
            cancelled by something else than ``deadline()``, says nothing of the load.
        timer: Seconds on a clock of your own, by which latencies are measured.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range, or the policy serves another limiter.

    Cost: O(1). Where nobody has to wait it is native, and never touches the event loop. Any number
        of threads and event loops.
    """

    __slots__ = (
        "__weakref__", "_adapting", "_dropped", "_has_failed", "_heaviest", "_name", "_order",
        "_policy",
    )  # fmt: skip

    def __init__(
        self,
        limit: int | Policy,
        *,
        order: Order = "fifo",
        max_waiting: int | None = None,
        dropped: Errors = (TimeoutError,),
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        policy = policy_of(limit)
        window = check_policy(policy)
        if order not in ("fifo", "lifo", "priority"):
            raise ValueError(f"order must be 'fifo', 'lifo' or 'priority', got {order!r}")
        if max_waiting is not None:
            max_waiting = check_int("max_waiting", max_waiting, 0)
        self._dropped = check_errors(dropped)
        check_timer(timer)
        check_name(name)
        self._policy = policy
        self._order: Order = order
        self._name = name
        self._adapting = threading.Lock()
        self._has_failed = False
        if _serving.setdefault(id(policy), self) is not self:
            raise ValueError(f"{policy!r} already serves another limiter, make another")
        super().__init__(policy.initial, order, max_waiting, timer)
        # What no limit will ever allow is a mistake; what only the present one does not goes alone.
        self._heaviest = policy.max_limit
        self._set_max_weight(self._heaviest)
        if window is not None:
            self._sample(*window)
        bind = getattr(policy, "bind", None)
        if bind is not None:
            bind(self)
        _components.enter(self)

    @classmethod
    def fixed(cls, limit: int, **options: Unpack[LimiterOptions]) -> Self:
        """
        Return a limiter that allows *limit* at once; see `fixed`.
        """
        return cls(fixed(limit), **options)

    @classmethod
    def aimd(
        cls,
        target_latency: float | timedelta,
        *,
        initial: int = 10,
        min_limit: int = 1,
        max_limit: int = 1000,
        backoff: float = 0.9,
        quantile: Literal["p50", "p90"] = "p90",
        interval: float | timedelta = INTERVAL,
        samples: int = SAMPLES,
        **options: Unpack[LimiterOptions],
    ) -> Self:
        """
        Return a limiter that allows what can be served within *target_latency*; see `aimd`.
        """
        policy = aimd(
            target_latency,
            initial=initial,
            min_limit=min_limit,
            max_limit=max_limit,
            backoff=backoff,
            quantile=quantile,
            interval=interval,
            samples=samples,
        )
        return cls(policy, **options)

    @classmethod
    def gradient(
        cls,
        *,
        initial: int = 10,
        min_limit: int = 1,
        max_limit: int = 1000,
        smoothing: float = 0.2,
        tolerance: float = 1.4,
        long_window: int = 600,
        interval: float | timedelta = INTERVAL,
        samples: int = SAMPLES,
        **options: Unpack[LimiterOptions],
    ) -> Self:
        """
        Return a limiter that allows what does not slow calls down by much; see `gradient`.
        """
        policy = gradient(
            initial=initial,
            min_limit=min_limit,
            max_limit=max_limit,
            smoothing=smoothing,
            tolerance=tolerance,
            long_window=long_window,
            interval=interval,
            samples=samples,
        )
        return cls(policy, **options)

    @classmethod
    def resources(
        cls,
        *,
        max_limit: int = 50,
        min_limit: int = 10,
        cpu: float = 0.80,
        memory: float = 0.85,
        step: int | None = None,
        interval: float | timedelta = 1.0,
        hysteresis: float = 0.05,
        sampler: Sampler | None = None,
        **options: Unpack[LimiterOptions],
    ) -> Self:
        """
        Return a limiter that gives way when the CPU or the memory is full; see `resources`.
        """
        from penstock.flow._resource_policy import resources

        policy = resources(
            max_limit=max_limit,
            min_limit=min_limit,
            cpu=cpu,
            memory=memory,
            step=step,
            interval=interval,
            hysteresis=hysteresis,
            sampler=sampler,
        )
        return cls(policy, **options)

    @property
    def policy(self) -> Policy:
        """
        What sets the limit.
        """
        return self._policy

    @property
    def order(self) -> Order:
        """
        Who is first in line.
        """
        return self._order

    @property
    def max_waiting(self) -> int | None:
        """
        How many may wait, None for any number.
        """
        return self._max_waiting

    @property
    def name(self) -> str | None:
        """
        The name given to the limiter.
        """
        return self._name

    def slot(
        self,
        weight: int = 1,
        *,
        priority: int = 0,
        deadline: float | timedelta | None = None,
    ) -> Slot:
        """
        Return a context manager that holds permits, for ``async with`` and for ``with``.

        Args:
            weight: How many permits; more than the present limit go alone.
            priority: The lowest number is first in line, in the order ``"priority"``.
            deadline: Seconds (or a timedelta) to wait at most; 0 not to wait at all.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of its range; more than the policy will ever allow.
            AcquireTimeout: On entry, no permits became free in time.
            DeadlineExceeded: On entry, the ambient ``deadline()`` was over first.
            LimitExceeded: On entry, *max_waiting* wait already.
        """
        return Slot(self, weight, priority, deadline)

    def resize(self, limit: int) -> None:
        """
        Change a fixed limit; permits that are held stay held.

        Args:
            limit: At least 1.

        Raises:
            TypeError: *limit* is no int.
            ValueError: It is below 1.
            RuntimeError: The limit is not a fixed one.
        """
        limit = check_int("limit", limit, 1)
        if not isinstance(self._policy, Fixed):
            message = f"the limit is up to {self._policy!r}, only a fixed one is resized"
            raise RuntimeError(message)  # noqa: TRY004  # the call is right, at another limiter
        if limit > self._heaviest:
            self._heaviest = limit
            self._set_max_weight(limit)
        super().resize(limit)

    def stats(self) -> LimiterStats:
        """
        Return what the limiter has done so far.
        """
        (limit, in_use, waiting, acquired, waited, rejected, timeouts, cancelled, wait) = (
            self._stats()
        )
        return LimiterStats(
            limit=limit,
            in_use=in_use,
            waiting=waiting,
            acquired=acquired,
            waited=waited,
            rejected=rejected,
            timeouts=timeouts,
            cancelled=cancelled,
            wait_seconds=wait,
            latency_short=getattr(self._policy, "short", None),
            latency_long=getattr(self._policy, "long", None),
        )

    def __call__(self, function: F) -> F:
        """
        Return *function*, each call of it with a permit.

        Raises:
            TypeError: It is no function, or a generator function: its permit would be held for as
                long as somebody keeps the generator.
        """
        return limited("Limiter", self, function)

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        state = f"limit={self.limit}, in_use={self.in_use}, waiting={self.waiting}"
        return f"Limiter({self._policy!r}, {state}{name})"

    _time_left = staticmethod(sooner)

    def _outcome(self, kind: type[BaseException]) -> Outcome:
        """Return what the error that ended a body says of the load."""
        if issubclass(kind, self._dropped):
            return "dropped"
        # `async with deadline()` cancels the body, and only outside becomes an error of its own.
        if issubclass(kind, CancelledError) and issubclass(DeadlineExceeded, self._dropped):
            left = remaining()
            if left is not None and left <= 0:
                return "dropped"
        return "ignored"

    def _resize_to(self, limit: int) -> None:
        """Follow the policy."""
        super().resize(limit)

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
    ) -> None:
        """Ask the policy what follows from a window."""
        if not self._adapting.acquire(blocking=False):
            return  # another thread is at it, or this one further up
        try:
            window = Window(count, dropped, p50, p90, mean, minimum, peak, seconds)
            limit = check_int("limit", self._policy.update(window, self.limit), 1)
            self._resize_to(min(limit, self._policy.max_limit))
        except Exception:  # it is not the caller's, who only gives back a permit
            if not self._has_failed:
                self._has_failed = True
                logger.exception("%r failed, the limit stays; said once", self._policy)
        finally:
            self._adapting.release()


_components.describe("limiter", LimiterStats, LIMITER_FIELDS)
