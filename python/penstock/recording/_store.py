"""The side of a recorder that writes, in the thread of its database: which rows go where."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, cast

from penstock.recording._days import day_of
from penstock.recording._insert import insert
from penstock.recording._names import quote

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from penstock.recording._rows import Row
    from penstock.recording._schema import Schema

__all__ = ["Store", "Written"]


class Written(NamedTuple):
    """What a transaction does, once it is committed: rows that failed, tables that are there."""

    failed: dict[int, Exception]
    days: AbstractSet[int | None]
    created: int
    dropped: int
    swept: int


class Store:
    """
    Writes rows into the tables they belong to.

    Args:
        schema: The tables.
        at: Where in a row the time is; None if it has none.
        retention: How many days are kept besides the present one; None keeps all.
        today: Returns the number of the present day.
    """

    __slots__ = ("_at", "_known", "_retention", "_swept", "_today", "schema")

    def __init__(
        self, schema: Schema, at: int | None, retention: int | None, today: Callable[[], int]
    ) -> None:
        self.schema = schema
        self._at = at
        self._retention = retention
        self._today = today
        self._known: frozenset[int | None] = frozenset()
        self._swept: int | None = None

    @property
    def oldest_day(self) -> int | None:
        """The first day that is kept now; None if all are."""
        return None if self._retention is None else self._today() - self._retention

    def open(self, db: sqlite3.Connection) -> Written:
        """
        Create the one table, or check those of the days; then drop what is too old.

        Raises:
            ValueError: A table is there that does not fit.
        """
        if not self.schema.by_day:
            return self._prepare(db, {None})
        # Before any is dropped: one that does not fit may be somebody else's.
        for day in self.schema.days(db):
            self.schema.check(db, day)
        return self._prepare(db, frozenset())

    def write(self, db: sqlite3.Connection, rows: Sequence[Row]) -> Written:
        """
        Insert rows, into tables that are created where they are missing.

        Raises:
            ValueError: A table is there that does not fit.
            sqlite3.Error: Nothing could be written.
        """
        places = self._places(rows)
        prepared = self._prepare(db, places.keys() - self._known)
        failed: dict[int, Exception] = {}
        for day, chosen in places.items():
            if chosen is None:
                failed = insert(db, self.schema, day, rows)
                continue
            errors = insert(db, self.schema, day, [rows[place] for place in chosen])
            failed |= {chosen[place]: error for place, error in errors.items()}
        return prepared._replace(failed=failed)

    def committed(self, written: Written) -> None:
        """Remember which tables are there; before the commit they may yet vanish."""
        self._known |= written.days
        if written.swept != self._swept:
            self._swept = written.swept
            oldest = self.oldest_day
            if oldest is not None:
                self._known = frozenset(d for d in self._known if d is None or d >= oldest)

    def forget(self) -> None:
        """Look anew which tables are there: somebody else has dropped one."""
        self._known = frozenset()

    def _places(self, rows: Sequence[Row]) -> dict[int | None, list[int] | None]:
        """Return which rows go to which day; None stands for all of them."""
        if not rows:
            return {}
        if not self.schema.by_day or self._at is None:
            return {None: None}
        times = cast("list[float]", list(map(itemgetter(self._at), rows)))
        first = day_of(min(times))
        if first == day_of(max(times)):
            return {first: None}
        places: dict[int | None, list[int] | None] = {}
        for place, moment in enumerate(times):
            chosen = places.setdefault(day_of(moment), [])
            assert chosen is not None
            chosen.append(place)
        return places

    def _prepare(self, db: sqlite3.Connection, wanted: AbstractSet[int | None]) -> Written:
        """Create the tables of some days; once a day, drop those that are too old."""
        today = self._today()
        sweep = self._retention is not None and today != self._swept
        by_day = self.schema.by_day
        there: AbstractSet[int | None] = frozenset()
        if by_day and (wanted or sweep):
            there = frozenset(self.schema.days(db))
        dropped = 0
        if sweep and self._retention is not None:
            for day in there:
                if day is not None and day < today - self._retention:
                    dropped += self._drop(db, day)
        for day in wanted:
            self.schema.create(db, day)
        created = len(wanted - there) if by_day else 0
        return Written({}, wanted, created, dropped, today)

    def _drop(self, db: sqlite3.Connection, day: int) -> bool:
        """Drop the table of a day, unless it does not fit: somebody else has made it meanwhile."""
        try:
            self.schema.check(db, day)
        except ValueError:
            return False
        db.execute(f"DROP TABLE {quote(self.schema.name(day))}")
        return True
