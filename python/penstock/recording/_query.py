"""Reads rows back by time: only from the tables that can hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from penstock.recording._days import DAY, day_of, seconds_since_epoch
from penstock.recording._names import quote

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from penstock.recording._schema import Schema

__all__ = ["Params", "Query", "make_query"]

Params = Sequence[object] | Mapping[str, object]


class Query(NamedTuple):
    """What is asked for; times in seconds since 1970, *since* included and *until* not."""

    since: float | None
    until: float | None
    where: str | None
    params: Params
    descending: bool
    limit: int | None

    def run(
        self, db: sqlite3.Connection, schema: Schema, timestamp: str | None
    ) -> list[dict[str, object]]:
        """Return the rows, in the order of their time, and in that of their arrival within it."""
        found: list[dict[str, object]] = []
        names = list(schema.columns)
        for day in self._days(db, schema):
            left = None if self.limit is None else self.limit - len(found)
            if left is not None and left <= 0:
                break
            schema.check(db, day)
            text, params = self._statement(schema.select(day), timestamp, left)
            found += [dict(zip(names, row, strict=True)) for row in db.execute(text, params)]
        return found

    def _days(self, db: sqlite3.Connection, schema: Schema) -> Sequence[int | None]:
        if not schema.by_day:
            return [None] if schema.is_there(db) else []
        # Tables hold disjoint times: read one after another, they need no sorting among them.
        days = [day for day in schema.days(db) if self._may_hold(day)]
        return days[::-1] if self.descending else days

    def _may_hold(self, day: int) -> bool:
        if self.since is not None and day < day_of(self.since):
            return False
        return self.until is None or day * DAY < self.until

    def _statement(
        self, select: str, timestamp: str | None, limit: int | None
    ) -> tuple[str, Params]:
        named = isinstance(self.params, Mapping)
        bounds = {"penstock_since": self.since, "penstock_until": self.until}
        bounds = {name: value for name, value in bounds.items() if value is not None}
        # The caller's part comes first, so that a ?1 in it is his. It ends with a line of its own:
        # it may itself end with a comment.
        parts = [] if self.where is None else [f"({self.where}\n)"]
        column = "rowid" if timestamp is None else quote(timestamp)
        for name in bounds:
            sign = ">=" if name == "penstock_since" else "<"
            parts.append(f"{column} {sign} {f':{name}' if named else '?'}")
        text = f"{select} WHERE {' AND '.join(parts)}" if parts else select
        way = " DESC" if self.descending else ""
        text += f" ORDER BY {column}{way}, rowid{way}"
        if limit is not None:
            text += f" LIMIT {limit}"
        if isinstance(self.params, Mapping):
            return text, {**self.params, **bounds}
        return text, (*self.params, *bounds.values())


def make_query(
    since: float | datetime | None,
    until: float | datetime | None,
    where: str | None,
    params: Params,
    order: str,
    limit: int | None,
    *,
    timed: bool,
) -> Query:
    """
    Check what is asked for.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range; a time is given, and the table has none.
    """
    if (since is not None or until is not None) and not timed:
        raise ValueError("the table has no column of times, since and until cannot be answered")
    if where is not None and not isinstance(where, str):
        raise TypeError(f"where must be a str, got {type(where).__name__}")
    if isinstance(params, str | bytes) or not isinstance(params, Sequence | Mapping):
        raise TypeError(f"params must be a sequence or a mapping, got {type(params).__name__}")
    if order not in {"asc", "desc"}:
        raise ValueError(f"order must be 'asc' or 'desc', got {order!r}")
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise TypeError(f"limit must be an int, got {type(limit).__name__}")
        if limit < 0:
            raise ValueError(f"limit must be >= 0, got {limit}")
    first = None if since is None else seconds_since_epoch("since", since)
    last = None if until is None else seconds_since_epoch("until", until)
    # A copy: it is read in another thread, and the caller may change his.
    mine = dict(params) if isinstance(params, Mapping) else tuple(params)
    return Query(first, last, where, mine, order == "desc", limit)
