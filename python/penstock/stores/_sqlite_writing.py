"""What a store writes into its SQLite file, in a thread: each function is one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from penstock.stores._envelope import stamp
from penstock.stores._rules import Rules
from penstock.stores._sqlite_room import AHEAD, chosen
from penstock.stores._sqlite_rows import Row
from penstock.stores._sqlite_schema import Gone

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from penstock.stores._sqlite_rows import Missed

__all__ = [
    "OVERHEAD",
    "Now",
    "Written",
    "delete",
    "fill",
    "invalidate",
    "replay",
    "store",
    "touch",
]

#: Bytes that a record takes besides its key and value, about.
OVERHEAD: Final = 64
#: How many are swept with each transaction.
_SWEPT: Final = 100
#: Down to which part of what is allowed.
_LOW: Final = 0.95
_MAX_TAGS: Final = 100_000
_US: Final = 1e6
#: Seconds by which the clock may be ahead of the time, of which it is no part: it goes on by one
#: with each change.
_TOLERANCE: Final = 0.01
#: Seconds between two clocks that are the same moment; how often they are read again to find one.
_SAME: Final = 1e-4
_TRIES: Final = 9

_INSERT: Final = """INSERT INTO penstock_entries (space, version, expires, used, size, key, value)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (space, key) DO UPDATE SET version = excluded.version,
expires = excluded.expires, used = excluded.used, size = excluded.size, value = excluded.value"""
_INSERT_UNLESS_NEWER: Final = f"{_INSERT} WHERE penstock_entries.version <= excluded.version"
_TAG: Final = """INSERT INTO penstock_tags VALUES (?, ?, ?) ON CONFLICT (space, tag)
DO UPDATE SET version = max(version, excluded.version)"""
_RULE: Final = "INSERT OR REPLACE INTO penstock_rules VALUES (?, ?, ?)"
_TOUCH: Final = """UPDATE penstock_entries SET used = ? WHERE space = ? AND key = ?
AND NOT used BETWEEN ? AND ?"""


class Now(NamedTuple):
    """Where and when something is written."""

    space: int
    time: float
    max_bytes: int
    tombstone_ttl: float
    #: Keys that were read since the last time.
    touched: Sequence[bytes]


class Written(NamedTuple):
    """What a transaction has done."""

    stored: list[bool]
    evicted: int
    swept: int
    entries: int
    bytes: int


class _Space:
    """
    A namespace in a transaction.

    Args:
        db: With the transaction begun.
        now: Where and when.
    """

    __slots__ = ("_bytes", "_db", "_evicted", "_swept", "clock", "floor", "now", "was")

    def __init__(self, db: sqlite3.Connection, now: Now) -> None:
        self._db = db
        self.now = now
        self._evicted = self._swept = 0
        row = db.execute(
            "SELECT clock, floor, bytes FROM penstock_spaces WHERE id = ?", (now.space,)
        ).fetchone()
        if row is None:
            raise Gone
        #: The clock before this transaction, and with it; what was removed is not newer than floor.
        self.was: int = row[0]
        self.clock = self.was
        self.floor: int = row[1]
        self._bytes: int = row[2]

    @property
    def is_set_back(self) -> bool:
        """Whether the time is behind the clock, which has gone on by single ticks since then."""
        return self.was > (self.now.time + _TOLERANCE) * _US

    def tick(self) -> int:
        """Have the clock go on."""
        clock = self.clock = max(self.was + 1, int(self.now.time * _US))
        return clock

    def put(self, rows: Iterable[Row], version: int) -> None:
        """Write records, or marks of deletes."""
        self._db.executemany(_INSERT, [self._given(row, version) for row in rows])

    def put_unless_newer(self, row: Row, version: int) -> bool:
        """Write one unless what is there is newer; whether it was."""
        return self._db.execute(_INSERT_UNLESS_NEWER, self._given(row, version)).rowcount > 0

    def _given(self, row: Row, version: int) -> tuple[object, ...]:
        """Return what is inserted."""
        key, data, ends = row
        now = self.now
        # What is removed early would raise the floor above loads that are under way.
        ends = max(ends, now.time + now.tombstone_ttl)
        if data is None:
            return now.space, version, ends, int(now.time), len(key) + OVERHEAD, key, None
        size = len(key) + len(data) + OVERHEAD
        return now.space, version, ends, int(now.time), size, key, stamp(data, version)

    def fill(self, row: Row, base: int) -> bool:
        """Write a record unless something newer is there, or was; whether it was."""
        # Above the clock: of another file, before this one was made.
        if not self.floor <= base <= self.clock:
            return False
        return self.put_unless_newer(row, base)

    def tags(self, tags: Iterable[bytes], version: int) -> None:
        """Invalidate tags."""
        self._db.executemany(_TAG, [(self.now.space, tag, version) for tag in tags])

    def patterns(self, patterns: Iterable[str], version: int) -> None:
        """Invalidate patterns."""
        space = self.now.space
        there = read_rules(self._db, space)
        rules = Rules(there)
        for pattern in patterns:
            rules.add(pattern, version)
        left = dict(rules.items())
        dropped = [(space, pattern.encode()) for pattern in there if pattern not in left]
        self._db.executemany("DELETE FROM penstock_rules WHERE space = ? AND pattern = ?", dropped)
        changed = [(p, v) for p, v in left.items() if there.get(p) != v]
        self._db.executemany(_RULE, [(space, p.encode(), v) for p, v in changed])
        # The clock tells readers that these are others now.
        self._db.execute("UPDATE penstock_spaces SET rules = ? WHERE id = ?", (self.clock, space))

    def end(self, stored: list[bool]) -> Written:
        """Make room, and return what was done."""
        now = self.now
        if now.touched:
            used = int(now.time)
            late = used + AHEAD
            rows = [(used, now.space, key, used, late) for key in now.touched]
            self._db.executemany(_TOUCH, rows)
        self._sweep()
        entries, size = self._size()
        if size > now.max_bytes:
            self._evict(size)
            entries, size = self._size()
        self._db.execute(
            "UPDATE penstock_spaces SET clock = ?, floor = ? WHERE id = ?",
            (self.clock, self.floor, now.space),
        )
        return Written(stored, self._evicted, self._swept, entries, size)

    def bound_tags(self) -> None:
        """Forget the oldest tags if there are too many; what has tags and is older is invalid."""
        space = self.now.space
        count = "SELECT count(*) FROM penstock_tags WHERE space = ?"
        if self._db.execute(count, (space,)).fetchone()[0] <= _MAX_TAGS:
            return
        nth = "SELECT version FROM penstock_tags WHERE space = ? ORDER BY version LIMIT 1 OFFSET ?"
        (limit,) = self._db.execute(nth, (space, _MAX_TAGS // 10)).fetchone()
        old = "DELETE FROM penstock_tags WHERE space = ? AND version <= ?"
        self._db.execute(old, (space, limit))
        raise_floor = "UPDATE penstock_spaces SET tag_floor = max(tag_floor, ?) WHERE id = ?"
        self._db.execute(raise_floor, (limit, space))

    def _size(self) -> tuple[int, int]:
        sql = "SELECT entries, bytes FROM penstock_spaces WHERE id = ?"
        entries, size = self._db.execute(sql, (self.now.space,)).fetchone()
        return int(entries), int(size)

    def _sweep(self) -> None:
        """Remove some of what is of no use any more."""
        old = """SELECT id, version FROM penstock_entries WHERE space = ? AND expires < ?
        ORDER BY expires LIMIT ?"""
        rows = self._db.execute(old, (self.now.space, self.now.time, _SWEPT)).fetchall()
        self._remove(rows)
        self._swept += len(rows)

    def _evict(self, size: int) -> None:
        """Remove what is used least: there is too much."""
        now, brought = self.now, size - self._bytes
        rows = chosen(self._db, now.space, now.time, size - now.max_bytes * _LOW, brought)
        self._remove(rows)
        self._evicted += len(rows)

    def _remove(self, rows: Sequence[tuple[int, int]]) -> None:
        """Remove records; what is loaded by now may be older than they were."""
        if rows:
            ids = [(number,) for number, _ in rows]
            self._db.executemany("DELETE FROM penstock_entries WHERE id = ?", ids)
            self.floor = max(self.floor, *(version for _, version in rows))


def read_rules(db: sqlite3.Connection, space: int) -> dict[str, int]:
    """Return the patterns of a namespace."""
    rows = db.execute("SELECT pattern, version FROM penstock_rules WHERE space = ?", (space,))
    return {pattern.decode(): version for pattern, version in rows}


def store(db: sqlite3.Connection, now: Now, rows: Sequence[Row]) -> Written:
    """Write what callers set."""
    space = _Space(db, now)
    version = space.tick()
    space.put(rows, version)
    return space.end([True] * len(rows))


def fill(db: sqlite3.Connection, now: Now, rows: Sequence[Row], base: int) -> Written:
    """Write what was loaded, where nothing newer is."""
    space = _Space(db, now)
    return space.end([space.fill(row, base) for row in rows])


def delete(db: sqlite3.Connection, now: Now, keys: Sequence[bytes]) -> Written:
    """Leave a mark for each key."""
    space = _Space(db, now)
    version = space.tick()
    space.put([Row(key, None, now.time) for key in keys], version)
    return space.end([])


def touch(db: sqlite3.Connection, now: Now) -> Written:
    """Note what was read."""
    return _Space(db, now).end([])


def invalidate(
    db: sqlite3.Connection, now: Now, tags: Sequence[bytes], patterns: Sequence[str]
) -> Written:
    """Write which tags and patterns are invalid."""
    space = _Space(db, now)
    version = space.tick()
    if tags:
        space.tags(tags, version)
        space.bound_tags()
    if patterns:
        space.patterns(patterns, version)
    return space.end([])


def _moments(clock: Callable[[], float], timer: Callable[[], float]) -> tuple[float, float]:
    """Read both clocks at the same moment, or nearly so on a machine that is too busy for that."""
    before, wall, after = timer(), clock(), timer()
    for _ in range(_TRIES):
        if after - before < _SAME:
            break
        before, wall, after = timer(), clock(), timer()
    return wall, (before + after) / 2


def replay(
    db: sqlite3.Connection,
    now: Now,
    changes: Sequence[Missed],
    clock: Callable[[], float],
    timer: Callable[[], float],
) -> Written:
    """Make up for changes, each as of when it was asked for."""
    # Since *now* it may have waited for others, whose writes are newer than all this.
    wall, asked = _moments(clock, timer)
    now = now._replace(time=wall)
    space = _Space(db, now)
    tick = space.tick()
    for change in changes:
        version = min(tick, max(0, tick - int((asked - change.at) * _US)))
        rows = change.rows
        if space.is_set_back:
            # When anything happened cannot be told: to forget is the safe side.
            version = tick
            rows = [Row(row.key, None, now.time) for row in rows]
        if version < space.floor:
            # Something newer may have been there; what is older is to go all the same.
            rows = [Row(row.key, None, now.time) for row in rows]
        for row in rows:
            space.put_unless_newer(row, version)
        space.tags(change.tags, version)
        if change.patterns:
            space.patterns(change.patterns, version)
    space.bound_tags()
    return space.end([])
