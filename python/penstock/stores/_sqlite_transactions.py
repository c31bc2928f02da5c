"""Has the transactions of a store done, each with a note of what was read since the last one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.errors import ClosedError, StoreError
from penstock.stores import _sqlite_writing as writing
from penstock.stores._sqlite_notes import Notes
from penstock.stores._sqlite_writing import Now

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.stores._sqlite_file import File
    from penstock.stores._sqlite_stats import Counts
    from penstock.stores._sqlite_writing import Written

__all__ = ["Transactions"]


class Transactions:
    """
    What is written to a file.

    Args:
        file: Where to.
        counts: Where it is counted.
        clock: Wall clock.
        max_bytes: How much there may be.
        tombstone_ttl: Seconds for which a delete is remembered.
    """

    __slots__ = ("_clock", "_counts", "_file", "_max_bytes", "_tombstone_ttl", "notes")

    def __init__(
        self,
        file: File,
        counts: Counts,
        clock: Callable[[], float],
        *,
        max_bytes: int,
        tombstone_ttl: float,
    ) -> None:
        self._file = file
        self._counts = counts
        self._clock = clock
        self._max_bytes = max_bytes
        self._tombstone_ttl = tombstone_ttl
        #: What was read.
        self.notes = Notes(self._note)

    async def write(self, function: Callable[..., Written], *args: object) -> Written:
        """
        Call ``function(connection, now, *args)`` in a transaction.

        Raises:
            StoreError: The file cannot be written.
        """
        now, touched = self._clock(), self.notes.take()

        def at(space: int) -> Now:
            return Now(space, now, self._max_bytes, self._tombstone_ttl, touched)

        done = await self._file.write(function, at, args)
        counts = self._counts
        counts.writes += 1
        counts.evicted += done.evicted
        counts.swept += done.swept
        counts.entries, counts.bytes = done.entries, done.bytes
        return done

    async def end(self) -> None:
        """Write what is not noted yet."""
        self.notes.stop()
        if len(self.notes):
            await self._note()

    async def _note(self) -> None:
        with suppress(StoreError, ClosedError):  # who reads does not care
            await self.write(writing.touch)
