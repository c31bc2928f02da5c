"""What columns the records of a file need, and how a record becomes a row of a table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.recording._import_records import records_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.recording._rows import Fitter, Row

__all__ = ["Converter", "infer_columns"]

_SAMPLE: Final = 1_000
#: Keys of records that are no columns: as many as can still be shown.
_MAX_IGNORED: Final = 100


def infer_columns(paths: Iterable[str], timestamp: str) -> dict[str, str]:
    """
    Return the columns that the first thousand records of each file need.

    Numbers are INTEGER or REAL, all else is TEXT. The time is REAL if one of the texts is a date.

    Raises:
        ValueError: There is no record.
        OSError: A file cannot be read.
    """
    kinds: dict[str, set[str]] = {}
    for path in paths:
        with Path(path).open("rb") as file:
            for record in islice(records_of(file), _SAMPLE):
                for name, value in (record.value or {}).items():
                    kind = _kind(value)
                    if name == timestamp and isinstance(value, str) and _parse(value) is not None:
                        kind = "REAL"
                    kinds.setdefault(name, set()).add(kind)
    if not kinds:
        raise ValueError("there is no record to tell the columns from")
    times = kinds.get(timestamp, set())
    if times & {"INTEGER", "REAL"} and "TEXT" in times:
        kinds[timestamp] = {"REAL"}  # the others are broken
    return {name: _type_of(found - {""}) for name, found in kinds.items()}


def _kind(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return "INTEGER"
    return "REAL" if isinstance(value, float) else "TEXT"


def _type_of(kinds: set[str]) -> str:
    if kinds == {"INTEGER"}:
        return "INTEGER"
    return "REAL" if kinds and kinds <= {"INTEGER", "REAL"} else "TEXT"


class Converter:
    """
    Makes rows of records.

    A key that is missing is NULL. What is nested becomes JSON text. A time that is a date becomes
    seconds since 1970; it is never filled in.

    Args:
        columns: Names and types.
        timestamp: The column of the time, or None.
        fitter: Checks the rows.
        by_day: Whether a row must have a time.
    """

    __slots__ = ("_at", "_by_day", "_fitter", "_ignored", "_names", "_timestamp")

    def __init__(
        self, columns: Mapping[str, str], timestamp: str | None, fitter: Fitter, *, by_day: bool
    ) -> None:
        self._names = tuple(columns)
        self._timestamp = timestamp
        self._at = fitter.at
        self._by_day = by_day
        self._fitter = fitter
        self._ignored: set[str] = set()

    @property
    def ignored(self) -> tuple[str, ...]:
        """The keys that were no columns."""
        return tuple(sorted(self._ignored))

    def row(self, record: Mapping[str, object]) -> Row:
        """
        Return a record as a row.

        Raises:
            ValueError: It has nothing for the table, or no time where it needs one.
            TypeError: Its time is none.
        """
        if len(self._ignored) < _MAX_IGNORED:
            self._ignored.update(record.keys() - set(self._names))
        if not any(name in record for name in self._names):
            raise ValueError("it has none of the columns")
        row = [_plain(record.get(name)) for name in self._names]
        at = self._at
        if at is None:
            return self._fitter.fit(row)
        moment = row[at]
        if moment is None:
            if self._by_day:
                raise ValueError(f"it has no {self._timestamp!r}")
            return tuple(row)  # type: ignore[arg-type]
        if isinstance(moment, str):
            row[at] = _parse(moment)
            if row[at] is None:
                raise ValueError(f"{self._timestamp!r} is no time: {moment!r}")
        return self._fitter.fit(row)


def _plain(value: object) -> object:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def _parse(text: str) -> float | None:
    """Return an ISO 8601 date and time as seconds since 1970, in UTC if it names no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
