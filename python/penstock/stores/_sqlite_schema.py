"""The tables of a store in a SQLite file, and whether those that are there are of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.errors import StoreError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FORMAT", "Gone", "found", "look_up"]

#: Of the tables; it changes with them.
FORMAT: Final = 1

# Keys, tags and patterns are blobs: as text they would end at a null character here and there.
# Values come last, so that nothing else has to be looked for behind them. The number of a namespace
# is not used again: what was left of one that is removed would be there again.
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS penstock_format (version INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS penstock_spaces (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
        clock INTEGER NOT NULL DEFAULT 0, rules INTEGER NOT NULL DEFAULT 0,
        floor INTEGER NOT NULL DEFAULT 0, tag_floor INTEGER NOT NULL DEFAULT 0,
        entries INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE IF NOT EXISTS penstock_entries (
        id INTEGER PRIMARY KEY, space INTEGER NOT NULL, version INTEGER NOT NULL,
        expires REAL NOT NULL, used INTEGER NOT NULL, size INTEGER NOT NULL, key BLOB NOT NULL,
        value BLOB, UNIQUE (space, key))""",
    "CREATE INDEX IF NOT EXISTS penstock_expiry ON penstock_entries (space, expires)",
    "CREATE INDEX IF NOT EXISTS penstock_use ON penstock_entries (space, used)",
    """CREATE INDEX IF NOT EXISTS penstock_marks ON penstock_entries (space, version)
        WHERE value IS NULL""",
    """CREATE TABLE IF NOT EXISTS penstock_tags (
        space INTEGER NOT NULL, tag BLOB NOT NULL, version INTEGER NOT NULL,
        PRIMARY KEY (space, tag)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS penstock_rules (
        space INTEGER NOT NULL, pattern BLOB NOT NULL, version INTEGER NOT NULL,
        PRIMARY KEY (space, pattern)) WITHOUT ROWID""",
    """CREATE TRIGGER IF NOT EXISTS penstock_inserted AFTER INSERT ON penstock_entries BEGIN
        UPDATE penstock_spaces SET entries = entries + 1, bytes = bytes + new.size
        WHERE id = new.space; END""",
    """CREATE TRIGGER IF NOT EXISTS penstock_updated AFTER UPDATE OF size ON penstock_entries
        WHEN new.size <> old.size BEGIN
        UPDATE penstock_spaces SET bytes = bytes + new.size - old.size
        WHERE id = new.space; END""",
    """CREATE TRIGGER IF NOT EXISTS penstock_deleted AFTER DELETE ON penstock_entries BEGIN
        UPDATE penstock_spaces SET entries = entries - 1, bytes = bytes - old.size
        WHERE id = old.space; END""",
)
_IS_THERE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'penstock_format'"


class Gone(Exception):
    """The namespace is not there any more: somebody has removed it, or another file is there."""


def look_up(db: sqlite3.Connection, namespace: str) -> int | None:
    """
    Return the number of a namespace that is there already; None if it is not.

    Raises:
        StoreError: The tables are those of another version.
    """
    if db.execute(_IS_THERE).fetchone() is None:
        return None
    _refuse_other_formats(db)
    row = db.execute("SELECT id FROM penstock_spaces WHERE name = ?", (namespace,)).fetchone()
    return None if row is None else int(row[0])


def found(db: sqlite3.Connection, namespace: str, clock: int) -> int:
    """
    Return the number of a namespace, with tables made where there are none.

    Args:
        db: With a transaction begun.
        namespace: Its name.
        clock: Where its clock begins if it is new: what was missed before, in another file or
            before this one lost its tables, is not stored here any more.

    Raises:
        StoreError: The tables are those of another version.
    """
    is_new = db.execute(_IS_THERE).fetchone() is None
    if not is_new:
        _refuse_other_formats(db)
    for statement in _TABLES:
        db.execute(statement)
    if is_new:
        db.execute("INSERT INTO penstock_format VALUES (?)", (FORMAT,))
    new = "INSERT OR IGNORE INTO penstock_spaces (name, clock, floor) VALUES (?, ?, ?)"
    db.execute(new, (namespace, clock, clock))
    row = db.execute("SELECT id FROM penstock_spaces WHERE name = ?", (namespace,)).fetchone()
    return int(row[0])


def _refuse_other_formats(db: sqlite3.Connection) -> None:
    """
    Look of which version the tables are.

    Raises:
        StoreError: Of another one.
    """
    there = [row[0] for row in db.execute("SELECT version FROM penstock_format")]
    if there != [FORMAT]:
        version = there[0] if len(there) == 1 else there
        what = f"its tables are of version {version}, this version of penstock has {FORMAT}"
        raise StoreError(f"{what}: use another file, or remove it")
