"""Remembers in the database how far files are imported, so that no record is imported twice."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from penstock.recording._names import fold

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Position", "Prefix", "candidates", "find", "is_changed", "move", "remember"]

_TABLE: Final = """\
CREATE TABLE IF NOT EXISTS penstock_imports (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    path TEXT NOT NULL,
    file TEXT NOT NULL,
    position INTEGER NOT NULL,
    digest TEXT NOT NULL,
    records INTEGER NOT NULL
)"""
_CHUNK: Final = 2**20


class Position(NamedTuple):
    """
    How far a file is imported: its first *position* bytes, whose digest is *digest*.

    *is_here* says whether it was at the path that is asked for.
    """

    id: int | None
    position: int
    digest: str
    records: int
    is_here: bool


class Prefix:
    """
    The beginning of a file: its digest, and how many lines it has.

    A file is known by what was imported of it: one that has grown since is still the same, one
    that was replaced is not.
    """

    __slots__ = ("_file", "_hash", "_position", "lines")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.blake2b(digest_size=16)
        self._position = 0
        self.lines = 0

    def advance(self, position: int) -> str | None:
        """Return the digest of the first *position* bytes; None if there are not as many."""
        self._file.seek(self._position)
        while self._position < position:
            part = self._file.read(min(_CHUNK, position - self._position))
            if not part:
                return None
            self._hash.update(part)
            self._position += len(part)
            self.lines += part.count(b"\n")
        return self._hash.hexdigest()


def _names(file: BinaryIO, path: str) -> tuple[str, str]:
    """Return by what a file is looked up: where it is, and what it is on its disk."""
    about = os.fstat(file.fileno())
    return os.path.realpath(path), f"{about.st_dev}:{about.st_ino}"


def candidates(db: sqlite3.Connection, target: str, file: BinaryIO, path: str) -> list[Position]:
    """Return what is known of files at this path, or with this inode, the least of it first."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'penstock_imports'").fetchone():
        return []
    found = db.execute(
        "SELECT id, position, digest, records, path = ?1 FROM penstock_imports"
        " WHERE target = ?3 AND (path = ?1 OR file = ?2) ORDER BY position",
        (*_names(file, path), fold(target)),
    )
    return [
        Position(at, position, digest, records, is_here=bool(is_here))
        for at, position, digest, records, is_here in found
    ]


def find(known: list[Position], file: BinaryIO) -> tuple[Position, Prefix]:
    """Return how far a file is imported, by what it has in it, and that part of it."""
    prefix = Prefix(file)
    # The least first: the file is read once for all of them.
    fitting = [each for each in known if prefix.advance(each.position) == each.digest]
    if not fitting:
        return Position(None, 0, "", 0, is_here=True), Prefix(file)
    found = fitting[-1]
    prefix = Prefix(file)
    prefix.advance(found.position)
    return found, prefix


def is_changed(known: list[Position], found: Position) -> bool:
    """
    Whether what was imported from this path is not what the file begins with now.

    The inode says nothing of that: it is used again for other files.
    """
    return not found.position and any(each.is_here and each.position for each in known)


def move(db: sqlite3.Connection, file: BinaryIO, path: str, at: int) -> None:
    """Write down that a file has another name: another one may have its old one by now."""
    renamed = "UPDATE penstock_imports SET path = ?, file = ? WHERE id = ?"
    db.execute(renamed, (*_names(file, path), at))


def remember(db: sqlite3.Connection, target: str, file: BinaryIO, path: str, at: Position) -> int:
    """Write down how far a file is, in the transaction that has its rows; return the id of it."""
    if at.id is not None:
        db.execute(
            "UPDATE penstock_imports SET path = ?, file = ?, position = ?, digest = ?, records = ?"
            " WHERE id = ?",
            (*_names(file, path), *at[1:4], at.id),
        )
        return at.id
    db.execute(_TABLE)
    inserted = db.execute(
        "INSERT INTO penstock_imports (target, path, file, position, digest, records)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (fold(target), *_names(file, path), *at[1:4]),
    )
    assert inserted.lastrowid is not None
    return inserted.lastrowid
