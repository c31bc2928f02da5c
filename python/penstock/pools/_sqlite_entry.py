"""One statement that is done together with others in a thread, and who waits for it."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from penstock.pools._sqlite_connection import persist
from penstock.pools._sqlite_work import SqliteResult

if TYPE_CHECKING:
    import sqlite3
    from asyncio import AbstractEventLoop, Future, TimerHandle
    from collections.abc import Sequence

    from penstock.pools._sqlite_statements import Kind
    from penstock.pools._sqlite_work import Parameters

__all__ = ["Entry", "Write", "deliver"]


class Entry:
    """
    A statement, claimed once: by the thread that runs it, or by who does without it.

    Args:
        sql: The statement.
        given: Its parameters.
        loop: Where somebody waits for it.
    """

    __slots__ = (
        "_claims", "_given", "_sql", "error", "future", "is_over", "loop", "result", "timer",
    )  # fmt: skip

    def __init__(self, sql: str, given: Any, loop: AbstractEventLoop) -> None:
        self._sql = sql
        self._given = given
        self.future: Future[Any] = loop.create_future()
        self.loop = loop
        #: Ends the wait, if something does.
        self.timer: TimerHandle | None = None
        # Popping is one step: it succeeds once.
        self._claims = [True]
        self.result: Any = None
        self.error: BaseException | None = None
        #: Whether who waits for it was told.
        self.is_over = False

    @property
    def is_claimed(self) -> bool:
        """Whether somebody has claimed it."""
        return not self._claims

    def claim(self) -> bool:
        """Whether it is the caller's to run, or to drop: True once."""
        try:
            return self._claims.pop()
        except IndexError:
            return False

    def leave(self) -> None:
        """Wait no longer: what is not run by now will not be."""
        self.claim()
        if self.timer is not None:
            self.timer.cancel()

    def fail(self, error: BaseException) -> None:
        """Have it end with an error."""
        self.error = error

    def tell(self) -> None:
        """Tell who waits for it; in his loop."""
        future, error, result = self.future, self.error, self.result
        self.error = self.result = None
        self.is_over = True
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration | CancelledError):  # of an adapter: see PEP 479
            replaced = RuntimeError(f"a parameter raised {type(error).__name__}")
            replaced.__cause__ = error
            future.set_exception(replaced)
        else:
            future.set_exception(error)


class Write(Entry):
    """
    A statement that changes something.

    Args:
        sql: The statement.
        given: Its parameters; with *many* a sequence of them.
        loop: Where somebody waits for it.
        many: Whether it is executed for each.
        kind: How it is run.
    """

    __slots__ = ("_many", "kind")

    def __init__(
        self,
        sql: str,
        given: Parameters | Sequence[Parameters],
        loop: AbstractEventLoop,
        many: bool,
        kind: Kind,
    ) -> None:
        Entry.__init__(self, sql, given, loop)
        self._many = many
        self.kind = kind

    def run(self, raw: sqlite3.Connection, patience: float | None = None) -> bool:
        """
        Execute it; note what came of it, and return whether that was good.

        Args:
            raw: The connection, in a transaction.
            patience: Without a transaction: for how long to wait while the database is locked.
        """
        self.error = None
        try:
            if patience is not None:
                cursor = persist(lambda: self._execute(raw), patience)
            elif self._many:
                cursor = self._execute_all(raw)
            else:
                cursor = raw.execute(self._sql, self._given)
            self.result = SqliteResult(cursor.rowcount, cursor.lastrowid)
        except BaseException as error:
            error.__traceback__ = None  # it shows this place only, and keeps it alive
            self.error = error
            return False
        return True

    def _execute(self, raw: sqlite3.Connection) -> sqlite3.Cursor:
        execute = raw.executemany if self._many else raw.execute
        return execute(self._sql, self._given)

    def _execute_all(self, raw: sqlite3.Connection) -> sqlite3.Cursor:
        """Execute it for all, or for none."""
        raw.execute("SAVEPOINT penstock")
        try:
            cursor = raw.executemany(self._sql, self._given)
        except BaseException:
            if raw.in_transaction:  # else SQLite has rolled back all there was
                raw.execute("ROLLBACK TO penstock")
                raw.execute("RELEASE penstock")
            raise
        raw.execute("RELEASE penstock")
        return cursor


def deliver(entries: Sequence[Entry]) -> None:
    """
    Tell those who wait for the entries, with one wake-up for each of their loops.

    All at once, when all is done: the first one who wakes up takes the GIL, and gives it back when
    all that wait have gone on, and asked for what they want next.
    """
    if len(entries) == 1:
        with suppress(RuntimeError):
            entries[0].loop.call_soon_threadsafe(entries[0].tell)
        return
    start = 0
    for end in range(1, len(entries) + 1):
        loop = entries[start].loop
        if end == len(entries) or entries[end].loop is not loop:
            with suppress(RuntimeError):  # closed: nobody waits there any more
                loop.call_soon_threadsafe(_tell_all, entries[start:end])
            start = end


def _tell_all(entries: Sequence[Entry]) -> None:
    for entry in entries:
        entry.tell()
