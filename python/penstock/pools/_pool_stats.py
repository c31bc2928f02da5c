"""What a pool of connections tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Counts", "PoolReport", "PoolStats"]


class PoolReport(NamedTuple):
    """
    What became of the connections of a pool that was closed.

    Attributes:
        closed: How many were closed in good order.
        terminated: How many were cut off.
        leased: How many of those were still in use.
    """

    closed: int
    terminated: int
    leased: int


class Counts:
    """What a pool counts itself; the line of waiters counts the rest."""

    __slots__ = (
        "acquired", "cancelled", "checks", "closed_check", "closed_dirty", "closed_idle",
        "closed_lifetime", "closed_other", "closed_reset", "connect_errors", "connect_seconds",
        "connects", "leaks", "rejected", "resets", "timeouts", "use_seconds", "wait_seconds",
        "waited",
    )  # fmt: skip

    def __init__(self) -> None:
        self.acquired = self.rejected = self.checks = self.resets = self.leaks = 0
        self.connects = self.connect_errors = 0
        self.connect_seconds = self.use_seconds = 0.0
        self.closed_idle = self.closed_lifetime = self.closed_other = 0
        self.closed_check = self.closed_dirty = self.closed_reset = 0
        #: Those of lines that are no more.
        self.waited = self.timeouts = self.cancelled = 0
        self.wait_seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """
    What a `Pool` has done so far; ``size == idle + leased + connecting + resetting``.

    Args:
        size: Connections that there are, those that are being made included.
        idle: How many nobody uses.
        leased: How many are in use, or being asked whether they are alive.
        connecting: How many are being made.
        resetting: How many are made ready for the next user.
        waiting: How many wait in line for one.
        min_size: How many are kept.
        max_size: How many there may be.
        acquired: How often one was handed out.
        waited: How often somebody had to get in line.
        rejected: How many were turned away because the line was full.
        timeouts: How many left the line because their time was over.
        cancelled: How many left it because they were cancelled.
        wait_seconds: Time that those waited who then got a connection.
        use_seconds: Time that connections were in use.
        connects: How many were made.
        connect_errors: How many attempts to make one failed.
        connect_seconds: Time that those took that were made.
        checks: How often one was asked whether it is alive.
        resets: How often one was reset.
        closed_idle: How many were closed because nobody used them.
        closed_lifetime: How many were closed because they were old.
        closed_dirty: How many were terminated because a use of them broke off.
        closed_check: How many were terminated because they did not pass a check.
        closed_reset: How many were terminated because they could not be reset.
        closed_other: How many were closed because the pool shrank, or was closed.
        leaks: How many were in use for longer than *leak_after*.
    """

    size: int = 0
    idle: int = 0
    leased: int = 0
    connecting: int = 0
    resetting: int = 0
    waiting: int = 0
    min_size: int = 0
    max_size: int = 0
    acquired: int = 0
    waited: int = 0
    rejected: int = 0
    timeouts: int = 0
    cancelled: int = 0
    wait_seconds: float = 0.0
    use_seconds: float = 0.0
    connects: int = 0
    connect_errors: int = 0
    connect_seconds: float = 0.0
    checks: int = 0
    resets: int = 0
    closed_idle: int = 0
    closed_lifetime: int = 0
    closed_dirty: int = 0
    closed_check: int = 0
    closed_reset: int = 0
    closed_other: int = 0
    leaks: int = 0
