"""What was invalidated last, of many names, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Marks"]

#: How many times as many names are remembered while somebody may ask for them.
_GROWTH: Final = 50


class Marks:
    """
    The number of the newest invalidation of each name.

    Args:
        limit: How many names are remembered; the number of one that was forgotten holds for every
            name of which nothing is known.
        oldest: Returns the number up to which nobody asks any more. What is younger is remembered
            all the same, up to 50 times as many names.
    """

    __slots__ = ("_floor", "_least", "_limit", "_marks", "_oldest", "_slack")

    def __init__(self, limit: int, oldest: Callable[[], int] | None = None) -> None:
        self._least = limit
        self._slack = self._limit = limit + limit // 8
        self._oldest = oldest
        self._floor = 0
        # From the oldest to the newest.
        self._marks: OrderedDict[str, int] = OrderedDict()

    def mark(self, name: str, seq: int) -> None:
        """Note that *name* was invalidated, with a number above all before."""
        marks = self._marks
        if name in marks:
            marks.move_to_end(name)
        marks[name] = seq
        if len(marks) > self._limit:
            self._bound()

    def _bound(self) -> None:
        """Forget the oldest, but those that somebody may ask for, unless they are far too many."""
        marks, least = self._marks, self._least
        oldest: float = inf
        if self._oldest is not None and len(marks) <= _GROWTH * least:
            oldest = self._oldest()
        while len(marks) > least and next(iter(marks.values())) <= oldest:
            self._floor = marks.popitem(last=False)[1]
        # Not at each one from here on: that asks everybody.
        self._limit = min(_GROWTH * least, 2 * len(marks)) if len(marks) > least else self._slack

    def newest(self, names: Iterable[str]) -> int:
        """Return the newest number of all *names*."""
        newest = self._floor
        get = self._marks.get
        for name in names:
            seq = get(name, 0)
            if seq > newest:  # max() would cost more
                newest = seq
        return newest

    def clear(self) -> None:
        """Forget all of them."""
        self._marks.clear()
        self._floor = 0
        self._limit = self._slack
