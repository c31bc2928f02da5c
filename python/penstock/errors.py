"""Errors that callers tell apart; everything else is a builtin."""

from __future__ import annotations

__all__ = [
    "AcquireTimeout",
    "BatchCancelled",
    "BatchSizeMismatch",
    "CircuitOpen",
    "ClosedError",
    "ClusterLost",
    "DeadlineExceeded",
    "ItemDropped",
    "ItemTimeout",
    "LimitExceeded",
    "LoadTimeout",
    "PenstockError",
    "PoolTimeout",
    "RecursiveLoad",
    "SnapshotError",
    "StoreError",
    "StoreTimeout",
    "StoreUnavailable",
    "TaskExpired",
    "WorkerLost",
    "WrongEventLoop",
]


class PenstockError(Exception):
    """
    The base of every error of penstock's own.
    """


class RecursiveLoad(PenstockError, RuntimeError):
    """
    A load asks, directly or through others, for the value that it is loading.
    """


class ClosedError(PenstockError, RuntimeError):
    """
    What was asked to do something is closed, or closing.
    """


class LimitExceeded(PenstockError, RuntimeError):
    """
    The queue in front of a limit is full, so that the request is turned away.

    Attributes:
        waiting: How many wait already.
        max_waiting: How many may.
    """

    def __init__(self, message: str, *, waiting: int = 0, max_waiting: int = 0) -> None:
        super().__init__(message)
        self.waiting = waiting
        self.max_waiting = max_waiting


class AcquireTimeout(PenstockError, TimeoutError):
    """
    A permit did not become free in time.

    Attributes:
        seconds: How long was waited.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class DeadlineExceeded(PenstockError, TimeoutError):
    """
    The time that ``deadline()`` gave is over.

    Attributes:
        seconds: How much it gave.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class CircuitOpen(PenstockError, RuntimeError):
    """
    A circuit breaker lets no call through now.

    Attributes:
        name: That of the breaker, or None.
        retry_after: Seconds until it may let one through.
    """

    def __init__(self, message: str, *, name: str | None = None, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.name = name
        self.retry_after = retry_after


class TaskExpired(PenstockError, TimeoutError):
    """
    A task of an executor did not get done before its deadline.

    Attributes:
        seconds: How much time it had.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class WorkerLost(PenstockError, RuntimeError):
    """
    The process that ran a task died; the task may have run in part.

    Attributes:
        exitcode: Its exit status, negative for a signal; None if unknown.
    """

    def __init__(self, message: str, *, exitcode: int | None = None) -> None:
        super().__init__(message)
        self.exitcode = exitcode


class ClusterLost(PenstockError, ConnectionError):
    """
    The scheduler of a cluster cannot be reached, or is gone.

    Attributes:
        address: Where it was expected.
    """

    def __init__(self, message: str, *, address: str = "") -> None:
        super().__init__(message)
        self.address = address


class BatchSizeMismatch(PenstockError, RuntimeError):
    """
    The handler of a batch returned another number of results than it was given items.

    Attributes:
        expected: How many items it was given.
        got: How many results it returned.
    """

    def __init__(self, message: str, *, expected: int = 0, got: int = 0) -> None:
        super().__init__(message)
        self.expected = expected
        self.got = got


class BatchCancelled(PenstockError, RuntimeError):
    """
    The handler of a batch was cancelled, or ended the program, before it had results.
    """


class ItemDropped(PenstockError, RuntimeError):
    """
    An item was dropped because too many waited already.
    """


class ItemTimeout(PenstockError, TimeoutError):
    """
    An item had no result in time.

    Attributes:
        seconds: How much time it had.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class WrongEventLoop(PenstockError, RuntimeError):
    """
    What is bound to one event loop was used from another.
    """


class PoolTimeout(AcquireTimeout):
    """
    No connection of a pool became free in time.

    Attributes:
        seconds: How long was waited.
        size: How many connections the pool had.
        idle: How many of them were idle.
        leased: How many were in use.
        waiters: How many callers waited.
    """

    def __init__(
        self,
        message: str,
        *,
        seconds: float = 0.0,
        size: int = 0,
        idle: int = 0,
        leased: int = 0,
        waiters: int = 0,
    ) -> None:
        super().__init__(message, seconds=seconds)
        self.size = size
        self.idle = idle
        self.leased = leased
        self.waiters = waiters


class StoreError(PenstockError, RuntimeError):
    """
    A store of a cache refused what it was asked, or cannot be used.
    """


class StoreTimeout(StoreError, TimeoutError):
    """
    A store of a cache did not answer in time.

    Attributes:
        seconds: How much time it had.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class StoreUnavailable(StoreError, ConnectionError):
    """
    A store of a cache cannot be reached, or the connection to it was lost.
    """


class LoadTimeout(PenstockError, TimeoutError):
    """
    The loader of a cache did not return in time; it goes on in the background.

    Attributes:
        seconds: How much time it had.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class SnapshotError(PenstockError, ValueError):
    """
    A file is not a whole snapshot of a cache that this version can read.
    """
