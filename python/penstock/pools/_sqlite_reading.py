"""Reads that are done in a thread, one after another on one connection."""

from __future__ import annotations

import sqlite3
from collections import deque
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from penstock.pools._sqlite_connection import code_of, persist
from penstock.pools._sqlite_entry import Entry, deliver
from penstock.pools._sqlite_store import closed
from penstock.pools._sqlite_work import take_from

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from penstock.pools._sqlite_connection import Link
    from penstock.pools._sqlite_reads import Reads
    from penstock.pools._sqlite_work import Parameters, Take

__all__ = ["LATE", "Drain", "Read"]

#: Seconds that a statement may take before others are done in another thread, and for which one
#: that was done waits at most for those that are done with it.
LATE: Final = 0.002
_NEVER: Final = float("inf")


class Read(Entry):
    """
    A statement that only reads.

    Args:
        sql: The statement.
        given: Its parameters.
        loop: Where somebody waits for it.
        take: What is wanted of its rows.
    """

    __slots__ = ("_take", "drain", "is_stopped", "since")

    def __init__(
        self, sql: str, given: Parameters, loop: AbstractEventLoop, take: Take[Any]
    ) -> None:
        Entry.__init__(self, sql, given, loop)
        self._take = take
        #: What runs it.
        self.drain: Drain | None = None
        #: Nobody wants its result.
        self.is_stopped = False
        #: When it came, if somebody looks at that.
        self.since = 0.0

    def run(self, raw: sqlite3.Connection, patience: float) -> BaseException | None:
        """Execute it, while the database is locked again and again; return what went wrong."""
        try:
            try:
                self.result = take_from(raw.execute(self._sql, self._given), self._take)
            except sqlite3.OperationalError as error:
                if code_of(error) != sqlite3.SQLITE_BUSY:
                    raise
            else:
                return None
            self.result = persist(
                lambda: take_from(raw.execute(self._sql, self._given), self._take),
                patience,
                self._stopped,
            )
        except BaseException as error:
            error.__traceback__ = None  # it shows this place only, and keeps it alive
            self.error = error
            return error
        return None

    def tell(self) -> None:
        """Tell who waits for it; who is cancelled only wants to know that it has ended."""
        if self.is_stopped:
            self.error = self.result = None
        Entry.tell(self)

    def stop(self) -> bool:
        """Interrupt it; whether that is new."""
        is_new, self.is_stopped = not self.is_stopped, True
        if self.drain is not None:
            self.drain.interrupt(self)
        return is_new

    def _stopped(self) -> bool:
        return self.is_stopped


class Drain:
    """
    Does what is in the queue of reads, in a thread that has the permit of a reader.

    Args:
        reads: The queue.
    """

    __slots__ = (
        "_current", "_guard", "_link", "_reads", "_was_good", "begun", "done", "is_late", "store",
    )  # fmt: skip

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self.store = reads.store
        self._link: Link | None = None
        #: Who interrupts a statement has it, and who goes on from that to another one.
        self._guard = Lock()
        self._current: Read | None = None
        #: When the statement that runs has begun; infinite while there is no permit.
        self.begun = _NEVER
        #: Somebody saw that it takes long.
        self.is_late = False
        #: A statement was executed: there is a database.
        self._was_good = False
        #: What was done, and not told yet. Whoever takes one out tells of it.
        self.done: deque[Read] = deque()

    @property
    def is_in_line(self) -> bool:
        """Whether it has no reader yet."""
        return self.begun == _NEVER

    def begin(self) -> None:
        """Have a thread begin, with the permit that was taken."""
        self.begun = perf_counter()
        error = self._reads.submit(self._work)
        if error is not None:
            self._reads.active.pop(self, None)
            self._reads.refuse(error)

    def interrupt(self, read: Read) -> None:
        """Interrupt a statement if it runs; from another thread."""
        with self._guard:
            link = self._link  # it is not taken away from who runs
            if self._current is read and link is not None:
                link.interrupt()

    def stop(self) -> None:
        """Interrupt whatever runs; from another thread."""
        read = self._current
        if read is not None:
            self.interrupt(read)

    def tell(self) -> None:
        """Tell those whose statements are done; from any thread."""
        done, entries = self.done, []
        while done:
            try:
                entries.append(done.popleft())
            except IndexError:
                break
        deliver(entries)

    # --- in the thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        goes_on = True
        try:
            while True:
                self._do()
                gives_way = self._reads.lane.line.waiting and self.store.refusal is None
                # First out of this, then a look at what is there: see `Reads.put`.
                self._reads.active.pop(self, None)
                if not self._reads.pending or self._reads.is_served:
                    goes_on = False
                    break
                self._reads.active[self] = None
                if gives_way:
                    break
                self._give_back()
                self.tell()
        finally:
            self._end(goes_on)

    def _end(self, goes_on: bool) -> None:
        """Leave everything as it was, and tell then who is done: they may look at once."""
        try:
            self._give_back()
            if self._was_good:
                self._was_good = False
                self._reads.supply()
        finally:
            self.begun, self.is_late = _NEVER, False
            try:
                self._reads.give_back(self, goes_on)
            finally:
                self.tell()
                if not goes_on:
                    self._reads.spare.append(self)

    def _do(self) -> None:
        """Do what is there now."""
        start = self.begun = perf_counter()
        self.is_late = False
        count = len(self._reads.pending)
        try:
            if self.store.is_dead:
                self._reads.end()
            else:
                while count > 0:
                    count -= self._do_some(self._connect(), count)
        except BaseException as error:
            self._reads.fail(error, count)
        finally:
            self.store.counts.read_seconds += perf_counter() - start

    def _do_some(self, link: Link, count: int) -> int:
        """Do up to *count* statements, as long as the link is good; return how many."""
        reads, pending, done, told = self._reads, self._reads.pending, self.done, self.begun
        for number in range(count):
            try:
                read = pending.popleft()
            except IndexError:
                break
            if not read.claim():
                continue
            self.begun = begun = perf_counter()
            if done and (begun - told > LATE or not reads.is_watched(done[0].loop, read.loop)):
                told = begun
                self.tell()
            self._run(link, read)
            if link.is_broken:
                return number + 1
            if self.is_late:
                reads.catch_up(self)
                if reads.has_another(self):
                    break
        return count

    def _run(self, link: Link, read: Read) -> None:
        store, raw = self.store, link.raw
        read.drain = self
        self._current = read
        if read.is_stopped:
            error: BaseException | None = None
        else:
            error = read.run(raw, store.options.busy_timeout)
            if error is None:
                store.counts.reads += 1
                self._was_good = True
        with self._guard:
            self._current = None
        if error is not None:
            link.note(error)
            if raw.in_transaction:
                link.rollback()
            if store.is_dead:
                read.error = closed(store.options.path)
        self.done.append(read)

    def _connect(self) -> Link:
        """Return a link that is good."""
        if self._link is not None and self._link.is_broken:
            self._give_back()
        if self._link is None:
            self._link = self._reads.lane.check_out(self._is_dead)
        return self._link

    def _is_dead(self) -> bool:
        return self.store.is_dead

    def _give_back(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        if link.is_broken or self.store.is_dead:
            self.store.close(link)
        else:
            self._reads.lane.check_in(link)
