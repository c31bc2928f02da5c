"""What every kind of `Limiter` takes, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Errors", "LimiterOptions", "LimiterStats", "Order", "Outcome", "check_errors"]

Order = Literal["fifo", "lifo", "priority"]
Outcome = Literal["success", "dropped", "ignored"]
Errors = type[BaseException] | tuple[type[BaseException], ...]


class LimiterOptions(TypedDict, total=False):
    """What every kind of `Limiter` takes."""

    order: Order
    max_waiting: int | None
    dropped: Errors
    timer: Callable[[], float] | None
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterStats:
    """
    What a `Limiter` has done so far.

    Args:
        limit: Permits there are.
        in_use: Permits that are held; more than *limit* after it shrank.
        waiting: How many wait.
        acquired: How often permits were taken, at once or after a wait.
        waited: How often somebody had to get in line for them.
        rejected: How many were turned away because the line was full.
        timeouts: How many left the line because their time was over.
        cancelled: How many left it because they were cancelled.
        wait_seconds: Time that those waited who then got permits.
        latency_short: What the policy saw last, None if it looks at no latencies.
        latency_long: What it compares that with: the target, or the latency without load.
    """

    limit: int = 0
    in_use: int = 0
    waiting: int = 0
    acquired: int = 0
    waited: int = 0
    rejected: int = 0
    timeouts: int = 0
    cancelled: int = 0
    wait_seconds: float = 0.0
    latency_short: float | None = None
    latency_long: float | None = None


def check_errors(errors: Errors) -> Errors:
    given: tuple[object, ...] = errors if isinstance(errors, tuple) else (errors,)
    for error in given:
        if not (isinstance(error, type) and issubclass(error, BaseException)):
            got = error.__name__ if isinstance(error, type) else type(error).__name__
            raise TypeError(f"dropped must be exception types, got {got}")
    return errors
