"""Puts rows into a table, many to a statement, and finds out which of them do not fit."""

from __future__ import annotations

import sqlite3
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.recording._rows import Row
    from penstock.recording._schema import Schema

__all__ = ["insert"]

# Each statement is bound, gives the GIL away and takes it back: one for each row takes twice
# as long. Few sizes, so that the connection keeps them prepared.
_SIZES: Final = (64, 16, 4)
# What SQLite before 3.32 allows.
_VARIABLES: Final = 999
# What is wrong with one row, and says nothing of the others.
_OF_A_ROW: Final = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,  # an int of more than 64 bits
    ValueError,  # half a surrogate
)


def insert(
    db: sqlite3.Connection, schema: Schema, day: int | None, rows: Sequence[Row]
) -> dict[int, Exception]:
    """
    Insert rows in order, inside the transaction that is open.

    Returns:
        The errors of those that do not fit, by their place in *rows*; the others are in.

    Raises:
        sqlite3.Error: None could be inserted: the database is full, or damaged.
    """
    failed: dict[int, Exception] = {}
    done = 0
    for size in _SIZES:
        if len(rows) - done < size or size * len(schema.columns) > _VARIABLES:
            continue
        statement = schema.insert(day, size)
        for first in range(done, len(rows) - size + 1, size):
            part = rows[first : first + size]
            if _refusal(db, statement, tuple(chain.from_iterable(part))) is not None:
                failed |= _one_by_one(db, schema.insert(day, 1), part, first)
            done = first + size
    return failed | _one_by_one(db, schema.insert(day, 1), rows[done:], done)


def _one_by_one(
    db: sqlite3.Connection, statement: str, rows: Sequence[Row], first: int
) -> dict[int, Exception]:
    failed: dict[int, Exception] = {}
    for at, row in enumerate(rows, first):
        error = _refusal(db, statement, row)
        if error is not None:
            failed[at] = error
    return failed


def _refusal(db: sqlite3.Connection, statement: str, values: Row) -> Exception | None:
    """Insert rows, all or none of them; return why they are not in."""
    # ON CONFLICT FAIL, in a table of others, leaves the rows before the one that does not fit.
    db.execute("SAVEPOINT penstock_rows")
    refusal: Exception | None = None
    try:
        db.execute(statement, values)
    except _OF_A_ROW as error:
        if not db.in_transaction:  # such a table, or a trigger, has ended it
            raise
        db.execute("ROLLBACK TO penstock_rows")
        refusal = error
    db.execute("RELEASE penstock_rows")
    return refusal
