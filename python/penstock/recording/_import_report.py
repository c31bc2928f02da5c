"""What an import tells: what it did, how far it is, and what it could not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["BrokenRecord", "ImportProgress", "ImportReport"]


class BrokenRecord(NamedTuple):
    """
    A record that was not imported.

    Attributes:
        path: The file.
        line: The line on which it begins, from 1.
        reason: What is wrong with it.
    """

    path: str
    line: int
    reason: str


class ImportProgress(NamedTuple):
    """
    How far an import is.

    Attributes:
        path: The file that is being read.
        position: Bytes of it that are done.
        size: Bytes that it has.
        rows: Rows imported so far, of all files.
        broken: Records so far that were not.
    """

    path: str
    position: int
    size: int
    rows: int
    broken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """
    What an import has done.

    Attributes:
        files: Files that were read.
        rows: Rows that were imported.
        before: Records of these files that earlier imports had dealt with.
        broken: Records that were not imported.
        errors: The first thousand of these.
        ignored: Keys of records that are no columns of the table.
    """

    files: int = 0
    rows: int = 0
    before: int = 0
    broken: int = 0
    errors: tuple[BrokenRecord, ...] = ()
    ignored: tuple[str, ...] = ()
