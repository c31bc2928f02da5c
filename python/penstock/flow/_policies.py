"""How many may run at once: a fixed number, or one that follows what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from penstock import _backend
from penstock.flow._checks import check_int, check_number

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "INTERVAL",
    "SAMPLES",
    "Aimd",
    "Fixed",
    "Policy",
    "Window",
    "aimd",
    "check_policy",
    "check_range",
    "check_window",
    "fixed",
    "is_overloaded",
    "policy_of",
]

#: A tenth of a second and ten calls: less says more about chance than about the load.
INTERVAL: Final = 0.1
SAMPLES: Final = 10

#: One in so many calls dropped is overload; a few fail for reasons of their own.
_DROPPED: Final = 20


class Window(NamedTuple):
    """
    What was measured of the calls that ended in one stretch of time; durations in seconds.

    Attributes:
        count: How many were measured.
        dropped: How many of them ended with an error that is a sign of overload.
        p50: Median of their latencies.
        p90: 90th percentile.
        mean: Mean.
        minimum: The shortest one.
        peak: Most permits that were in use at a time.
        seconds: How long the stretch was.
    """

    count: int  # type: ignore[assignment]  # a field, not what tuples have
    dropped: int
    p50: float
    p90: float
    mean: float
    minimum: float
    peak: int
    seconds: float


class Policy(Protocol):
    """
    Decides how many permits a `Limiter` has.

    It serves one limiter, which calls it from one thread at a time. If it has a method
    ``bind(limiter)``, that is called once. If it has attributes ``short`` and ``long``, statistics
    show them as the latency of now and the one that it is compared with.
    """

    @property
    def initial(self) -> int:
        """The limit to begin with."""
        ...

    @property
    def max_limit(self) -> int:
        """The highest limit that it will ever give."""
        ...

    @property
    def window(self) -> tuple[float, int] | None:
        """Seconds and calls that a window has at least; None: nothing is measured."""
        ...

    def update(self, window: Window, limit: int) -> int:
        """Return the new limit, at least 1; *limit* is the present one."""
        ...


def policy_of(limit: int | Policy) -> Policy:
    """Accept a policy, or a number for a fixed one."""
    if isinstance(limit, int):
        return fixed(limit)
    # A dict has an update() too.
    is_policy = all(hasattr(limit, name) for name in ("initial", "max_limit", "window", "update"))
    if isinstance(limit, type) or not is_policy:
        raise TypeError(f"limit must be an int or a policy, got {type(limit).__name__}")
    return limit


def check_policy(policy: Policy) -> tuple[float, int] | None:
    """Check what a policy says of itself; return how much a window takes."""
    highest = check_int("max_limit of the policy", policy.max_limit, 1)
    check_int("initial of the policy", policy.initial, 1, highest)
    window = policy.window
    if window is None:
        return None
    interval, samples = window
    seconds = check_number("interval of the policy", interval)
    if seconds < 0:
        raise ValueError(f"interval of the policy must be >= 0, got {interval!r}")
    return seconds, check_int("samples of the policy", samples, 1)


def is_overloaded(window: Window) -> bool:
    """Whether so many calls were dropped that whatever their latencies are there is overload."""
    return window.dropped * _DROPPED > window.count


def check_range(initial: int, min_limit: int, max_limit: int) -> tuple[int, int, int]:
    """Check where a limit begins and between what it moves."""
    low = check_int("min_limit", min_limit, 1)
    high = check_int("max_limit", max_limit, 1)
    if high < low:
        raise ValueError(f"max_limit must be >= min_limit ({low}), got {high}")
    first = check_int("initial", initial, 1)
    if not low <= first <= high:
        raise ValueError(f"initial must be from {low} to {high}, got {first}")
    return first, low, high


def check_window(interval: float | timedelta, samples: int) -> tuple[float, int]:
    """Check how much a window takes."""
    return _backend.duration("interval", interval), check_int("samples", samples, 1)


class Fixed:
    """Always the same limit; see `fixed`."""

    __slots__ = ("initial",)

    def __init__(self, limit: int) -> None:
        self.initial: Final = check_int("limit", limit, 1)

    @property
    def max_limit(self) -> int:
        """
        The limit.
        """
        return self.initial

    @property
    def window(self) -> None:
        """
        None: nothing is measured.
        """
        return

    def update(self, window: Window, limit: int) -> int:
        """
        Return the limit as it is.
        """
        return limit

    def __repr__(self) -> str:
        return f"fixed({self.initial})"


class Aimd:
    """Additive increase, multiplicative decrease; see `aimd`."""

    __slots__ = (
        "_backoff", "_exact", "_is_median", "_min_limit", "initial", "long", "max_limit", "short",
        "window",
    )  # fmt: skip

    def __init__(
        self,
        target_latency: float | timedelta,
        *,
        initial: int = 10,
        min_limit: int = 1,
        max_limit: int = 1000,
        backoff: float = 0.9,
        quantile: Literal["p50", "p90"] = "p90",
        interval: float | timedelta = INTERVAL,
        samples: int = SAMPLES,
    ) -> None:
        #: What the latency is compared with: the target.
        self.long: Final = _backend.duration("target_latency", target_latency)
        first, low, high = check_range(initial, min_limit, max_limit)
        self.initial: Final = first
        self._min_limit: Final = low
        self.max_limit: Final = high
        self._backoff: Final = check_number("backoff", backoff)
        if not 0.5 <= self._backoff < 1:
            raise ValueError(f"backoff must be >= 0.5 and < 1, got {backoff!r}")
        if quantile not in ("p50", "p90"):
            raise ValueError(f"quantile must be 'p50' or 'p90', got {quantile!r}")
        self._is_median: Final = quantile == "p50"
        self.window: Final = check_window(interval, samples)
        #: The latency of the last window.
        self.short: float | None = None
        self._exact = float(first)

    def update(self, window: Window, limit: int) -> int:
        """
        Cut the limit when calls took too long, else let it grow by one.
        """
        # One slow call must not decide: a percentile of the window does.
        self.short = short = window.p50 if self._is_median else window.p90
        if int(self._exact) != limit:  # somebody else has set it
            self._exact = float(limit)
        if short > self.long or is_overloaded(window):
            # Not below one: nothing would be measured any more, and nothing could recover.
            self._exact = max(float(self._min_limit), self._exact * self._backoff)
        elif window.peak * 2 >= limit:
            # Only what was used has been tried: a limit that does not bind would grow for ever.
            self._exact = min(float(self.max_limit), self._exact + 1.0)
        return int(self._exact)

    def __repr__(self) -> str:
        return f"aimd({self.long:g}, min_limit={self._min_limit}, max_limit={self.max_limit})"


def fixed(limit: int) -> Fixed:
    """
    Allow *limit* at once, whatever happens.

    Args:
        limit: At least 1. ``Limiter(limit)`` is the same.

    Returns:
        A policy for one `Limiter`.

    Raises:
        TypeError: *limit* is no int.
        ValueError: It is below 1.
    """
    return Fixed(limit)


def aimd(
    target_latency: float | timedelta,
    *,
    initial: int = 10,
    min_limit: int = 1,
    max_limit: int = 1000,
    backoff: float = 0.9,
    quantile: Literal["p50", "p90"] = "p90",
    interval: float | timedelta = INTERVAL,
    samples: int = SAMPLES,
) -> Aimd:
    """
    Allow as many at once as can be served within *target_latency*.

    After each window the limit grows by one, unless fewer than half of it were in use; it is
    multiplied with *backoff* when the latency is above the target, or when more than one in twenty
    calls was dropped.

    Args:
        target_latency: Seconds (or a timedelta) that a call may take; it has to be possible, or the
            limit falls to *min_limit*.
        initial: The limit to begin with.
        min_limit: The lowest limit.
        max_limit: The highest limit.
        backoff: From 0.5 to below 1.
        quantile: Which latency of a window counts: ``"p50"`` or ``"p90"``.
        interval: Seconds (or a timedelta) that a window takes at least.
        samples: Calls that it has at least.

    Returns:
        A policy for one `Limiter`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: a window is sorted once, after it; otherwise one reading of the clock on entry and exit.

    Source: TCP's congestion avoidance, as in Netflix's concurrency-limits; there every call counts
        on its own, and one that is dropped cuts the limit.
    """
    return Aimd(
        target_latency,
        initial=initial,
        min_limit=min_limit,
        max_limit=max_limit,
        backoff=backoff,
        quantile=quantile,
        interval=interval,
        samples=samples,
    )
