"""Writes the batches of a recorder, and counts what becomes of them."""

from __future__ import annotations

import sqlite3
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeVar

from penstock.errors import AcquireTimeout
from penstock.recording._days import DAY, FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.pools import SqlitePool
    from penstock.recording._rows import Fitter, Row
    from penstock.recording._store import Store, Written

__all__ = ["Writer"]

T = TypeVar("T")

# Times the pool's own patience: half a minute, unless it was given another.
_ATTEMPTS: Final = 6
# The low byte of what SQLite says; there are several ways to be busy or locked.
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Writer:
    """
    Writes rows in one transaction, and waits for others to be done with the database.

    Args:
        pool: The database.
        store: Knows the tables.
        fitter: Is told which rows are too old by now.
    """

    __slots__ = (
        "_opened", "commits", "created", "dropped", "fitter", "pool", "retries", "rows", "seconds",
        "store",
    )  # fmt: skip

    def __init__(self, pool: SqlitePool, store: Store, fitter: Fitter) -> None:
        self.pool = pool
        self.store = store
        self.fitter = fitter
        self._opened = False
        self.rows = 0
        self.commits = 0
        self.retries = 0
        self.created = 0
        self.dropped = 0
        self.seconds = 0.0
        fitter.renew = self.set_oldest
        self.set_oldest()

    def set_oldest(self) -> None:
        """Refuse from now on what is older than the retention of today."""
        oldest = self.store.oldest_day
        if oldest is not None:
            self.fitter.oldest = max(FIRST, oldest * DAY)

    async def open(self) -> None:
        """
        Make the tables fit for use; the first time only.

        Raises:
            ValueError: A table is there that does not fit.
            sqlite3.Error: The database cannot be written.
        """
        if not self._opened:
            self._note(await self._patiently(self.store.open))
            self._opened = True

    async def write(self, rows: Sequence[Row]) -> dict[int, Exception]:
        """
        Write rows; they are durable on return, but for those that did not fit.

        Returns:
            The errors of these, by their place in *rows*.

        Raises:
            ValueError: A table is there that does not fit.
            sqlite3.Error: None was written.
        """
        return (await self.transact(self.store.write, rows)).failed

    async def transact(
        self,
        write: Callable[[sqlite3.Connection, Sequence[Row]], Written],
        rows: Sequence[Row],
    ) -> Written:
        """Run *write*, which inserts rows among what it does, in one transaction."""
        await self.open()
        begin = perf_counter()
        try:
            try:
                written = await self._patiently(write, rows)
            except sqlite3.OperationalError as error:
                if not str(error).startswith("no such table"):
                    raise
                self.store.forget()  # another process has dropped what was too old
                written = await self._patiently(write, rows)
        finally:
            self.seconds += perf_counter() - begin
        self._note(written)
        self.rows += len(rows) - len(written.failed)
        self.commits += 1
        return written

    async def _patiently(self, function: Callable[..., T], *args: object) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self.pool.run(function, *args, write=True)
            except AcquireTimeout:
                self.retries += 1
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BUSY:
                    raise
                self.retries += 1
        return await self.pool.run(function, *args, write=True)

    def _note(self, written: Written) -> None:
        self.store.committed(written)
        self.created += written.created
        self.dropped += written.dropped
        self.set_oldest()
