"""The command ``penstock import-json``: its options, its progress, and what it prints."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

    from penstock.recording._import_report import BrokenRecord, ImportProgress, ImportReport

__all__ = ["add_import", "run_import"]

_EVERY: Final = 0.1
_EVERY_LINE: Final = 5.0
_MAX_SHOWN: Final = 100


def add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser], epilog: str) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "import-json",
        help="bring JSON records into a table of SQLite",
        description=(
            "Imports the objects of JSON files (an array, one object, or an object to a line). "
            "Run again, it goes on where it was: no record is imported twice. What cannot be "
            "imported is reported by its line, and the rest goes on."
        ),
        epilog=f"{epilog}; 1 also if a record was not imported",
    )
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="JSON, UTF-8")
    add("--db", type=Path, required=True, metavar="PATH", help="the database, created if missing")
    add("--table", required=True, metavar="T", help="the table, created if missing")
    add("--columns", metavar="LIST", help="as in ts:REAL,path:TEXT (those of the table, or found)")
    add("--timestamp", default="ts", metavar="NAME", help="the column of the time (%(default)s)")
    add("--partition-by", choices=["day"], help="a table for each UTC day")
    add("--batch", type=int, default=1_000, metavar="N", help="rows to a commit (%(default)s)")
    add("--again", action="store_true", help="import a file that was changed as a whole once more")
    add("--json", action="store_true", help="print the result as JSON; progress goes to stderr")


def run_import(args: argparse.Namespace) -> int:
    """
    Run the command.

    Returns:
        The exit code: 0, or 1 if a record was not imported.

    Raises:
        ValueError: An option cannot be used, or the table does not fit.
        OSError: A file cannot be read.
        sqlite3.Error: The database cannot be used.
    """
    import asyncio  # here, so that other commands do not wait for it

    show = _Show()
    try:
        report = asyncio.run(_import(args, _columns(args), show))
    finally:
        show.clear()
    print(_as_json(report) if args.json else _as_text(report, args))
    return 1 if report.broken else 0


async def _import(args: argparse.Namespace, columns: dict[str, str], show: _Show) -> ImportReport:
    from penstock.recording._import import import_json
    from penstock.recording._recorder import Recorder

    recorder = Recorder(
        args.db,
        args.table,
        columns,
        partition_by=args.partition_by,
        timestamp=args.timestamp,
    )
    async with recorder:
        return await import_json(
            args.files,
            recorder,
            batch=args.batch,
            again=args.again,
            on_progress=show.progress,
            on_broken=show.broken,
        )


def _columns(args: argparse.Namespace) -> dict[str, str]:
    """Return what was asked for, what the table has, or what the files need."""
    import sqlite3

    from penstock.recording._import_columns import infer_columns
    from penstock.recording._schema import columns_of

    if args.columns is not None:
        return _parse_columns(args.columns)
    if args.db.exists():
        with closing(sqlite3.connect(f"{args.db.absolute().as_uri()}?mode=ro", uri=True)) as db:
            found = columns_of(db, args.table, by_day=args.partition_by is not None)
        if found is not None:
            return found
    return infer_columns(args.files, args.timestamp)


def _parse_columns(text: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, colon, declared = part.strip().partition(":")
        if not colon or not name:
            raise ValueError(f"--columns must be like ts:REAL,path:TEXT, got {text!r}")
        if name in columns:
            raise ValueError(f"--columns names {name!r} twice")
        columns[name] = declared.strip()
    return columns


def _as_text(report: ImportReport, args: argparse.Namespace) -> str:
    parts = [f"{_count(report.rows, 'row')} imported into {args.table!r} of {args.db}"]
    if report.before:
        parts.append(f"{_count(report.before, 'record', 'was', 'were')} dealt with before")
    if report.broken:
        parts.append(f"{_count(report.broken, 'record', 'was', 'were')} not imported")
    if report.ignored:
        parts.append(f"keys that are no columns: {', '.join(report.ignored)}")
    return "\n".join(parts)


def _count(number: int, what: str, one: str = "", many: str = "") -> str:
    if number == 1:
        return f"1 {what} {one}".rstrip()
    return f"{number:,} {what}s {many}".rstrip()


def _as_json(report: ImportReport) -> str:
    answer = {
        "ok": not report.broken,
        "files": report.files,
        "rows": report.rows,
        "before": report.before,
        "broken": report.broken,
        "errors": [error._asdict() for error in report.errors],
        "ignored": report.ignored,
    }
    return json.dumps(answer, indent=2)


class _Show:
    """Progress on standard error: one line that is rewritten on a terminal, else now and then."""

    __slots__ = ("_is_terminal", "_last", "_shown", "_width")

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = time.monotonic()
        self._shown = 0
        self._width = 0

    def progress(self, at: ImportProgress) -> None:
        """Say how far it is, if it is some time since."""
        now = time.monotonic()
        if now - self._last < (_EVERY if self._is_terminal else _EVERY_LINE):
            return
        self._last = now
        percent = 100 * at.position // at.size if at.size else 100
        line = f"{at.path}: {percent} %, {_count(at.rows, 'row')}"
        if self._is_terminal:
            print(f"\r{line.ljust(self._width)}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def broken(self, record: BrokenRecord) -> None:
        """Say what is wrong with a record; only the first hundred are told one by one."""
        self._shown += 1
        if self._shown > _MAX_SHOWN:
            return
        self.clear()
        print(f"{record.path}:{record.line}: {record.reason}", file=sys.stderr, flush=True)
        if self._shown == _MAX_SHOWN:
            print("more of these are only counted", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave a clean line."""
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
            self._width = 0
