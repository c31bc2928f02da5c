"""`Recorder`: rows to SQLite, written in batches and asked back by time."""

from __future__ import annotations

import asyncio
import time
from contextvars import Context
from typing import TYPE_CHECKING, Literal

from penstock import _components
from penstock.batching import Batcher, ItemError
from penstock.errors import ClosedError, WrongEventLoop
from penstock.flow._checks import check_name, check_number, check_timer
from penstock.pools import SqlitePool
from penstock.recording._bound import bind, elsewhere
from penstock.recording._days import DAY, day_of
from penstock.recording._query import make_query
from penstock.recording._recorder_options import check_partitions, check_pool, check_timestamp
from penstock.recording._recorder_stats import RECORDER_FIELDS, RecorderStats
from penstock.recording._rows import Fitter
from penstock.recording._schema import Schema
from penstock.recording._store import Store
from penstock.recording._writing import Writer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta
    from types import TracebackType
    from typing import Self

    from penstock.batching import CloseReport
    from penstock.recording._query import Params, Query
    from penstock.recording._rows import GivenRow, Row

__all__ = ["Recorder"]

OnFull = Literal["wait", "raise", "drop_oldest", "drop_newest"]


class Recorder:
    """
    Records rows in a table of SQLite: many to a transaction, each of them once.

    ``put_nowait(row)`` hands a row over and goes on; ``await record(row)`` returns when it is
    committed. A row is a mapping, or a sequence in the order of *columns*.

    Args:
        path: The database, which is created when it is missing.
        table: The table, which is created too; one that is there must fit.
        columns: Names, and how each is declared: ``{"ts": "REAL NOT NULL", "path": "TEXT"}``.
        partition_by: ``"day"`` gives each UTC day a table of its own, ``<table>_YYYYMMDD``.
        timestamp: The column of the time, in seconds since 1970. Where a row has none it is filled
            in. A table without days need not have it.
        retention: How many days are kept besides today, with ``partition_by="day"``; what is older
            is dropped, and refused. None keeps all.
        max_items: Rows of a transaction, at most.
        linger: Seconds (or a timedelta) that a row waits for others. One that somebody waits for
            does not linger, nor do those before it.
        max_pending: Rows that may wait to be written.
        on_full: What then becomes of a row, as in `Batcher`.
        indexes: Columns that are indexed, or tuples of columns.
        synchronous: ``"NORMAL"`` keeps what is committed if the process dies, ``"FULL"`` if the
            power fails.
        pool: One of this path, no less *synchronous*, which is not closed here; None makes one.
        timer: Seconds since 1970, a clock of your own.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: what a `Batcher` costs, and a look at the type of each value; the rest happens in a
        thread. One event loop, but ``put_nowait`` is for any thread.
    """

    __slots__ = (
        "__weakref__", "_batcher", "_clock", "_closing", "_fit", "_hurry", "_is_pool_mine", "_name",
        "_pool", "_put", "_queries", "_schema", "_submit", "_timestamp", "_wanted", "_writer",
    )  # fmt: skip

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str,
        columns: Mapping[str, str],
        *,
        partition_by: Literal["day"] | None = None,
        timestamp: str = "ts",
        retention: int | None = None,
        max_items: int = 500,
        linger: float | timedelta = 0.05,
        max_pending: int | None = 100_000,
        on_full: OnFull = "wait",
        indexes: Iterable[str | tuple[str, ...]] = (),
        synchronous: Literal["OFF", "NORMAL", "FULL", "EXTRA"] = "NORMAL",
        pool: SqlitePool | None = None,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        check_timer(timer)
        check_name(name)
        self._name = name
        self._clock = time.time if timer is None else timer
        by_day = check_partitions(partition_by, retention)
        self._schema = schema = Schema(table, columns, indexes, by_day=by_day)
        self._timestamp = check_timestamp(timestamp, schema)
        self._batcher: Batcher[Row, None] = Batcher(
            self._handle,
            max_items=max_items,
            linger=linger,
            max_pending=max_pending,
            on_full=on_full,
            cancel_abandoned=False,  # a row that was accepted is written
            name=name,
        )
        self._is_pool_mine = pool is None
        if pool is None:
            self._pool = SqlitePool(path, readers=2, synchronous=synchronous, name=name)
        else:
            self._pool = check_pool(pool, path, synchronous)
        self._begin(retention)
        _components.enter(self)

    def _begin(self, retention: int | None) -> None:
        schema, clock = self._schema, self._clock
        fitter = Fitter(tuple(schema.columns), self._timestamp, by_day=schema.by_day, clock=clock)
        store = Store(schema, fitter.at, retention, lambda: day_of(clock()))
        self._writer = Writer(self._pool, store, fitter)
        # Bound once: they are called for each row.
        self._fit = fitter.fit
        self._put = self._batcher.put_nowait
        self._submit = self._batcher.submit
        self._queries = 0
        self._wanted = False
        self._hurry: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[CloseReport] | None = None

    @property
    def name(self) -> str | None:
        """
        The name given to the recorder.
        """
        return self._name

    @property
    def table(self) -> str:
        """
        The table, or what the names of the tables of the days begin with.
        """
        return self._schema.table

    @property
    def columns(self) -> dict[str, str]:
        """
        The columns, and how each is declared.
        """
        return dict(self._schema.columns)

    @property
    def closed(self) -> bool:
        """
        Whether no more rows are accepted.
        """
        return self._closing is not None

    def put_nowait(self, row: GivenRow) -> None:
        """
        Hand a row over and go on, from any thread.

        An error that comes after this goes to the exception handler of the event loop, and into
        the statistics.

        Args:
            row: A mapping with the names of the columns, or a sequence in their order.

        Raises:
            TypeError: It is neither, or has a value that SQLite does not take.
            ValueError: A column is missing, or there are too many; its time is out of range, or
                older than the retention.
            LimitExceeded: Too many rows wait.
            ClosedError: The recorder is closed.

        Cost: O(columns).
        """
        self._put(self._fit(row))

    def record(self, row: GivenRow) -> asyncio.Future[None]:
        """
        Hand a row over; await what is returned for it to be committed.

        Awaited from many tasks at once, rows share transactions. One whose waiter is cancelled is
        not written if it still waits, else it is.

        Args:
            row: As for `put_nowait`.

        Raises:
            TypeError: As for `put_nowait`.
            ValueError: As for `put_nowait`.
            LimitExceeded: Too many rows wait, and ``on_full`` is ``"raise"``.
            ClosedError: The recorder is closed.
            WrongEventLoop: It is bound to another event loop, which is not closed.
            sqlite3.Error: When awaited: it does not fit, or could not be written.

        Cost: O(columns) and one future. One event loop.
        """
        fitting = self._fit(row)
        try:
            future = self._submit(fitting)
        except WrongEventLoop:
            raise elsewhere(self) from None
        self._wanted = True
        hurry = self._hurry
        # One of an event loop that is gone has no end.
        if hurry is None or hurry.get_loop() is not future.get_loop():
            loop = future.get_loop()
            self._hurry = loop.create_task(self._hurry_on(), context=Context())
        return future

    async def flush(self) -> None:
        """
        Write all rows that were accepted before, and wait for it.

        Raises:
            WrongEventLoop: The recorder is bound to another event loop.
        """
        await bind(self, self._batcher)
        await self._batcher.flush()

    async def aclose(
        self,
        timeout: float | timedelta | None = 30.0,  # noqa: ASYNC109  # the batcher has to know
    ) -> CloseReport:
        """
        Accept no more rows, write those that wait, and close the database.

        Args:
            timeout: Seconds (or a timedelta) after which rows are given up; None: never.

        Returns:
            How many rows were written meanwhile, and what became of the others.

        Raises:
            WrongEventLoop: The recorder is bound to another event loop; nothing is closed then.

        Cost: cancelled, it goes on in the background, as long as the event loop does. A second call
            waits for the first, or goes on with it in the next loop.
        """
        closing = self._closing
        if closing is not None and closing.done() and not closing.cancelled():
            return closing.result()
        await bind(self, self._batcher)
        loop = asyncio.get_running_loop()
        if closing is None or closing.cancelled() or closing.get_loop() is not loop:
            self._closing = closing = loop.create_task(self._close(timeout), context=Context())
        return await asyncio.shield(closing)

    async def query(
        self,
        since: float | datetime | None = None,
        until: float | datetime | None = None,
        where: str | None = None,
        params: Params = (),
        order: Literal["asc", "desc"] = "asc",
        limit: int | None = None,
    ) -> list[dict[str, object]]:
        """
        Return rows in the order of their time; only the tables that can hold them are read.

        Args:
            since: The first time, as seconds since 1970 or a datetime with a time zone.
            until: The time before which they are.
            where: A condition in SQL, never one that somebody else has written.
            params: What stands for the ``?`` in it, or by name for each ``:name``.
            order: ``"desc"`` has the latest first.
            limit: How many at most.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: One is out of its range; the table has no times, or does not fit.
            ClosedError: The recorder is closed.
            sqlite3.Error: The database cannot answer.

        Cost: runs in a thread. Sees what is committed: ``flush()`` first to see all.
        """
        timed = self._timestamp is not None
        asked = make_query(since, until, where, params, order, limit, timed=timed)
        return await self._answer(asked)

    async def recent(
        self,
        days: float = 7,
        *,
        where: str | None = None,
        params: Params = (),
        order: Literal["asc", "desc"] = "asc",
        limit: int | None = None,
    ) -> list[dict[str, object]]:
        """
        Return the rows of the last *days* days, as `query` does.
        """
        since = self._clock() - check_number("days", days) * DAY
        timed = self._timestamp is not None
        return await self._answer(make_query(since, None, where, params, order, limit, timed=timed))

    async def partitions(self) -> list[str]:
        """
        Return the tables that hold rows, the oldest day first.

        Raises:
            ClosedError: The recorder is closed.
            sqlite3.Error: The database cannot answer.
        """
        self._check_open()
        return await self._pool.run(self._schema.tables)

    def stats(self) -> RecorderStats:
        """
        Return what the recorder has done so far.
        """
        writer, batches = self._writer, self._batcher.stats()
        return RecorderStats(
            rows=writer.rows,
            failed=batches.failed,
            pending=batches.pending,
            dropped=batches.dropped,
            rejected=batches.rejected,
            commits=writer.commits,
            retries=writer.retries,
            partitions_created=writer.created,
            partitions_dropped=writer.dropped,
            queries=self._queries,
            write_seconds=writer.seconds,
        )

    async def __aenter__(self) -> Self:
        """
        Create the tables that are missing; say at once what is wrong with those that are there.
        """
        try:
            await self._writer.open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        days = ", partition_by='day'" if self._schema.by_day else ""
        return f"Recorder({self._schema.table!r}, {list(self._schema.columns)!r}{days}{name})"

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedError(f"{self!r} is closed")

    async def _handle(self, rows: list[Row]) -> list[ItemError | None]:
        """Write a batch."""
        failed = await self._writer.write(rows)
        results: list[ItemError | None] = [None] * len(rows)
        for place, error in failed.items():
            results[place] = ItemError(error)
        return results

    async def _hurry_on(self) -> None:
        """Let no row linger that somebody waits for; one task for as many as come meanwhile."""
        try:
            while self._wanted:
                self._wanted = False
                await self._batcher.flush()
        finally:
            if self._hurry is asyncio.current_task():
                self._hurry = None

    async def _answer(self, asked: Query) -> list[dict[str, object]]:
        self._check_open()
        found = await self._pool.run(asked.run, self._schema, self._timestamp)
        self._queries += 1
        return found

    async def _close(self, timeout: float | timedelta | None) -> CloseReport:  # noqa: ASYNC109
        try:
            return await self._batcher.aclose(timeout=timeout)
        except Exception:
            self._closing = None  # nothing is closed yet
            raise
        finally:
            if self._is_pool_mine and self._closing is not None:
                await self._pool.aclose()


_components.describe("recorder", RecorderStats, RECORDER_FIELDS)
