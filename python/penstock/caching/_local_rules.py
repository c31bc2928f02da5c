"""What was invalidated last, of many names, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Marks"]


class Marks:
    """
    The number of the newest invalidation of each name.

    Args:
        limit: How many names are remembered; the number of one that was forgotten holds for every
            name of which nothing is known.
    """

    __slots__ = ("_floor", "_limit", "_marks")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._floor = 0
        # From the oldest to the newest.
        self._marks: OrderedDict[str, int] = OrderedDict()

    def mark(self, name: str, seq: int) -> None:
        """Note that *name* was invalidated, with a number above all before."""
        marks = self._marks
        marks[name] = seq
        marks.move_to_end(name)
        if len(marks) > self._limit:
            self._floor = marks.popitem(last=False)[1]

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
