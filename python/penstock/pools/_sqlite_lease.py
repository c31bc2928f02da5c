"""Blocks that have a connection to themselves: `read()` and `write()`."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from penstock._waiters import refuse_loop
from penstock.flow._checks import check_int
from penstock.pools import _sqlite_work as work
from penstock.pools._sqlite_statements import kind_of
from penstock.pools._sqlite_use import Use

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType

    from penstock.pools._sqlite_lane import Lane
    from penstock.pools._sqlite_work import Parameters, SqliteResult

__all__ = ["Lease", "SqliteConnection", "rows_of"]


class SqliteConnection:
    """
    The connection of a block of ``read()`` or ``write()``, and its transaction.

    One statement at a time: others are refused with RuntimeError. After the block, all are refused
    with `ClosedError`. Who is cancelled has his statement interrupted; the transaction goes on if
    the block does, unless SQLite has rolled it back, which the next statement says.
    """

    __slots__ = ("_use",)

    def __init__(self, use: Use) -> None:
        self._use = use

    async def execute(self, sql: str, params: Parameters = ()) -> SqliteResult:
        """
        Execute a statement.

        Args:
            sql: One statement; none that begins or ends a transaction, but savepoints are fine.
            params: Values for its parameters.

        Returns:
            How many rows it changed, and the rowid of the one inserted last.

        Raises:
            sqlite3.Error: What SQLite has to say.
            ValueError: It begins or ends a transaction.
            ClosedError: The block is over, or the pool took the connection away.

        Cost: a hop to a thread.
        """
        kind_of(sql)
        return await self._use.call(work.execute, sql, params)

    async def executemany(self, sql: str, rows: Iterable[Parameters]) -> SqliteResult:
        """
        Execute a statement for each of *rows*; see `execute`.
        """
        kind_of(sql)
        return await self._use.call(work.execute_many, sql, rows_of(rows))

    async def fetchone(self, sql: str, params: Parameters = ()) -> Any:
        """
        Return the first row of what a statement gives, or None; see `execute`.
        """
        kind_of(sql)
        return await self._use.call(work.fetch, sql, params, work.take_one)

    async def fetchall(self, sql: str, params: Parameters = ()) -> list[Any]:
        """
        Return all rows of what a statement gives; see `execute`.
        """
        kind_of(sql)
        return await self._use.call(work.fetch, sql, params, work.take_all)

    async def fetchval(self, sql: str, params: Parameters = ()) -> Any:
        """
        Return the first column of the first row, or None; see `execute`.
        """
        kind_of(sql)
        return await self._use.call(work.fetch, sql, params, work.take_value)

    async def iterate(
        self, sql: str, params: Parameters = (), *, size: int = 100
    ) -> AsyncIterator[Any]:
        """
        Go over the rows of what a statement gives, without having them all at once.

        Args:
            sql: One statement.
            params: Values for its parameters.
            size: How many rows are fetched in one hop.

        Raises:
            sqlite3.Error: What SQLite has to say.
            ValueError: *size* is below 1.
        """
        check_int("size", size, 1)
        kind_of(sql)
        use = self._use
        cursor = await use.call(work.open_cursor, sql, params)
        try:
            while rows := await use.call(_fetch_some, cursor, size):
                for row in rows:
                    yield row
        finally:
            use.drop(cursor)


class Lease:
    """
    A block with a connection of a pool: ``async with`` in tasks, ``with`` in threads.

    It can be entered once.
    """

    __slots__ = ("_lane", "_use")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._use: Use | None = None

    def _take(self) -> Use:
        if self._use is not None:
            raise RuntimeError("the block was entered already: make another one")
        self._lane.store.check()
        self._use = use = Use(self._lane)
        return use

    async def __aenter__(self) -> SqliteConnection:
        use = self._take()
        await use.acquire()
        try:
            await use.call(work.begin, self._lane.store, self._lane.writes)
        except BaseException:
            use.end()
            raise
        self._count()
        return SqliteConnection(use)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        use, lane = self._use, self._lane
        assert use is not None
        try:
            # Whoever is dropped with its loop cannot wait: it is rolled back here, or in a thread.
            if lane.writes and kind is not GeneratorExit and not use.is_foreign:
                end = work.commit if kind is None else work.rollback
                use.protect(True)
                await use.call(end, lane.store)
        finally:
            use.end()

    def __enter__(self) -> sqlite3.Connection:
        refuse_loop()
        use = self._take()
        use.block()
        try:
            use.call_here(work.begin, self._lane.store, self._lane.writes)
            use.occupy()
            assert use.link is not None
            raw = use.link.lend()
        except BaseException:
            use.end()
            raise
        self._count()
        return raw

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        use, lane = self._use, self._lane
        assert use is not None
        use.vacate()
        try:
            if lane.writes and not use.is_foreign:
                use.call_here(work.commit if kind is None else work.rollback, lane.store)
        finally:
            use.end()

    def _count(self) -> None:
        if not self._lane.writes:
            self._lane.store.counts.reads += 1


def rows_of(rows: Iterable[Parameters]) -> list[Parameters] | tuple[Parameters, ...]:
    """Return rows that can be gone over in another thread, and twice."""
    return rows if isinstance(rows, list | tuple) else list(rows)


def _fetch_some(use: Use, cursor: sqlite3.Cursor, size: int) -> list[Any]:
    if not use.keeps(cursor):
        raise sqlite3.OperationalError("interrupted together with another statement of the block")
    return cursor.fetchmany(size)
