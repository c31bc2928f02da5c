"""`SqlitePool`: one writer and some readers of a SQLite database."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, TypeVar

from penstock import _components
from penstock._waiters import seconds_of
from penstock.errors import ClosedError
from penstock.flow._callables import is_coroutine_function
from penstock.flow._checks import check_name, check_timer
from penstock.pools import _sqlite_work as work
from penstock.pools._families import SQLITE_POOL_FIELDS
from penstock.pools._sqlite_closing import finish, kill
from penstock.pools._sqlite_group import Group
from penstock.pools._sqlite_inline import MOVED, Inline
from penstock.pools._sqlite_lease import Lease, rows_of
from penstock.pools._sqlite_options import check_options
from penstock.pools._sqlite_reads import Reads
from penstock.pools._sqlite_statements import kind_in_group
from penstock.pools._sqlite_stats import SqlitePoolStats
from penstock.pools._sqlite_store import Store, closed
from penstock.pools._sqlite_use import Use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from penstock.pools._sqlite_options import OnConnect, PathLike, Pragmas, Synchronous
    from penstock.pools._sqlite_work import Parameters, SqliteResult

__all__ = ["SqlitePool"]

T = TypeVar("T")


class SqlitePool:
    """
    A SQLite database for asyncio and for threads: many read while one writes.

    Short reads are done on the event loop, at a fraction of the cost of a hop to a thread; what
    takes longer is interrupted and done in a thread. Statements that are written concurrently
    go into one transaction. Whoever is cancelled leaves no transaction, and no statement that
    runs on.

    Args:
        path: Of the file, made when it is not there; the directory has to be. It is put into WAL
            mode.
        readers: How many may read in threads at once.
        busy_timeout: Seconds to wait while another process has the database locked; 0 for none.
        acquire_timeout: Seconds to wait for a reader or for the writer; 0 not to wait, None for as
            long as it takes.
        inline_limit: Seconds that a read may take on the event loop; None: all go to threads.
        max_idle: Seconds after which a reader that nobody uses is closed; None: never.
        max_lifetime: Seconds after which a connection is replaced, less up to a tenth; None: never.
        synchronous: ``"NORMAL"`` keeps what is committed if the program dies, ``"FULL"`` also if
            the power fails.
        pragmas: More of them, by name, for each connection.
        on_connect: Is called with each new connection, in a thread: for functions, collations,
            attached databases, ``row_factory``.
        timer: Seconds on a clock of your own, by which connections are idle, or old.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range; the path is ``":memory:"``, where each connection would
            have a database of its own.

    Cost: nothing is opened, and no thread started, before it is needed. Any number of threads and
        event loops. A child that was forked has to make a pool of its own.

    Source: one writer and group commit are those of the log manager of many a database (DeWitt et
        al., 1984); ``BEGIN IMMEDIATE`` is what SQLite's documentation asks of who reads, then
        writes.
    """

    __slots__ = ("__weakref__", "_fetch", "_group", "_name", "_put", "_read", "_reads", "_store")

    def __init__(
        self,
        path: PathLike,
        *,
        readers: int = 4,
        busy_timeout: float | timedelta = 5.0,
        acquire_timeout: float | timedelta | None = 5.0,
        inline_limit: float | timedelta | None = 0.001,
        max_idle: float | timedelta | None = 300,
        max_lifetime: float | timedelta | None = 1800,
        synchronous: Synchronous = "NORMAL",
        pragmas: Pragmas | None = None,
        on_connect: OnConnect | None = None,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        options = check_options(
            path=path,
            readers=readers,
            busy_timeout=busy_timeout,
            acquire_timeout=acquire_timeout,
            inline_limit=inline_limit,
            max_idle=max_idle,
            max_lifetime=max_lifetime,
            synchronous=synchronous,
            pragmas=pragmas,
            on_connect=on_connect,
        )
        check_timer(timer)
        check_name(name)
        self._name = name
        self._store = store = Store(options, timer, name)
        inline = Inline(store)
        self._read = inline.read
        self._reads = Reads(store, inline.supply)
        self._fetch = self._reads.fetch
        self._group = Group(store)
        self._put = self._group.put
        _components.enter(self)

    @property
    def path(self) -> str:
        """
        The file, from the root on.
        """
        return self._store.options.path

    @property
    def name(self) -> str | None:
        """
        The name given to the pool.
        """
        return self._name

    @property
    def closed(self) -> bool:
        """
        Whether it takes on nothing more.
        """
        return self._store.refusal is not None

    # --- single statements ------------------------------------------------------------------------

    async def fetchone(self, sql: str, params: Parameters = ()) -> Any:
        """
        Return the first row of what a statement gives, or None.

        Args:
            sql: One statement that only reads.
            params: Values for its parameters.

        Returns:
            A tuple, or what the ``row_factory`` of the connection makes.

        Raises:
            sqlite3.Error: What SQLite has to say.
            ValueError: The statement begins or ends a transaction.
            AcquireTimeout: It has to go to a thread, and no reader became free in time.
            ClosedError: The pool is closed.

        Cost: some microseconds on the event loop, ``inline_limit`` of the CPU at most; a hop to a
            thread for what is slower, for up to five seconds after it was seen to be.
        """
        store = self._store
        if store.refusal is not None:
            store.check()
        kind_in_group(sql)
        row = self._read(sql, params, work.take_one)
        return row if row is not MOVED else await self._fetch(sql, params, work.take_one)

    async def fetchall(self, sql: str, params: Parameters = ()) -> list[Any]:
        """
        Return all rows of what a statement gives; see `fetchone`.
        """
        self._store.check()
        kind_in_group(sql)
        rows: list[Any] = self._read(sql, params, work.take_all)
        return rows if rows is not MOVED else await self._fetch(sql, params, work.take_all)

    async def fetchval(self, sql: str, params: Parameters = ()) -> Any:
        """
        Return the first column of the first row, or None; see `fetchone`.
        """
        self._store.check()
        kind_in_group(sql)
        value = self._read(sql, params, work.take_value)
        return value if value is not MOVED else await self._fetch(sql, params, work.take_value)

    async def execute(self, sql: str, params: Parameters = ()) -> SqliteResult:
        """
        Execute a statement that changes something, and return when that is committed.

        What is asked for at the same time goes into one transaction. The error of a statement is
        its own: the others are committed. A caller that is cancelled takes his statement back if
        nobody has begun with it, else it is committed without him.

        Args:
            sql: One statement. ``PRAGMA`` and ``VACUUM`` are executed without a transaction.
            params: Values for its parameters; not to be changed before it returns.

        Returns:
            How many rows it changed, and the rowid of the one inserted last.

        Raises:
            sqlite3.Error: What SQLite has to say.
            ValueError: The statement begins or ends a transaction.
            AcquireTimeout: The writer did not become free in time.
            ClosedError: The pool is closed.

        Cost: one hop to a thread and one commit, shared by all who ask at the same time.
        """
        store = self._store
        if store.refusal is not None:
            store.check()
        entry = self._put(sql, params, False, kind_in_group(sql))
        try:
            result: SqliteResult = await entry.future
            return result
        finally:
            entry.leave()

    async def executemany(self, sql: str, rows: Iterable[Parameters]) -> SqliteResult:
        """
        Execute a statement for each of *rows*, all or none of them; see `execute`.
        """
        self._store.check()
        entry = self._put(sql, rows_of(rows), True, kind_in_group(sql))
        try:
            result: SqliteResult = await entry.future
            return result
        finally:
            entry.leave()

    # --- transactions -----------------------------------------------------------------------------

    def read(self) -> Lease:
        """
        Return a block that sees the database as it is when the block is entered.

        Returns:
            For ``async with``, which gives a `SqliteConnection`; for ``with`` in threads, which
            gives a ``sqlite3.Connection``.

        Raises:
            AcquireTimeout: On entry: no reader became free in time.
            ClosedError: On entry: the pool is closed.

        Cost: a hop to a thread for the entry and for each statement.
        """
        return Lease(self._store.reader)

    def write(self) -> Lease:
        """
        Return a block that is a transaction: committed at its end, rolled back on any error.

        Nobody else writes meanwhile, so that what is read in the block and then written is not out
        of date. A cancelled block is rolled back as well. See `read`.

        Cost: a hop to a thread for the entry, for each statement, and for the end.
        """
        return Lease(self._store.writer)

    async def run(self, fn: Callable[..., T], *args: Any, write: bool = False) -> T:
        """
        Call ``fn(connection, *args)`` in a thread, in one transaction.

        Args:
            fn: A function. It must not end the transaction, nor keep the connection or a cursor.
            args: What it is called with besides the ``sqlite3.Connection``.
            write: Whether it changes something, which is committed when *fn* returns, and rolled
                back when that raises.

        Returns:
            What *fn* returns.

        Raises:
            RuntimeError: *fn* has ended the transaction.
            AcquireTimeout: No connection became free in time.
            ClosedError: The pool is closed.

        Cost: one hop to a thread. Who is cancelled waits until the statement that runs was
            interrupted, and *fn* has ended; nothing is committed then, unless the commit has begun
            already. What *fn* leaves open, cursors for example, is closed at its end.
        """
        store = self._store
        store.check()
        if is_coroutine_function(fn) or not callable(fn):
            raise TypeError(f"fn must be a function that returns its result, got {fn!r}")
        use = Use(store.writer if write else store.reader)
        await use.acquire()
        try:
            result = await use.call(work.transact, store, write, fn, args)
        finally:
            use.end()
        if not write:
            store.counts.reads += 1
        return result

    # --- the end ----------------------------------------------------------------------------------

    async def aclose(self, timeout: float | timedelta | None = 30) -> None:  # noqa: ASYNC109  # of closing, not of the wait
        """
        Take on nothing more, let what is there come to its end, and close all connections.

        Args:
            timeout: Seconds after which statements are interrupted, and blocks lose their
                connections and their changes; None: never.
        """
        store = self._store
        if store.refusal is None:
            store.refusal = closed(self.path)
        if store.is_closed or not isinstance(store.refusal, ClosedError):
            return
        seconds = seconds_of(timeout)
        loop = get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        try:
            await finish(store, self._group, self._reads, until)
        except TimeoutError:
            await kill(store, self._group, self._reads)

    async def __aenter__(self) -> Self:
        self._store.check()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # --- what it tells ----------------------------------------------------------------------------

    def stats(self) -> SqlitePoolStats:
        """
        Return what the pool has done so far.
        """
        store, reads = self._store, self._reads
        counts, readers, writer = store.counts, store.reader.line, store.writer.line
        return SqlitePoolStats(
            readers=sum(not writes for writes in list(store.links.values())),
            readers_busy=readers.in_use,
            writer_busy=writer.in_use,
            waiting=max(readers.waiting - reads.in_line, 0) + len(reads.pending) + writer.waiting,
            pending=len(self._group.pending),
            reads=counts.reads,
            inline=counts.inline,
            moved=counts.moved,
            writes=counts.writes,
            commits=counts.commits,
            groups=counts.groups,
            rollbacks=counts.rollbacks,
            interrupted=counts.interrupted,
            timeouts=readers._stats()[6] + writer._stats()[6] + counts.expired,
            opened=counts.opened,
            closed=counts.closed,
            read_seconds=counts.read_seconds,
            write_seconds=counts.write_seconds,
        )

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        state = "closed" if self.closed else f"readers={self._store.options.readers}"
        return f"SqlitePool({self.path!r}, {state}{name})"


_components.describe("sqlite_pool", SqlitePoolStats, SQLITE_POOL_FIELDS)
