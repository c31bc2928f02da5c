"""What retries tell: statistics, and what a hook is handed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RetryInfo", "RetryStats"]


@dataclass(frozen=True, slots=True)
class RetryStats:
    """
    What has become of the calls of a retried function.

    Attributes:
        calls: Calls that have ended.
        successes: Of these, that returned.
        failures: That raised an exception, be it the first that came or the last.
        cancelled: That were cancelled, or ended by another exception that is no `Exception`.
        retries: Attempts after the first, of all calls.
        exhausted: Failures because there had been as many attempts as allowed.
        out_of_budget: Failures because the retry budget was exhausted.
        out_of_time: Failures because the next attempt would have come after the deadline.
        pushed_back: Failures because the error asked not to retry, or to wait for too long.
        delay_seconds: The sum of the delays before retries.
    """

    calls: int = 0
    successes: int = 0
    failures: int = 0
    cancelled: int = 0
    retries: int = 0
    exhausted: int = 0
    out_of_budget: int = 0
    out_of_time: int = 0
    pushed_back: int = 0
    delay_seconds: float = 0.0


# Errors may compare in odd ways, or not at all.
@dataclass(frozen=True, slots=True, eq=False)
class RetryInfo:
    """
    A failed attempt that another one is to follow.

    Attributes:
        name: The name given, else that of the function; empty for a loop without a name.
        attempt: The number of the attempt that failed, from 1.
        error: What it raised.
        delay: Seconds until the next one.
        elapsed: Seconds since the first attempt failed.
    """

    name: str
    attempt: int
    error: Exception
    delay: float
    elapsed: float
