"""
Group commit: what concurrent callers write goes in one hop, and in one transaction.

This is no `Batcher`, since that belongs to one event loop. Here callers of all loops share one
group, and while the writer is busy nobody is woken for the next group: it is taken by the same
thread, as large as it has become by then.
"""

from __future__ import annotations

import copy
from asyncio import get_running_loop
from collections import deque
from typing import TYPE_CHECKING

from penstock.flow._deadline import ambient, sooner
from penstock.pools._sqlite_entry import Entry, deliver
from penstock.pools._sqlite_store import closed
from penstock.pools._sqlite_writing import Writing

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Sequence

    from penstock._waiters import Due
    from penstock.pools._sqlite_statements import Kind
    from penstock.pools._sqlite_store import Store
    from penstock.pools._sqlite_work import Parameters

__all__ = ["Group"]


class _Turn:
    """A group in the line for the writer, among the tasks and threads there."""

    __slots__ = ("_fate", "_group", "is_expired", "weight")

    def __init__(self, group: Group) -> None:
        self._group = group
        self._fate = [None]
        self.weight = 1
        self.is_expired = False

    def wake(self, _: AbstractEventLoop | None) -> bool:
        """Begin to write; False if there is no thread for that."""
        return self._group.begin()

    def disown(self) -> bool:
        """Whether the permit is the caller's to pass on."""
        try:
            self._fate.pop()
        except IndexError:
            return False
        return True


class Group:
    """
    Statements that wait to be written, and a thread that writes them when it is their turn.

    No statement is left lying. Whoever brings one looks at `_is_called` after it is in the queue,
    and calls for the writer if the flag is down. The thread takes the flag down before it looks
    into the queue for the last time.
    """

    __slots__ = ("_is_called", "_is_writing", "_pending", "_store", "_writing")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: deque[Entry] = deque()
        #: A thread writes, or it is in line for the writer.
        self._is_called = False
        #: A thread writes, and will not go before it has written what is there.
        self._is_writing = False
        self._writing = Writing(store, self._pending)

    @property
    def pending(self) -> int:
        """How many statements wait."""
        return len(self._pending)

    def put(
        self, sql: str, given: Parameters | Sequence[Parameters], many: bool, kind: Kind
    ) -> Entry:
        """Have a statement written: its future is done when it is committed."""
        loop = get_running_loop()
        entry = Entry(sql, given, many, kind, loop)
        self._pending.append(entry)
        if not self._is_called:
            self._is_called = True
            self._call()
        # What is there when a thread writes will be written without any other wait.
        if not self._is_writing or ambient() is not None:
            entry.timer = self._limit(entry, loop)
        return entry

    def kill(self) -> None:
        """Fail what waits; interrupt what runs."""
        self._writing.stop()
        self._fail(closed(self._store.options.path))

    # --- the line ---------------------------------------------------------------------------------

    def _call(self) -> None:
        """Get the writer, or in line for it."""
        line = self._store.writer.line
        if line.try_acquire() or not line._enqueue(_Turn(self), 1, 0):
            self.begin()

    def begin(self) -> bool:
        """Have a thread write, with the permit that was taken; False if there is no thread."""
        self._is_writing = True
        try:
            self._store.submit(self._write)
        except RuntimeError as error:  # the interpreter is at its end
            self._is_called = self._is_writing = False
            self._store.writer.line.release()
            self._fail(error)
        return True

    def _limit(self, entry: Entry, loop: AbstractEventLoop) -> TimerHandle | None:
        seconds, due = sooner(self._store.options.acquire_timeout)
        return (
            None if seconds is None else loop.call_later(seconds, self._expire, entry, seconds, due)
        )

    def _expire(self, entry: Entry, seconds: float, due: Due | None) -> None:
        if entry.future.done() or not entry.claim():
            return
        self._store.counts.expired += 1
        error = self._store.writer.line._expired(seconds) if due is None else due.error()
        entry.future.set_exception(error)

    # --- in the thread ----------------------------------------------------------------------------

    def _write(self) -> None:
        store = self._store
        line = store.writer.line
        goes_on = True
        try:
            while True:
                self._do()
                gives_way = line.waiting and store.refusal is None
                # First this flag, then all that was there before: see `put`.
                self._is_writing = False
                if gives_way:
                    self._do()
                self._is_called = False
                if not self._pending:
                    goes_on = False
                    break
                self._is_called = True
                if gives_way:
                    break
                self._is_writing = True
        finally:
            self._is_writing = False
            try:
                self._writing.end()
            finally:
                self._leave(goes_on)

    def _do(self) -> None:
        """Write what is there now, or tell why that cannot be."""
        count = len(self._pending)
        while count > 0 and self._pending:
            if self._store.is_dead:
                self._fail(closed(self._store.options.path))
                return
            done, error = self._writing.do(count)
            if error is not None:
                self._fail(error, count)
                return
            count -= done

    def _leave(self, goes_on: bool) -> None:
        """Give the permit back, after getting in line again if there is more to do."""
        line = self._store.writer.line
        has_another = goes_on and not line._enqueue(_Turn(self), 1, 0)
        line.release()
        if has_another:
            self.begin()

    def _fail(self, error: BaseException, count: int | None = None) -> None:
        """Have what waits end with an error, or the first *count* of it."""
        entries = []
        for _ in range(len(self._pending) if count is None else count):
            try:
                entry = self._pending.popleft()
            except IndexError:
                break
            if entry.claim():
                entry.fail(_copy(error))
                entries.append(entry)
        deliver(entries)


def _copy(error: BaseException) -> BaseException:
    """Return one for each who is told: a traceback has the frames of one."""
    twin = copy.copy(error)
    if type(twin) is not type(error):
        return error
    twin.__cause__ = error.__cause__
    for note in getattr(error, "__notes__", ()):
        if note not in getattr(twin, "__notes__", ()):
            twin.add_note(note)
    return twin
