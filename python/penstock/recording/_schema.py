"""What a table of records is made of, and whether one that is there already fits."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple

from penstock.recording._days import name_of_day, parse_day
from penstock.recording._names import (
    check_columns,
    check_indexes,
    check_table,
    fold,
    quote,
    same_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Schema", "columns_of"]


# For some days at once; old ones are not asked for again.
_MAX_INSERTS: Final = 64


class _Column(NamedTuple):
    """A column as the database tells of it."""

    type: str
    required: bool
    generated: bool


class Schema:
    """
    The columns of a table, or of the tables of each day.

    Args:
        table: The table, or what the names of the tables of a day begin with.
        columns: Names, and how each is declared.
        indexes: Columns that are indexed.
        by_day: Whether each day has a table of its own.
    """

    __slots__ = ("_indexes", "_inserts", "_names", "by_day", "columns", "table")

    def __init__(
        self,
        table: str,
        columns: Mapping[str, str],
        indexes: Iterable[str | tuple[str, ...]],
        *,
        by_day: bool,
    ) -> None:
        self.table = check_table(table)
        self.columns = check_columns(columns)
        self._indexes = check_indexes(indexes, self.columns)
        self._names = ", ".join(map(quote, self.columns))
        self.by_day = by_day
        self._inserts: dict[tuple[int | None, int], str] = {}

    def name(self, day: int | None) -> str:
        """Return the table of a day; None is the one table of all days."""
        return self.table if day is None else f"{self.table}_{name_of_day(day)}"

    def insert(self, day: int | None, rows: int) -> str:
        """Return the statement that inserts so many rows at once."""
        known = self._inserts.get((day, rows))
        if known is not None:
            return known
        if len(self._inserts) >= _MAX_INSERTS:
            self._inserts.clear()
        values = f"({', '.join('?' * len(self.columns))})"
        places = ", ".join([values] * rows)
        statement = f"INSERT INTO {quote(self.name(day))} ({self._names}) VALUES {places}"
        self._inserts[day, rows] = statement
        return statement

    def select(self, day: int | None) -> str:
        """Return the beginning of the statement that reads rows."""
        return f"SELECT {self._names} FROM {quote(self.name(day))}"

    def days(self, db: sqlite3.Connection) -> list[int]:
        """Return the days that have a table, the oldest first."""
        prefix = fold(f"{self.table}_")
        there = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = (fold(name) for (name,) in there)
        found = (parse_day(name.removeprefix(prefix)) for name in names if name.startswith(prefix))
        return sorted(day for day in found if day is not None)

    def tables(self, db: sqlite3.Connection) -> list[str]:
        """Return the tables that are there, the oldest day first."""
        if self.by_day:
            return [self.name(day) for day in self.days(db)]
        return [self.table] if self.is_there(db) else []

    def is_there(self, db: sqlite3.Connection) -> bool:
        """Whether the one table, or a view of its name, is there."""
        known = "SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type <> 'index'"
        return db.execute(known, (self.table,)).fetchone() is not None

    def create(self, db: sqlite3.Connection, day: int | None) -> None:
        """
        Create a table and its indexes, unless they are there.

        Raises:
            ValueError: What is there does not fit.
        """
        table = self.name(day)
        columns = ", ".join(f"{quote(name)} {declared}" for name, declared in self.columns.items())
        db.execute(f"CREATE TABLE IF NOT EXISTS {quote(table)} ({columns})")
        self.check(db, day)
        for index in self._indexes:
            on = ", ".join(map(quote, index))
            name = quote(f"{table}({on})")  # that no other index has
            db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {quote(table)} ({on})")

    def check(self, db: sqlite3.Connection, day: int | None) -> None:
        """
        Compare a table with what is asked for.

        Raises:
            ValueError: A column is missing, has another type, or cannot be left out.
        """
        table = self.name(day)
        kinds = "SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type = 'view'"
        if db.execute(kinds, (table,)).fetchone():
            raise ValueError(f"{table!r} is a view, rows cannot be recorded there")
        there = _columns(db, table)
        problems = list(self._differences(there))
        if problems:
            raise ValueError(f"table {table!r} does not fit: {'; '.join(problems)}")
        try:
            db.execute(f"SELECT rowid FROM {quote(table)} LIMIT 0")
        except sqlite3.OperationalError:
            raise ValueError(f"table {table!r} does not fit: it is WITHOUT ROWID") from None

    def _differences(self, there: dict[str, _Column]) -> Iterable[str]:
        asked = {fold(name) for name in self.columns}
        for name, declared in self.columns.items():
            column = there.get(fold(name))
            if column is None:
                yield f"it has no column {name!r}"
            elif column.generated:
                yield f"column {name!r} is generated"
            elif not same_type(declared, column.type):
                yield f"column {name!r} is {column.type or 'untyped'}, not {declared or 'untyped'}"
        for name, column in there.items():
            if column.required and name not in asked:
                yield f"its column {name!r} has no default, and is not among the columns"


def _columns(db: sqlite3.Connection, table: str) -> dict[str, _Column]:
    """Read the columns of a table by their names in lower case."""
    return {
        fold(name): _Column(declared, bool(required) and default is None, bool(hidden))
        for _, name, declared, required, default, _, hidden in db.execute(
            f"PRAGMA table_xinfo({quote(table)})"
        )
    }


def columns_of(db: sqlite3.Connection, table: str, *, by_day: bool) -> dict[str, str] | None:
    """Return the columns of a table that is there, or of the newest of its days; None: none is."""
    name = table
    if by_day:
        days = Schema(table, {"any": ""}, (), by_day=True).days(db)
        if not days:
            return None
        name = f"{table}_{name_of_day(days[-1])}"
    found = db.execute(f"PRAGMA table_info({quote(name)})").fetchall()
    return {column: declared for _, column, declared, *_ in found} or None
