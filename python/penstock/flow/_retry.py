"""`retry`: the decorator."""

from __future__ import annotations

from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from penstock.flow._attempts import Attempts
from penstock.flow._callables import check_function, is_coroutine_function, name_of
from penstock.flow._retry_options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from datetime import timedelta

    from penstock.flow._budget import RetryBudget
    from penstock.flow._retry_options import Hook, On, Rng, Sleep
    from penstock.flow._retry_types import (
        RetriedCoroutineFunction,
        RetriedFunction,
        RetryDecorator,
    )

__all__ = ["retry"]

P = ParamSpec("P")
R = TypeVar("R")


# A coroutine is a value like any other to the second overload; the first is tried first.
@overload
def retry(  # type: ignore[overload-overlap]
    attempts: Callable[P, Coroutine[Any, Any, R]], /
) -> RetriedCoroutineFunction[P, R]: ...
@overload
def retry(attempts: Callable[P, R], /) -> RetriedFunction[P, R]: ...
@overload
def retry(
    attempts: int | None = 3,
    *,
    on: On = Exception,
    base: float | timedelta = 0.1,
    cap: float | timedelta = 5.0,
    timeout: float | timedelta | None = None,
    deadline: float | timedelta | None = None,
    budget: RetryBudget | None = None,
    retry_after: bool | float | timedelta = True,
    on_retry: Hook | Iterable[Hook] | None = None,
    name: str | None = None,
    sleep: Sleep | None = None,
    rng: Rng | None = None,
) -> RetryDecorator: ...
def retry(
    attempts: int | Callable[..., object] | None = 3,
    *,
    on: On = Exception,
    base: float | timedelta = 0.1,
    cap: float | timedelta = 5.0,
    timeout: float | timedelta | None = None,
    deadline: float | timedelta | None = None,
    budget: RetryBudget | None = None,
    retry_after: bool | float | timedelta = True,
    on_retry: Hook | Iterable[Hook] | None = None,
    name: str | None = None,
    sleep: Sleep | None = None,
    rng: Rng | None = None,
) -> object:
    """
    Call a function or coroutine function again when it fails.

    Before attempt n + 1 there is a delay, drawn evenly from 0 to ``min(cap, base * 2**(n - 1))``.
    The error of the last attempt is raised as it was, with a note on how many there were and why
    there was no other. Cancellation, and whatever else is no `Exception`, is never retried.

    Retried functions that call each other multiply their attempts: retry in one layer, or share
    a *budget*; ``previous_attempts()`` tells how often the code was tried before.

    Args:
        attempts: Most attempts, the first included; None for no limit. ``@retry`` alone takes the
            default.
        on: A type of exceptions, a tuple of them, or predicate(error) -> bool: what to retry.
        base: Seconds (or a timedelta) that the first delay is drawn from; 0 for no delays.
        cap: Seconds (or a timedelta) that no drawn delay exceeds.
        timeout: Seconds (or a timedelta) for each attempt, which is interrupted then and fails with
            `DeadlineExceeded`, a TimeoutError. For coroutine functions.
        deadline: Seconds (or a timedelta) for all attempts and delays together. When the next
            attempt would come later, the last error is raised at once; so it is when it would come
            after a ``deadline()`` around the call. A coroutine function is also interrupted, with
            `DeadlineExceeded`.
        budget: A `RetryBudget`, shared with others, that each retry is taken from.
        retry_after: Whether to wait for as long as the error asks: by a ``Retry-After`` header
            among its ``headers`` or those of its ``response`` (aiohttp, httpx, requests), or by its
            attribute ``retry_after``, as `CircuitOpen` does. The drawn delay comes on top of it. An
            error that asks for less than 0 seconds, or for more than 300 (or than *retry_after*
            seconds), is not retried.
        on_retry: hook(RetryInfo), or several, called before each delay; awaited where a coroutine
            function is retried. What it raises ends the call.
        name: Shown in metrics under this name.
        sleep: sleep(seconds) in place of `asyncio.sleep` and `time.sleep`; awaited if it can be.
        rng: With random() -> 0..1, to draw the delays from, in place of the module `random`.

    Returns:
        A function of the same kind and signature with ``stats()`` and ``__wrapped__``.

    Raises:
        TypeError: Not a function; *timeout* for one that cannot be interrupted; an option has the
            wrong type.
        ValueError: An option is out of its range.

    Cost: of a first attempt that succeeds, one more call (or coroutine) and a counter. Any number
        of threads and event loops; calls share nothing but counters. The delays of a function that
        is no coroutine function block the thread.

    Source: full jitter as in Brooker, Exponential Backoff And Jitter (AWS, 2015).
    """
    function: Callable[..., Any] | None = None
    most: int | None = 3
    if callable(attempts) or isinstance(attempts, classmethod | staticmethod):
        function = cast("Callable[..., Any]", attempts)  # also one that is to be refused
    else:
        most = attempts
    options = Options(
        most,
        on=on,
        base=base,
        cap=cap,
        timeout=timeout,
        deadline=deadline,
        budget=budget,
        retry_after=retry_after,
        on_retry=on_retry,
        name=name,
        sleep=sleep,
        rng=rng,
    )

    def decorate(function: Callable[..., Any], /) -> Callable[..., Any]:
        return _decorate(function, options)

    return decorate if function is None else decorate(function)


def _decorate(function: Callable[..., Any], options: Options) -> Callable[..., Any]:
    check_function("retry", function)
    label = options.name or name_of(function)
    is_limited = options.timeout is not None or options.deadline is not None
    if is_coroutine_function(function):
        around = _around_limited_coroutine if is_limited else _around_coroutine
    else:
        if options.timeout is not None:
            raise TypeError(f"timeout needs a coroutine function: nothing can interrupt {label}")
        if options.has_coroutine_hooks:
            raise TypeError(f"on_retry must be a plain function: nothing in {label} awaits it")
        around = _around_limited_call if is_limited else _around_call
    attempts = Attempts(options, label)
    wrapper = cast("Any", wraps(function)(around(function, attempts)))
    wrapper.stats = attempts.stats
    return cast("Callable[..., Any]", wrapper)


# The first attempt of these two is made by hand: most calls need no other.


def _around_coroutine(function: Callable[..., Any], attempts: Attempts) -> Callable[..., Any]:
    counts, budget = attempts._counts, attempts._options.budget
    deposit = None if budget is None else budget.deposit

    async def call(*args: Any, **kwargs: Any) -> Any:
        if deposit is not None:
            deposit()
        try:
            result = await function(*args, **kwargs)
        except Exception as error:
            course = attempts._after(error, is_async=True)
            if course is None:
                raise
        except BaseException:
            counts.cancelled += 1
            raise
        else:
            counts.successes += 1
            return result
        # Not in the handler: errors of further attempts have nothing to do with that of the first.
        async for attempt in course:
            with attempt:
                return await function(*args, **kwargs)
        raise AssertionError("a loop that neither returned nor raised")

    return call


def _around_call(function: Callable[..., Any], attempts: Attempts) -> Callable[..., Any]:
    counts, budget = attempts._counts, attempts._options.budget
    deposit = None if budget is None else budget.deposit

    def call(*args: Any, **kwargs: Any) -> Any:
        if deposit is not None:
            deposit()
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            course = attempts._after(error, is_async=False)
            if course is None:
                raise
        except BaseException:
            counts.cancelled += 1
            raise
        else:
            if type(result) is CoroutineType:
                _refuse(function, result)
            counts.successes += 1
            return result
        for attempt in course:
            with attempt:
                return function(*args, **kwargs)
        raise AssertionError("a loop that neither returned nor raised")

    return call


def _around_limited_coroutine(
    function: Callable[..., Any], attempts: Attempts
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        async for attempt in attempts:
            with attempt:
                return await function(*args, **kwargs)
        raise AssertionError("a loop that neither returned nor raised")

    return call


def _around_limited_call(function: Callable[..., Any], attempts: Attempts) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        for attempt in attempts:
            with attempt:
                return function(*args, **kwargs)
        raise AssertionError("a loop that neither returned nor raised")

    return call


def _refuse(function: Callable[..., Any], coroutine: CoroutineType[Any, Any, Any]) -> None:
    """Refuse a function that cannot fail: what its coroutine raises would never be seen here."""
    coroutine.close()
    raise TypeError(f"{name_of(function)} returned a coroutine: retry needs a coroutine function")
