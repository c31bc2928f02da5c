"""`CircuitBreaker`: stop calling what fails, and find out when it is well again."""

from __future__ import annotations

import logging
import random
from asyncio import CancelledError
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

from penstock import _backend, _components
from penstock.errors import CircuitOpen
from penstock.flow._breaker_stats import CircuitBreakerStats
from penstock.flow._callables import check_function, is_coroutine_function, name_of
from penstock.flow._checks import check_int, check_jitter, check_name, check_number, check_timer
from penstock.flow._deadline import ambient
from penstock.flow._families import BREAKER_FIELDS
from penstock.flow._on import check_on, matches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from datetime import timedelta

    from penstock.flow._on import On

__all__ = ["CircuitBreaker"]

logger = logging.getLogger("penstock.flow")

F = TypeVar("F", bound="Callable[..., Any]")
P = ParamSpec("P")
R = TypeVar("R")

_WINDOW = 100
#: As Hystrix: fewer calls say more about chance than about what is called.
_MIN_CALLS = 20
_MAX_OPEN_FOR = 60.0
#: More calls than anybody wants to remember.
_MOST_CALLS = 1_000_000

#: A timer of an event loop may fire that much early.
_SLACK = 0.001


class CircuitBreaker(_backend.Breaker):
    """
    Lets calls through while few of them fail, then none, then some on trial.

    It *opens* when at least *min_calls* are in the window and the share of failures reaches
    *failure_rate*, or that of slow calls *slow_rate*: calls raise `CircuitOpen` at once, and what
    is called can recover. After *open_for* it is *half open* and lets *trial_calls* through. It
    *closes* when all of them succeed; when one fails it opens again, for twice as long as before.

    Use it as a decorator of functions and coroutine functions, by `call`, or as ``with breaker:``
    and ``async with breaker:``.

    Args:
        failure_rate: Share of failures from which on it opens, above 0 and at most 1.
        window: How many of the last calls are looked at; 100 if nothing is given.
        window_seconds: Look at the calls of so many seconds (or a timedelta) instead.
        min_calls: How many calls there must be; 20 if it is not given, or *window* if that is less.
        slow_after: Seconds (or a timedelta) from which on a call is slow; None: none is. On trial
            a slow call is a failure.
        slow_rate: Share of slow calls from which on it opens.
        open_for: Seconds (or a timedelta) for which it is open the first time.
        max_open_for: The longest that it is open; a minute if it is not given, or *open_for* if
            that is more.
        trial_calls: How many calls go through at a time when it is half open, and have to succeed.
        trial_timeout: Seconds (or a timedelta) after which a call on trial that has not ended makes
            room for another one, so that one that hangs does not keep all others out.
        jitter: By what share the time that it is open is varied at random, so that many processes
            do not all try again at once.
        on: A type of exceptions, a tuple of them, or predicate(error) -> bool: what is a failure.
            Any other `Exception` is an answer, and counts as a success. What is no `Exception`
            counts as nothing, such as being cancelled; being cancelled by a ``deadline()`` that is
            over is a failure, as a `TimeoutError` is.
        on_change: on_change(breaker, old, new), called after each change of state, in the thread
            that caused it. What it raises is logged.
        timer: Seconds on a clock of your own, for tests.
        name: Shown in metrics and in errors under this name.

    Raises:
        TypeError: An argument has the wrong type, or two exclude each other.
        ValueError: An argument is out of its range.

    Cost: two native calls around a call, O(1). Any number of threads and event loops.

    Source: resilience4j, for the rates and for what counts as a success; the longer and longer
        pauses are those of Polly and failsafe. Half-open permits are leases with a generation: a
        call that began in an earlier state decides nothing.
    """

    __slots__ = ("__weakref__", "_name", "_on", "_on_change", "_open_for")

    def __init__(
        self,
        *,
        failure_rate: float = 0.5,
        window: int | None = None,
        window_seconds: float | timedelta | None = None,
        min_calls: int | None = None,
        slow_after: float | timedelta | None = None,
        slow_rate: float = 1.0,
        open_for: float | timedelta = 5.0,
        max_open_for: float | timedelta | None = None,
        trial_calls: int = 3,
        trial_timeout: float | timedelta = 30.0,
        jitter: float = 0.1,
        on: On = Exception,
        on_change: Callable[[CircuitBreaker, str, str], object] | None = None,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        count, seconds, least = _check_window(window, window_seconds, min_calls)
        first, longest = _check_open(open_for, max_open_for)
        self._open_for = first
        self._on = check_on(on)
        _check_on_change(on_change)
        self._on_change = on_change
        check_timer(timer)
        check_name(name)
        self._name = name
        self._init(
            count=count,
            seconds=seconds,
            min_calls=least,
            failure_rate=_check_rate("failure_rate", failure_rate),
            slow_rate=_check_rate("slow_rate", slow_rate),
            slow_after=None if slow_after is None else _backend.duration("slow_after", slow_after),
            trial_calls=check_int("trial_calls", trial_calls, 1, _MOST_CALLS),
            lease=_backend.duration("trial_timeout", trial_timeout),
            open_seconds=first,
            max_open_seconds=longest,
            jitter=check_jitter("jitter", jitter),
            seed=random.getrandbits(64),
            timer=timer,
        )
        _components.enter(self)

    @property
    def name(self) -> str | None:
        """
        The name given to the circuit breaker.
        """
        return self._name

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        return f"CircuitBreaker(state={self.state!r}{name})"

    def stats(self) -> CircuitBreakerStats:
        """
        Return what it has seen so far.
        """
        state, calls, failures, slow, *window, rejected, opened = self._stats()
        return CircuitBreakerStats(
            state=state,
            calls=calls,
            failures=failures,
            slow=slow,
            window_calls=window[0],
            window_failures=window[1],
            window_slow=window[2],
            rejected=rejected,
            opened=opened,
        )

    @overload
    def call(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """
        Call a function, unless it is open.

        Args:
            function: A function or coroutine function; or one that returns something to await,
                then that is what goes through the breaker.

        Returns:
            What the function returns, to be awaited if that is.

        Raises:
            CircuitOpen: No call goes through now; a coroutine function says so when awaited.
                Whatever the function raises is passed on.
        """
        if is_coroutine_function(function):
            return _around_coroutine(self, function)(*args, **kwargs)
        lease = self._begin()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _fail(self, lease, error)
            raise
        if hasattr(type(result), "__await__"):
            # Nothing has happened yet. What is never awaited must not keep its lease.
            self._end(lease, "ignored")
            return self._await(result)
        self._end(lease, "success")
        return result

    def __call__(self, function: F) -> F:
        check_function("a circuit breaker", function)
        wrapper = _around_coroutine if is_coroutine_function(function) else _around_call
        wrapped: F = wraps(function)(wrapper(self, function))  # type: ignore[assignment]
        return wrapped

    async def _await(self, awaitable: Awaitable[Any]) -> Any:
        try:
            async with self:
                return await awaitable
        finally:
            # Refused, it has not begun, and would complain that nobody awaited it.
            if isinstance(awaitable, CoroutineType):
                awaitable.close()

    def _outcome(self, error: BaseException | None) -> str:
        """Return what a call that raised *error* counts as."""
        if isinstance(error, Exception):
            try:
                return "failure" if matches(self._on, error) else "success"
            except Exception:
                logger.exception("%r: on=%s failed; taken for a failure", self, name_of(self._on))
                return "failure"
        if isinstance(error, CancelledError):
            due = ambient()
            if due is not None and due.remaining() <= _SLACK:
                return "failure"
        return "ignored"

    def _refuse(self, retry_after: float) -> NoReturn:
        """Tell that a call does not go through."""
        who = "circuit breaker" if self._name is None else f"circuit breaker {self._name!r}"
        what = "is open"
        if self.state != "open":
            what = "is half open, with all trial calls out"
            # Until the first of them is given up; most of them end long before.
            retry_after = min(retry_after, self._open_for)
        message = f"{who} {what}; retry in {retry_after:.3g} s"
        raise CircuitOpen(message, name=self._name, retry_after=retry_after)

    def _changed(self, old: str, new: str) -> None:
        """Tell who wants to know of a change of state."""
        on_change = self._on_change
        if on_change is not None:
            try:
                on_change(self, old, new)
            except Exception:
                logger.exception("%r: on_change=%s failed", self, name_of(on_change))


def _fail(breaker: CircuitBreaker, lease: int, error: BaseException) -> None:
    """End a call that raised, whatever comes of the question what that counts as."""
    outcome = "ignored"
    try:
        outcome = breaker._outcome(error)
    finally:
        breaker._end(lease, outcome)


# Most calls succeed, and pay for no more than what is seen here. Merging no keyword arguments into
# new ones would cost as much as asking the breaker.


def _around_call(breaker: CircuitBreaker, function: Callable[..., Any]) -> Callable[..., Any]:
    begin, end = breaker._begin, breaker._end
    coroutine = CoroutineType

    def call(*args: Any, **kwargs: Any) -> Any:
        lease = begin()
        try:
            result = function(*args, **kwargs) if kwargs else function(*args)
        except BaseException as error:
            _fail(breaker, lease, error)
            raise
        if type(result) is coroutine:
            end(lease, "ignored")
            _refuse_coroutine(function, result)
        end(lease, "success")
        return result

    return call


def _around_coroutine(breaker: CircuitBreaker, function: Callable[..., Any]) -> Callable[..., Any]:
    begin, end = breaker._begin, breaker._end

    async def call(*args: Any, **kwargs: Any) -> Any:
        lease = begin()
        try:
            result = await (function(*args, **kwargs) if kwargs else function(*args))
        except BaseException as error:
            _fail(breaker, lease, error)
            raise
        end(lease, "success")
        return result

    return call


def _refuse_coroutine(function: object, coroutine: CoroutineType[Any, Any, Any]) -> NoReturn:
    """Refuse a function that cannot fail: what its coroutine raises would never be seen here."""
    coroutine.close()
    what = f"{name_of(function)} returned a coroutine"
    raise TypeError(f"{what}: a circuit breaker needs a coroutine function")


def _check_window(
    window: int | None, window_seconds: float | timedelta | None, min_calls: int | None
) -> tuple[int | None, float | None, int]:
    """Return the number of calls, or the seconds, and how many calls there must be."""
    if window_seconds is not None:
        if window is not None:
            raise TypeError("window and window_seconds exclude each other")
        seconds = _backend.duration("window_seconds", window_seconds)
        least = _MIN_CALLS if min_calls is None else min_calls
        return None, seconds, check_int("min_calls", least, 1, _MOST_CALLS)
    count = check_int("window", _WINDOW if window is None else window, 1, _MOST_CALLS)
    if min_calls is None:
        return count, None, min(_MIN_CALLS, count)
    least = check_int("min_calls", min_calls, 1)
    if least > count:
        raise ValueError(f"min_calls must be <= window ({count}), got {least}")
    return count, None, least


def _check_open(
    open_for: float | timedelta, max_open_for: float | timedelta | None
) -> tuple[float, float]:
    """Return for how long it is open at first, and at most."""
    first = _backend.duration("open_for", open_for)
    if max_open_for is None:
        return first, max(first, _MAX_OPEN_FOR)
    longest = _backend.duration("max_open_for", max_open_for)
    if longest < first:
        raise ValueError(f"max_open_for must be >= open_for ({first:g}), got {longest:g}")
    return first, longest


def _check_on_change(on_change: object) -> None:
    if on_change is None:
        return
    if not callable(on_change):
        raise TypeError(f"on_change must be callable, got {type(on_change).__name__}")
    if is_coroutine_function(on_change):
        raise TypeError("on_change must be a plain function, got a coroutine function")


def _check_rate(what: str, value: float) -> float:
    rate = check_number(what, value)
    if not 0.0 < rate <= 1.0:
        raise ValueError(f"{what} must be > 0 and <= 1, got {value!r}")
    return rate


_components.describe("circuit_breaker", CircuitBreakerStats, BREAKER_FIELDS)
