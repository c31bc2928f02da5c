"""Moving a corrupt file aside, so that a cache can begin anew."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from penstock.stores._sqlite_errors import is_corrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["move_aside"]

# The log first: with a new database it would be taken for that one's.
_PARTS: Final = ("-wal", "-shm", "")


def move_aside(path: str) -> bool:
    """
    Rename the database at *path* to ``path + ".corrupt"``, if it is corrupt; in a thread.

    Returns:
        Whether it was: somebody else may have done so meanwhile.

    Raises:
        sqlite3.Error: It cannot be looked at.
        OSError: It cannot be renamed.
    """
    with _alone_in(os.path.dirname(path)):
        if not _is_corrupt(path):
            return False
        for part in _PARTS:
            with suppress(FileNotFoundError):
                os.replace(f"{path}{part}", f"{path}.corrupt{part}")
        return True


@contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """Keep others who do the same out: the second one would move the new file."""
    try:
        import fcntl
    except ImportError:  # where that is so, what others have open cannot be renamed
        yield
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # which gives it back


def _is_corrupt(path: str) -> bool:
    if not os.path.exists(path):
        return False
    try:
        with closing(sqlite3.connect(path, timeout=0)) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        if is_corrupt(error):
            return True
        raise
    return found != [("ok",)]
