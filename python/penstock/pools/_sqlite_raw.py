"""Connections as functions of others get them: what is left open is closed when they come back."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any, Final, TypeVar
from weakref import ref

__all__ = ["Raw"]

T = TypeVar("T", sqlite3.Cursor, sqlite3.Blob)

#: How many are noted before those that are gone are taken out.
_MANY: Final = 64


class Raw(sqlite3.Connection):
    """
    A connection that can be lent: whoever has it then may leave cursors open, and keep them.

    A traceback that somebody keeps is enough for that. SQLite would go on with such a statement
    after the end of the transaction, and whatever is read later would be as old as it is. The pool
    itself closes what it opens, and uses the connection as it is when it is not lent: it costs no
    more than any other one.
    """

    __slots__ = ("_most", "_opened")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._opened: list[ref[Any]] = []
        self._most = _MANY

    def lend(self) -> sqlite3.Connection:
        """Note from now on what is opened."""
        self.__class__ = _Lent  # pyright: ignore[reportAttributeAccessIssue]
        return self

    def reclaim(self) -> None:
        """Note nothing more, and close what was noted and is there still."""
        self.__class__ = Raw  # pyright: ignore[reportAttributeAccessIssue]
        opened, self._opened = self._opened, []
        self._most = _MANY
        for entry in opened:
            it = entry()
            if it is not None:
                # That of the base class: others may have a close() that does something else.
                base: Any = sqlite3.Cursor if isinstance(it, sqlite3.Cursor) else sqlite3.Blob
                with suppress(sqlite3.Error):
                    base.close(it)

    def _note(self, it: T) -> T:
        opened = self._opened
        opened.append(ref(it))
        if len(opened) > self._most:
            opened[:] = [entry for entry in opened if entry() is not None]
            self._most = max(_MANY, 2 * len(opened))
        return it


class _Lent(Raw):
    """It has the methods that open something, by which it differs from one that is not lent."""

    __slots__ = ()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a cursor."""
        return self._note(super().cursor(*args, **kwargs))

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement with a new cursor."""
        return self._note(super().execute(*args))

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement with a new cursor, for each of some rows."""
        return self._note(super().executemany(*args))

    def executescript(self, *args: Any) -> sqlite3.Cursor:
        """Execute statements with a new cursor."""
        return self._note(super().executescript(*args))

    def blobopen(self, *args: Any, **kwargs: Any) -> sqlite3.Blob:
        """Open a value of a row."""
        return self._note(super().blobopen(*args, **kwargs))
