"""`hedge`: a second call where the first one is slow."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from penstock.flow._callables import check_function, is_coroutine_function, name_of
from penstock.flow._checks import check_int
from penstock.flow._hedge_delay import FixedDelay, ObservedDelay
from penstock.flow._hedger import Hedger, HedgeStats
from penstock.flow._retry_options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    from penstock.flow._budget import RetryBudget
    from penstock.flow._retry_options import On

__all__ = ["HedgeStats", "HedgedFunction", "hedge"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class HedgedFunction(Protocol[P, R_co]):
    """
    A coroutine function whose slow calls are made twice.
    """

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
        """The function itself."""
        ...

    def stats(self) -> HedgeStats:
        """Return what has become of the calls so far."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> HedgedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: HedgedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> HedgedFunction[Q, R]: ...


class HedgeDecorator(Protocol):
    """
    What `hedge(...)` with options returns.
    """

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> HedgedFunction[P, R]: ...


@overload
def hedge(
    fn: Callable[P, Coroutine[Any, Any, R]],
    /,
    *,
    delay: float | timedelta | None = None,
    extra: int = 1,
    budget: RetryBudget | None = None,
    on: On = (),
    name: str | None = None,
) -> HedgedFunction[P, R]: ...
@overload
def hedge(
    fn: None = None,
    /,
    *,
    delay: float | timedelta | None = None,
    extra: int = 1,
    budget: RetryBudget | None = None,
    on: On = (),
    name: str | None = None,
) -> HedgeDecorator: ...
def hedge(
    fn: Callable[..., Coroutine[Any, Any, object]] | None = None,
    /,
    *,
    delay: float | timedelta | None = None,
    extra: int = 1,
    budget: RetryBudget | None = None,
    on: On = (),
    name: str | None = None,
) -> object:
    """
    Call a coroutine function once more when it is slow, and take the answer that comes first.

    Only for calls that may be made twice: those that read, or are idempotent. The first call that
    returns wins; the others are cancelled, and the answer is given when they have ended. A call
    that fails leaves the decision to those that still run. When none is left, the first error is
    raised as it was, with a note on the others.

    Args:
        fn: A coroutine function; ``@hedge`` alone takes the defaults.
        delay: Seconds (or a timedelta) without an answer, after which the next call is made. None:
            the 95th percentile of the last 100 calls, at least 1 ms; until there were 20, no second
            call is made.
        extra: Most calls beside the first one, >= 1.
        budget: A `RetryBudget`, shared with others: each call pays in, each extra one is taken out.
            Without one, no more than its share of the calls is slower than the delay, until all
            are.
        on: A type of exceptions, a tuple of them, or predicate(error) -> bool: errors after which
            the next call is made at once. After any other, no further call is made.
        name: Shown in metrics under this name.

    Returns:
        A coroutine function of the same signature with ``stats()`` and ``__wrapped__``.

    Raises:
        TypeError: Not a coroutine function, or an option of a wrong type.
        ValueError: An option is out of its range.
        DeadlineExceeded: The ambient ``deadline()`` is over.

    Whoever is cancelled returns when all calls have ended. What a call raises that is no Exception
    ends the others too.

    Cost: a task for each call. Any number of event loops.

    Source: Dean and Barroso, The Tail at Scale (2013); Finagle's BackupRequestFilter for the
        delay; *on* is gRPC's nonFatalStatusCodes, but calls that run are not given up after another
        error.
    """
    extra = check_int("extra", extra, 1)
    fixed = None if delay is None else FixedDelay(delay)
    options = Options(None, on=on, budget=budget, name=name)

    def decorate(fn: Callable[..., Coroutine[Any, Any, object]], /) -> object:
        check_function("hedge", fn)
        if not is_coroutine_function(fn):
            raise TypeError(f"hedge needs a coroutine function, got {name_of(fn)}")
        delay = ObservedDelay() if fixed is None else fixed
        hedger = Hedger(fn, delay, extra, options, options.name or name_of(fn))

        @wraps(fn)
        async def call(*args: object, **kwargs: object) -> object:
            return await hedger.call(args, kwargs)

        wrapper = cast("Any", call)
        wrapper.stats = hedger.stats
        return wrapper

    return decorate if fn is None else decorate(fn)
