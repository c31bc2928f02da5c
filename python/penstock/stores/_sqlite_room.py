"""What goes first when there is too much in the SQLite file of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = ["AHEAD", "chosen"]

#: Seconds by which the clocks of hosts may differ. What is later than that is from before the clock
#: was set back.
AHEAD: Final = 60.0
#: How many go with a transaction, if it has not brought more itself.
_AT_ONCE: Final = 2000
#: How much goes with a transaction, by what it has brought: what is above the limit becomes less.
_FACTOR: Final = 2

# Of what was used when the clock was ahead nobody can tell when that was, nor who reads it. Marks
# of deletes are no use to readers: loads that are under way are refused if one goes. (They have an
# index, which SQLite takes only if "used" does not suggest another.) Of what was used in the same
# second, what was written last goes last; SQLite sorts second by second, which costs less than an
# index that each write would change.
_AHEAD: Final = "space = ? AND used > ? ORDER BY used DESC, version"
_MARKS: Final = "space = ? AND value IS NULL AND +used <= ? ORDER BY version"
_OTHERS: Final = "space = ? AND value IS NOT NULL AND used <= ? ORDER BY used, version"


def chosen(
    db: sqlite3.Connection, space: int, time: float, excess: float, brought: int
) -> list[tuple[int, int]]:
    """
    Return the numbers and versions of what is to be removed.

    Args:
        db: With the transaction begun.
        space: The number of the namespace.
        time: Wall clock.
        excess: How many bytes are to go.
        brought: How many bytes the transaction has added.
    """
    found: list[tuple[int, int]] = []
    least, gone = brought * _FACTOR, 0
    for which in (_AHEAD, _MARKS, _OTHERS):
        sql = f"SELECT id, version, size FROM penstock_entries WHERE {which}"
        for number, version, size in db.execute(sql, (space, int(time + AHEAD))):
            if gone >= excess or (len(found) >= _AT_ONCE and gone >= least):
                return found
            found.append((number, version))
            gone += size
    return found
