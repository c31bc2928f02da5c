"""Short reads on the event loop itself: a hop to a thread would cost many times as much."""

from __future__ import annotations

import sqlite3
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from penstock.pools._sqlite_connection import code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.pools._sqlite_store import Store
    from penstock.pools._sqlite_work import Parameters

__all__ = ["MOVED", "Inline"]

#: Says that a thread has to do it.
MOVED: Final = object()
#: Seconds for which a statement that was too slow is not tried again: the first time, and at most;
#: it doubles in between.
_FIRST: Final = 0.05
_LONGEST: Final = 5.0
#: How often in a row one has to be late that was not interrupted: the machine may have been busy.
_STRIKES: Final = 3
_MANY: Final = 1000
#: What a thread gets over by waiting.
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Inline:
    """
    Reads on a connection for event loops, as long as they take next to no time.

    A progress handler interrupts a statement that takes longer. It looks at the clock after so many
    steps of the statement: what it does not see is a page that the disk takes long for, or a slow
    function of one's own. A statement that is slow goes to a thread for some time, longer each time
    in a row: what is slow every time is soon tried no more than every five seconds.
    """

    __slots__ = ("_counts", "_lane", "_limit", "_links", "_slow", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lane = store.inline
        self._links = store.inline.idle
        self._limit = store.options.inline_limit
        self._counts = store.counts
        #: When they may be tried again, how long that was, and how often in a row they were slow.
        self._slow: dict[str, tuple[float, float, int]] = {}

    def read(self, sql: str, parameters: Parameters, take: Callable[[sqlite3.Cursor], Any]) -> Any:
        """Return what there is to take, or MOVED."""
        limit = self._limit
        if limit is None or (self._slow and self._is_slow(sql)):
            return MOVED
        try:
            link = self._links.pop()
        except IndexError:
            return MOVED
        until = link.until
        until[1] = 0.0
        until[0] = due = perf_counter() + limit
        try:
            cursor = link.raw.execute(sql, parameters)
            try:
                result = take(cursor)
            finally:
                cursor.close()  # whoever keeps an error keeps the cursor as well, and its snapshot
        except sqlite3.Error as error:
            code = code_of(error)
            if code == sqlite3.SQLITE_INTERRUPT:
                self._note_slow(sql, is_sure=True)
            elif code not in _LOCKED:
                link.note(error)
                raise
            self._counts.moved += 1
            return MOVED
        finally:
            if link.is_broken or self._store.is_dead:
                self._store.close(link)
            else:
                self._links.append(link)
        counts = self._counts
        counts.reads += 1
        counts.inline += 1
        if perf_counter() > due:
            self._note_slow(sql, is_sure=False)
        elif self._slow:
            self._slow.pop(sql, None)
        return result

    def supply(self) -> None:
        """Open a connection for event loops if there is none; in a thread."""
        if self._limit is None or self._links or self._store.refusal is not None:
            return
        try:
            link = self._store.open(False)
        except sqlite3.Error:  # that of the thread will do
            return
        link.bound(self._limit)
        self._lane.check_in(link)

    def _note_slow(self, sql: str, is_sure: bool) -> None:
        """Keep a statement off the loop, for longer each time in a row."""
        before = self._slow.get(sql)
        _, seconds, strikes = (0.0, 0.0, 0) if before is None else before
        strikes += _STRIKES if is_sure else 1
        if strikes >= _STRIKES:
            seconds = min(max(seconds * 2, _FIRST), _LONGEST)
        if len(self._slow) >= _MANY:
            self._slow.clear()
        self._slow[sql] = self._store.timer() + seconds, seconds, strikes

    def _is_slow(self, sql: str) -> bool:
        known = self._slow.get(sql)
        return known is not None and self._store.timer() < known[0]
