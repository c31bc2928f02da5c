"""What the errors of SQLite mean for a cache."""

from __future__ import annotations

import sqlite3
from typing import Final

from penstock.errors import AcquireTimeout, StoreError, StoreTimeout, StoreUnavailable
from penstock.pools._sqlite_connection import code_of

__all__ = ["CAUGHT", "is_corrupt", "is_missing", "meaning"]

#: What is translated. A RuntimeError is that of a pool in a forked child.
CAUGHT: Final = (sqlite3.Error, sqlite3.Warning, AcquireTimeout, RuntimeError)

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WAITED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_LOST: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR})


def is_corrupt(error: BaseException) -> bool:
    """Whether the file is no database, or not a whole one."""
    return isinstance(error, sqlite3.Error) and code_of(error) in _CORRUPT


def is_missing(error: BaseException) -> bool:
    """Whether the tables are not there, or have lost a column."""
    return isinstance(error, sqlite3.OperationalError) and "no such " in str(error)


def meaning(error: Exception, path: str, seconds: float) -> Exception:
    """
    Return what a caller is told.

    Args:
        error: One of `CAUGHT`.
        path: Of the file.
        seconds: How long was waited for it.
    """
    if type(error) is StoreError:
        return StoreError(f"the cache in {path!r} cannot be used: {error}")
    code = code_of(error)
    if isinstance(error, AcquireTimeout) or code in _WAITED:
        message = f"the cache in {path!r} was in use by others for more than {seconds:g} s"
        return StoreTimeout(message, seconds=seconds)
    if not isinstance(error, sqlite3.Error | sqlite3.Warning):
        # As it is, if it tells of something else.
        if type(error) is RuntimeError:
            return StoreError(f"the cache in {path!r} cannot be used: {error}")
        return error
    if code in _CORRUPT:
        how = "remove it, or use recover=True, which moves it aside"
        return StoreError(f"the cache in {path!r} is corrupt: {error}; {how}")
    if code in _LOST:
        return StoreUnavailable(f"the cache in {path!r} cannot be reached: {error}")
    if code == sqlite3.SQLITE_FULL:
        what = "no room on the disk, or the file is as large as it may be"
        return StoreError(f"the cache in {path!r} cannot be written: {error}: {what}")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(f"the cache in {path!r} can only be read: {error}")
    return StoreError(f"the cache in {path!r} cannot be used: {error}")
