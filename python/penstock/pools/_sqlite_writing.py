"""Writing a group of statements in one transaction: the error of one is not that of the others."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from penstock.pools._sqlite_connection import persist
from penstock.pools._sqlite_entry import deliver

if TYPE_CHECKING:
    import sqlite3
    from collections import deque

    from penstock.pools._sqlite_connection import Link
    from penstock.pools._sqlite_entry import Write
    from penstock.pools._sqlite_store import Store

__all__ = ["Writing"]

#: Statements of one transaction at most.
_MOST: Final = 1000


class Writing:
    """
    Writes groups, in a thread that has the permit of the writer.

    Args:
        store: Has the connection.
        pending: The statements, the first one first.
    """

    __slots__ = ("_link", "_pending", "_store")

    def __init__(self, store: Store, pending: deque[Write]) -> None:
        self._store = store
        self._pending = pending
        self._link: Link | None = None

    def stop(self) -> None:
        """Interrupt what runs; from another thread."""
        link = self._link
        if link is not None:
            link.interrupt()

    def end(self) -> None:
        """Give the connection back."""
        link, self._link = self._link, None
        if link is None:
            return
        link.rollback()
        if link.is_broken or self._store.is_dead:
            self._store.close(link)
        else:
            self._store.writer.check_in(link)

    def do(self, count: int) -> tuple[int, BaseException | None]:
        """
        Write up to *count* statements.

        Returns:
            How many, and the error for which nothing can be written, if there is one.
        """
        start = perf_counter()
        try:
            return self._do(count)
        finally:
            self._store.counts.write_seconds += perf_counter() - start

    def _do(self, count: int) -> tuple[int, BaseException | None]:
        try:
            raw = self._raw()
            if not self._pending:  # they were taken away at the end
                return count, None
            if self._pending[0].kind != "plain":
                return self._do_alone(raw), None
            self._begin(raw)
        except BaseException as error:
            self._note(error)
            return 0, error
        taken, entries = self._fill(raw, min(count, _MOST))
        good = [entry for entry in entries if entry.error is None]
        if good and not self._commit(raw):
            for entry in good:
                self._retry(raw, entry)
        elif not good:
            self._roll_back()
        else:
            self._store.counts.writes += len(good)
            self._store.counts.groups += 1
        deliver(entries)
        return taken, None

    def _fill(self, raw: sqlite3.Connection, count: int) -> tuple[int, list[Write]]:
        """Execute statements in one transaction, as long as there is one."""
        pending, entries, taken = self._pending, [], 0
        while taken < count and pending:
            entry = pending.popleft()
            if entry.kind != "plain":
                pending.appendleft(entry)
                break
            taken += 1
            if not entry.claim():
                continue
            entries.append(entry)
            if not entry.run(raw):
                assert entry.error is not None
                self._note(entry.error)
                if not raw.in_transaction:  # that of the others is gone as well
                    break
        return taken, entries

    def _commit(self, raw: sqlite3.Connection) -> bool:
        """Return whether all is committed; if not, nothing is."""
        try:
            if raw.in_transaction:
                raw.execute("COMMIT")
                self._store.counts.commits += 1
                return True
        except BaseException as error:
            self._note(error)
        self._roll_back()
        self._store.counts.rollbacks += 1
        return False

    def _retry(self, raw: sqlite3.Connection, entry: Write) -> None:
        """Write a statement in a transaction of its own."""
        try:
            self._begin(raw)
            if entry.run(raw):
                raw.execute("COMMIT")
                self._store.counts.commits += 1
                self._store.counts.writes += 1
        except BaseException as error:
            self._note(error)
            entry.fail(error.with_traceback(None))
        finally:
            self._roll_back()

    def _do_alone(self, raw: sqlite3.Connection) -> int:
        """Execute a statement that cannot be part of a transaction."""
        entry = self._pending.popleft()
        if entry.claim():
            if entry.run(raw, self._store.options.busy_timeout):
                self._store.counts.writes += 1
            elif entry.error is not None:
                self._note(entry.error)
            deliver([entry])
        return 1

    def _raw(self) -> sqlite3.Connection:
        link = self._link
        if link is not None and link.is_broken:
            self._store.close(link)
            link = None
        if link is None:
            link = self._link = self._store.writer.check_out(self._is_dead)
        return link.raw

    def _begin(self, raw: sqlite3.Connection) -> None:
        persist(
            lambda: raw.execute("BEGIN IMMEDIATE"), self._store.options.busy_timeout, self._is_dead
        )

    def _is_dead(self) -> bool:
        return self._store.is_dead

    def _roll_back(self) -> None:
        if self._link is not None:
            self._link.rollback()

    def _note(self, error: BaseException) -> None:
        if self._link is not None:
            self._link.note(error)
