"""Days of UTC as numbers, and the names of the tables that hold one day each."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import floor, isfinite
from typing import Final

__all__ = ["DAY", "FIRST", "LAST", "day_of", "name_of_day", "parse_day", "seconds_since_epoch"]

#: Seconds of a day; Unix time has no leap seconds.
DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()
#: The first second of the year 1, and the one after the last of 9999: what a date can name.
FIRST: Final = (date.min.toordinal() - _EPOCH) * DAY
LAST: Final = (date.max.toordinal() - _EPOCH + 1) * DAY


def day_of(seconds: float) -> int:
    """Return the number of the day that holds a time, 0 for the first of January 1970."""
    return floor(seconds // DAY)


def name_of_day(day: int) -> str:
    """Return ``"20260131"`` for a day."""
    date_of = date.fromordinal(day + _EPOCH)
    return f"{date_of.year:04}{date_of.month:02}{date_of.day:02}"


def parse_day(text: str) -> int | None:
    """Return the day of such a name, or None if it names none."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal() - _EPOCH
    except ValueError:
        return None


def seconds_since_epoch(what: str, moment: object) -> float:
    """
    Accept a time as seconds since 1970, or as a datetime that knows its zone.

    Raises:
        TypeError: It is neither.
        ValueError: It is not finite, or a datetime without a zone.
    """
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise ValueError(f"{what} must have a time zone, got {moment!r}")
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        got = type(moment).__name__
        raise TypeError(f"{what} must be seconds or a datetime, got {got}")
    if not isfinite(moment):
        raise ValueError(f"{what} must be finite, got {moment!r}")
    return moment
