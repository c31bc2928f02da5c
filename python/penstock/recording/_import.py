"""`import_json`: brings records of JSON files into a table, each of them once."""

from __future__ import annotations

import asyncio
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from penstock.flow._checks import check_int
from penstock.recording._import_columns import Converter
from penstock.recording._import_records import records_of
from penstock.recording._import_report import BrokenRecord, ImportProgress, ImportReport
from penstock.recording._import_state import (
    Position,
    candidates,
    find,
    is_changed,
    move,
    remember,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from penstock.recording._recorder import Recorder
    from penstock.recording._rows import Row
    from penstock.recording._store import Written

__all__ = ["import_json"]

_MAX_ERRORS: Final = 1_000
_CHANGED: Final = (
    "the file was changed where it was imported already, nothing of it is imported now"
    " (again=True, --again: all of it)"
)


async def import_json(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    recorder: Recorder,
    *,
    batch: int = 1_000,
    again: bool = False,
    on_progress: Callable[[ImportProgress], object] | None = None,
    on_broken: Callable[[BrokenRecord], object] | None = None,
) -> ImportReport:
    """
    Import the records of JSON files: an array of objects, one object, or an object to a line.

    How far a file is imported is written down together with its rows, in the table
    ``penstock_imports``. Killed at any moment and run again, it goes on where it was; of a file
    that has grown it imports what is new. A file is known by what was imported of it, together
    with its path or its inode.

    Args:
        paths: One file, or several.
        recorder: Has the table. Keys that are no columns are left out, missing ones are NULL, and
            what is nested becomes JSON text. Texts in the column of the time are read as ISO 8601.
        batch: Records to a transaction.
        again: Whether a file that was changed where it was imported already is imported from its
            beginning.
        on_progress: Called after each.
        on_broken: Called with each record that is not imported; the others are.

    Returns:
        How many were imported, and which were not.

    Raises:
        OSError: A file cannot be read. Those before it are imported.
        ValueError: The table does not fit.
        sqlite3.Error: The database cannot be written.

    Cost: reads in one thread and writes in another. Arrays, and objects over several lines, are
        held in memory; lines are not.
    """
    check_int("batch", batch, 1)
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    work = _Import(recorder, batch, again, on_progress, on_broken)
    for path in files:
        await work.file(os.fspath(path))
    return work.report()


class _Import:
    """One import: what it has done so far, over all files."""

    __slots__ = (
        "_again", "_batch", "_before", "_broken", "_converter", "_errors", "_files", "_on_broken",
        "_on_progress", "_rows", "_writer",
    )  # fmt: skip

    def __init__(
        self,
        recorder: Recorder,
        batch: int,
        again: bool,
        on_progress: Callable[[ImportProgress], object] | None,
        on_broken: Callable[[BrokenRecord], object] | None,
    ) -> None:
        self._writer = recorder._writer
        schema = self._writer.store.schema
        self._converter = Converter(
            schema.columns, recorder._timestamp, self._writer.fitter, by_day=schema.by_day
        )
        self._batch = batch
        self._again = again
        self._on_progress = on_progress
        self._on_broken = on_broken
        self._files = 0
        self._rows = 0
        self._before = 0
        self._broken = 0
        self._errors: list[BrokenRecord] = []

    def report(self) -> ImportReport:
        return ImportReport(
            files=self._files,
            rows=self._rows,
            before=self._before,
            broken=self._broken,
            errors=tuple(self._errors),
            ignored=self._converter.ignored,
        )

    async def file(self, path: str) -> None:
        """Import what is new in a file."""
        source = await asyncio.to_thread(_Source, path, self._converter)
        try:
            self._files += 1
            while True:
                try:
                    await self._rest(source)
                    break
                except _Overtaken:
                    continue  # from where that one is
            self._before += source.counted - source.mine
        finally:
            source.close()

    async def _rest(self, source: _Source) -> None:
        """Import what nobody has imported yet, as far as that is known by now."""
        target = self._writer.store.schema.table
        known = await self._writer.pool.run(candidates, target, source.file, source.path)
        found = await asyncio.to_thread(source.begin, known)
        if not self._again and is_changed(known, found):
            self._tell(BrokenRecord(source.path, 1, _CHANGED))
            return
        if not found.is_here:
            await self._move(source)
            raise _Overtaken
        while part := await asyncio.to_thread(source.take, self._batch):
            await self._write(source, part)

    async def _move(self, source: _Source) -> None:
        def write(db: sqlite3.Connection, rows: Sequence[Row]) -> Written:
            assert source.id is not None
            move(db, source.file, source.path, source.id)
            return self._writer.store.write(db, rows)

        await self._writer.transact(write, ())

    async def _write(self, source: _Source, part: _Part) -> None:
        """Write rows, and how far the file is by then, in one transaction."""
        store = self._writer.store
        target = store.schema.table
        noted: list[tuple[int, list[Position]]] = []

        def write(db: sqlite3.Connection, rows: Sequence[Row]) -> Written:
            if candidates(db, target, source.file, source.path) != source.known:
                raise _Overtaken
            written = store.write(db, rows)
            at = remember(db, target, source.file, source.path, part.position)
            noted.append((at, candidates(db, target, source.file, source.path)))
            return written

        failed = (await self._writer.transact(write, part.rows)).failed
        # The last: what was tried before was rolled back.
        source.go_on(*noted[-1], part.position)
        self._rows += len(part.rows) - len(failed)
        broken = part.broken + [(part.lines[at], str(error)) for at, error in failed.items()]
        for line, reason in sorted(broken):
            self._tell(BrokenRecord(source.path, line, reason))
        if self._on_progress is not None:
            position = part.position.position
            progress = ImportProgress(source.path, position, source.size, self._rows, self._broken)
            self._on_progress(progress)

    def _tell(self, broken: BrokenRecord) -> None:
        self._broken += 1
        if len(self._errors) < _MAX_ERRORS:
            self._errors.append(broken)
        if self._on_broken is not None:
            self._on_broken(broken)


class _Overtaken(Exception):  # no error: it begins again
    """What is known of this file has changed: another import has gone on with it, or its name."""


class _Part(NamedTuple):
    """What goes into one transaction: rows, the lines they are on, and where the file is then."""

    rows: list[Row]
    lines: list[int]
    broken: list[tuple[int, str]]
    position: Position


class _Source:
    """A file that is imported, in the threads that read it."""

    __slots__ = (
        "_converter", "_prefix", "_read", "_records", "_second", "counted", "file", "id", "known",
        "mine", "path", "size",
    )  # fmt: skip

    def __init__(self, path: str, converter: Converter) -> None:
        self.path = path
        self._converter = converter
        self.file = Path(path).open("rb")  # noqa: SIM115  # closed by close()
        # By itself: one reads ahead, the other follows up to what is imported.
        self._second = Path(path).open("rb")  # noqa: SIM115  # too
        self.size = os.fstat(self.file.fileno()).st_size
        #: What was known of such files when the last part was written, and which of it is this one.
        self.known: list[Position] = []
        self.id: int | None = None
        #: Records that are dealt with, and how many of them by this import.
        self.counted = self.mine = 0

    def close(self) -> None:
        self.file.close()
        self._second.close()

    def begin(self, known: list[Position]) -> Position:
        """Go to where earlier imports ended, and return that."""
        found, self._prefix = find(known, self._second)
        self.known, self.id = known, found.id
        self.counted = self._read = found.records
        self._records = records_of(self.file, found.position, self._prefix.lines + 1)
        return found

    def go_on(self, at: int, known: list[Position], position: Position) -> None:
        """Note that a part is written, and what is known since."""
        self.id, self.known = at, known
        self.mine += position.records - self.counted
        self.counted = position.records

    def take(self, most: int) -> _Part | None:
        """Read the next records, and make rows of them; None if there are no more."""
        rows: list[Row] = []
        lines: list[int] = []
        broken: list[tuple[int, str]] = []
        end = None
        for record in islice(self._records, most):
            end = record.end
            self._read += record.is_done
            if record.value is None:
                broken.append((record.line, record.reason))
                continue
            try:
                rows.append(self._converter.row(record.value))
            except (TypeError, ValueError) as error:
                broken.append((record.line, str(error)))
            else:
                lines.append(record.line)
        if end is None:
            return None
        digest = self._prefix.advance(end) or ""
        return _Part(rows, lines, broken, Position(self.id, end, digest, self._read, is_here=True))
