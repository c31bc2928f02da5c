"""What may be recorded: rows are checked where they are put, and become tuples there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, cast

from penstock.recording._days import DAY, FIRST, LAST, name_of_day, seconds_since_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Fitter", "GivenRow", "Row", "Value"]

Value = int | float | str | bytes | None
#: As it is queued, and written.
Row = tuple[Value, ...]
#: As callers may hand it in.
GivenRow = Mapping[str, object] | Sequence[object]

# What SQLite takes as it is, by exact type: a look at each, and no call.
_PLAIN: Final = frozenset({int, float, str, bytes, bool, type(None)})


class Fitter:
    """
    Makes rows of what callers hand in.

    Args:
        columns: The names, in order.
        timestamp: The column of them that holds the time, or None.
        by_day: Whether the time decides about the table, so that there must be one.
        clock: Seconds since 1970; fills the time in where it is missing.
    """

    __slots__ = (
        "_by_day", "_clock", "_count", "_end", "_names", "_pick", "_timestamp", "at", "oldest",
        "renew",
    )  # fmt: skip

    def __init__(
        self,
        columns: Sequence[str],
        timestamp: str | None,
        *,
        by_day: bool,
        clock: Callable[[], float],
    ) -> None:
        self._names = tuple(columns)
        self._count = len(self._names)
        self._timestamp = timestamp
        #: Where in a row the time is.
        self.at = None if timestamp is None else self._names.index(timestamp)
        self._by_day = by_day
        self._clock = clock
        #: Rows from before this second are refused: their day would be dropped at once.
        self.oldest: float = FIRST if by_day else -sys.float_info.max
        self._end: float = LAST if by_day else inf
        #: Sets that anew.
        self.renew: Callable[[], None] = _nothing
        # For one name it gives the value, not a tuple.
        pick: Callable[[Mapping[str, object]], object] = itemgetter(*self._names)
        self._pick = pick if self._count > 1 else _alone(pick)

    def fit(self, given: object) -> Row:
        """
        Return *given* as a row of its own.

        Raises:
            TypeError: It is neither a mapping nor a sequence, or SQLite does not take a value.
            ValueError: A column is missing, or there are too many; the time is out of range.
        """
        row = given if type(given) is tuple and len(given) == self._count else self._tuple(given)
        if not _PLAIN.issuperset(map(type, row)):
            row = self._convert(row)
        at = self.at
        if at is not None:
            moment: Any = row[at]
            # By exact type, for speed; NaN is not between.
            kind = type(moment)
            if (kind is float or kind is int) and self.oldest <= moment < self._end:
                return cast("Row", row)
            if moment is None:
                moment = self._clock()
                row = (*row[:at], moment, *row[at + 1 :])
                if type(moment) is float and self.oldest <= moment < self._end:
                    return cast("Row", row)
            self._check_time(moment)
        return cast("Row", row)

    def _tuple(self, given: object) -> tuple[object, ...]:
        if isinstance(given, Mapping):
            return self._of_mapping(given)
        if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray):
            got = type(given).__name__
            raise TypeError(f"a row must be a mapping or a sequence, got {got}")
        row = tuple(given)
        if len(row) != self._count:
            raise ValueError(f"a row must have {self._count} values, got {len(row)}")
        return row

    def _of_mapping(self, given: Mapping[str, object]) -> tuple[object, ...]:
        try:
            row = cast("tuple[object, ...]", self._pick(given))
        except KeyError:
            pass
        else:
            if len(given) == self._count:
                return row
        missing = [n for n in self._names if n not in given and n != self._timestamp]
        if missing:
            raise ValueError(f"a row lacks {_listed(missing)}")
        unknown = [key for key in given if key not in self._names]
        if unknown:
            raise ValueError(f"a row has {_listed(unknown)}, which the table has not")
        return tuple(given.get(name) for name in self._names)

    def _convert(self, row: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(self._value(at, value) for at, value in enumerate(row))

    def _value(self, at: int, value: object) -> object:
        if value is None or isinstance(value, int | float | str | bytes):
            return value  # of a subclass; SQLite takes what is in it
        if isinstance(value, bytearray | memoryview):
            return bytes(value)  # the caller may change it
        name = self._names[at]
        if at == self.at and isinstance(value, datetime):
            return seconds_since_epoch(f"column {name!r}", value)
        raise TypeError(f"column {name!r} cannot hold {type(value).__name__}")

    def _check_time(self, moment: object) -> None:
        what = f"column {self._timestamp!r}"
        seconds = seconds_since_epoch(what, moment)
        if not self._by_day:
            return
        if not FIRST <= seconds < LAST:
            raise ValueError(f"{what} must be a time of the years 1 to 9999, got {moment!r}")
        if seconds < self.oldest:
            self.renew()  # the clock may have been put back
        if seconds < self.oldest:
            day = name_of_day(int(seconds // DAY))
            raise ValueError(f"{what} is of {day}, which is older than the retention")


def _alone(
    pick: Callable[[Mapping[str, object]], object],
) -> Callable[[Mapping[str, object]], object]:
    return lambda given: (pick(given),)


def _nothing() -> None:
    pass


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))
