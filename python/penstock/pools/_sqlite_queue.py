"""
Statements of any event loop that wait for a thread with a connection, which does them together.

This is no `Batcher`, since that belongs to one event loop. Here callers of all loops share one
queue, and while a thread is at it nobody is woken for what comes: the same thread takes it, as much
as it has become by then.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from penstock._copies import copied
from penstock.flow._deadline import sooner
from penstock.pools._sqlite_entry import Entry, deliver
from penstock.pools._sqlite_store import closed

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

    from penstock._waiters import Due
    from penstock.pools._sqlite_lane import Lane

__all__ = ["Queue"]

E = TypeVar("E", bound=Entry)


class Worker(Protocol):
    """What does statements in a thread."""

    def begin(self) -> None:
        """Have a thread begin, with the permit that was taken."""


class _Turn:
    """A worker in the line for a connection, among the tasks and threads there."""

    __slots__ = ("_fate", "_worker", "is_expired", "weight")

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._fate = [None]
        self.weight = 1
        self.is_expired = False

    def wake(self, _: AbstractEventLoop | None) -> bool:
        """Let it begin."""
        self._worker.begin()
        return True

    def disown(self) -> bool:
        """Whether the permit is the caller's to pass on."""
        try:
            self._fate.pop()
        except IndexError:
            return False
        return True


class Queue(Generic[E]):
    """
    Statements that wait, in the order of their coming.

    Args:
        lane: What for.
    """

    __slots__ = ("lane", "pending", "store")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.store = lane.store
        self.pending: deque[E] = deque()

    def call(self, worker: Worker) -> bool:
        """Get a permit for a worker, with which it begins now, or else in its turn."""
        line = self.lane.line
        if line.try_acquire() or not line._enqueue(_Turn(worker), 1, 0):
            worker.begin()
            return True
        return False

    def submit(self, work: Callable[[], object]) -> Exception | None:
        """Have a thread do something with a permit; return why that cannot be."""
        try:
            self.store.submit(work)
        except RuntimeError as error:  # the pool was closed, or the interpreter is at its end
            return self.store.refusal or error
        return None

    def refuse(self, error: Exception) -> None:
        """Give a permit back for which there is no thread."""
        self.lane.line.release()
        self.fail(error)

    def give_back(self, worker: Worker, goes_on: bool) -> None:
        """Give a permit back, after getting in line again if there is more to do."""
        line = self.lane.line
        has_another = goes_on and not line._enqueue(_Turn(worker), 1, 0)
        line.release()
        if has_another:
            worker.begin()

    def fail(self, error: BaseException, count: int | None = None) -> None:
        """Have what waits end with an error, or the first *count* of it."""
        entries = []
        for _ in range(len(self.pending) if count is None else count):
            try:
                entry = self.pending.popleft()
            except IndexError:
                break
            if entry.claim():
                entry.fail(copied(error))
                entries.append(entry)
        deliver(entries)

    def end(self) -> None:
        """Fail what waits, since the pool is closed."""
        self.fail(closed(self.store.options.path))

    # --- the time of those who wait ---------------------------------------------------------------

    def limit(self, entry: E, seconds: float | None) -> TimerHandle | None:
        """Limit how long a statement waits, to what the ambient deadline leaves at most."""
        seconds, due = sooner(seconds)
        if seconds is None:
            return None
        return entry.loop.call_later(seconds, self.expire, entry, seconds, due)

    def expire(self, entry: E, seconds: float, due: Due | None = None) -> None:
        """Have a wait end with an error, if it lasts still."""
        if entry.future.done() or not entry.claim():
            return
        self.store.counts.expired += 1
        entry.is_over = True
        error = self.lane.line._expired(seconds) if due is None else due.error()
        entry.future.set_exception(error)
