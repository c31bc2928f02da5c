"""What threads do with a connection that they were given."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from penstock.pools._sqlite_connection import persist

if TYPE_CHECKING:
    from penstock.pools._sqlite_store import Store
    from penstock.pools._sqlite_use import Use

__all__ = [
    "Parameters",
    "SqliteResult",
    "Take",
    "begin",
    "commit",
    "execute",
    "execute_many",
    "fetch",
    "open_cursor",
    "rollback",
    "take_all",
    "take_from",
    "take_one",
    "take_value",
    "transact",
]

T = TypeVar("T")

Parameters = Sequence[object] | Mapping[str, object]
Take = Callable[[sqlite3.Cursor], T]


class SqliteResult(NamedTuple):
    """
    What a statement did.

    Args:
        rowcount: How many rows it changed; -1 if it is not one that changes rows.
        lastrowid: The rowid of the row that was inserted last, None if there is none.
    """

    rowcount: int
    lastrowid: int | None


def take_one(cursor: sqlite3.Cursor) -> Any:
    """Return the first row, or None."""
    return cursor.fetchone()


def take_all(cursor: sqlite3.Cursor) -> list[Any]:
    """Return all rows."""
    return cursor.fetchall()


def take_value(cursor: sqlite3.Cursor) -> Any:
    """Return the first column of the first row, or None."""
    cursor.row_factory = None  # whatever it makes of a row may have no first column
    row = cursor.fetchone()
    return None if row is None else row[0]


def take_from(cursor: sqlite3.Cursor, take: Take[T]) -> T:
    """Take what a cursor gives, and close it: whoever keeps an error keeps the cursor as well."""
    try:
        return take(cursor)
    finally:
        cursor.close()


def begin(use: Use, store: Store, writes: bool) -> sqlite3.Connection:
    """Begin a transaction, which sees the database as it is now."""
    link = use.link
    assert link is not None
    raw, patience = link.raw, store.options.busy_timeout
    if writes:
        persist(lambda: raw.execute("BEGIN IMMEDIATE"), patience, use.stopped)
    else:
        raw.execute("BEGIN")
        # It is the first read that decides what is seen.
        first = "SELECT 1 FROM sqlite_master LIMIT 1"
        persist(lambda: raw.execute(first).fetchone(), patience, use.stopped)
    return raw


def commit(use: Use, store: Store) -> None:
    """
    Make the changes of a transaction last.

    Raises:
        sqlite3.OperationalError: SQLite has rolled it back already.
    """
    assert use.link is not None
    use.protect(True)
    use.link.reclaim()  # a statement that is half done would be in the way
    _inside(use.link.raw).execute("COMMIT")
    store.counts.commits += 1


def rollback(use: Use, store: Store) -> None:
    """End a transaction without effect."""
    use.protect(True)
    if use.link is not None and use.link.rollback():
        store.counts.rollbacks += 1


def execute(use: Use, sql: str, parameters: Parameters) -> SqliteResult:
    """Execute a statement in a transaction."""
    assert use.link is not None
    cursor = _inside(use.link.raw).execute(sql, parameters)
    return SqliteResult(cursor.rowcount, cursor.lastrowid)


def execute_many(use: Use, sql: str, rows: Iterable[Parameters]) -> SqliteResult:
    """Execute a statement in a transaction, for each of the rows."""
    assert use.link is not None
    cursor = _inside(use.link.raw).executemany(sql, rows)
    return SqliteResult(cursor.rowcount, cursor.lastrowid)


def fetch(use: Use, sql: str, parameters: Parameters, take: Take[T]) -> T:
    """Execute a statement in a transaction, and take what it gives."""
    assert use.link is not None
    return take_from(_inside(use.link.raw).execute(sql, parameters), take)


def open_cursor(use: Use, sql: str, parameters: Parameters) -> sqlite3.Cursor:
    """Execute a statement in a transaction whose rows are wanted by and by."""
    assert use.link is not None
    cursor = _inside(use.link.raw).execute(sql, parameters)
    use.keep(cursor)
    return cursor


def transact(
    use: Use, store: Store, writes: bool, function: Callable[..., T], args: tuple[Any, ...]
) -> T:
    """
    Call a function with the connection, in a transaction of its own.

    Raises:
        RuntimeError: The function has ended the transaction.
        TypeError: It returned a cursor.
    """
    raw, link = begin(use, store, writes), use.link
    assert link is not None
    try:
        try:
            result = function(link.lend(), *args)
        finally:
            link.reclaim()
        _check_end(use, raw, function, result)
        if writes:
            commit(use, store)
    except BaseException:
        if writes:
            rollback(use, store)
        raise
    return result


def _check_end(
    use: Use, raw: sqlite3.Connection, function: Callable[..., object], result: object
) -> None:
    """Raise if nothing of what a function did is to last."""
    if isinstance(result, sqlite3.Cursor):
        result.close()
        raise TypeError(f"{function!r} returned a cursor: return its rows")
    if use.stopped():
        raise sqlite3.OperationalError("interrupted")
    if not raw.in_transaction:
        raise RuntimeError(f"{function!r} ended the transaction, which is up to the pool")


def _inside(raw: sqlite3.Connection) -> sqlite3.Connection:
    """
    Return the connection if its transaction is there still.

    Raises:
        sqlite3.OperationalError: It is not: what is executed now would not belong to it.
    """
    if not raw.in_transaction:
        raise sqlite3.OperationalError("the transaction was rolled back by SQLite")
    return raw
