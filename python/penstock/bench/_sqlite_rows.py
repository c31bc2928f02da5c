"""SQLite: what a point read takes, and how many rows are read, or inserted and committed."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.bench._crowds import TASKS, TURNS, Operation, contest
from penstock.bench._model import BenchError, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.bench._engine import Runner
    from penstock.bench._model import Contender, Outcome, Plan

__all__ = ["SQLITE_ROWS"]

_USERS: Final = 1000
_TABLES: Final = ("SQLite, one task", f"SQLite, {TASKS} tasks")
#: What is looked at after each key; the rows that are read are those of the keys.
_CHECKS: Final = {"read": "\nassert row[0] == names[k], f'{row!r} was read'", "write": ""}


def _fill(path: Path, names: list[str]) -> None:
    """Make a database with users, and a log without entries."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, user INTEGER)")
        db.executemany("INSERT INTO users VALUES (?, ?)", enumerate(names))
        db.commit()


def _measure(
    operation: Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    op = operation.op
    names = [f"user number {number}" for number in range(_USERS)]
    paths: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        with contest(plan) as those:

            def prepare(contender: Contender) -> Runner:
                path = paths[contender.name] = Path(folder) / f"{len(paths)}.sqlite"
                _fill(path, names)
                started = those.start(contender, path=str(path))
                return started.runner(operation, contender.ops[op] + _CHECKS[op], {"names": names})

            samples = those.measure(operation, row, contenders, outcome, prepare)
        if op == "write":
            for name in samples:
                _check(name, paths[name], TURNS * (TASKS if operation.crowd else 1))
    outcome.results.append(operation.result(row, samples, _TABLES, "rows/s"))


def _check(name: str, path: Path, each_time: int) -> None:
    """Look whether a contender has written all rows, as often as it was told to."""
    with closing(sqlite3.connect(path)) as db:
        (found,) = db.execute("SELECT count(*) FROM log").fetchone()
    if not found or found % each_time:
        msg = f"{name} did not write every row once"
        raise BenchError(msg)


def _row(name: str, summary: str, operation: Operation) -> Row:
    return Row(f"sqlite.{name}", "sqlite", summary, partial(_measure, operation))


SQLITE_ROWS: Final[tuple[Row, ...]] = (
    _row("read", "a row read by its key, by one task", Operation("read", "read by key")),
    _row(
        "write",
        "a row inserted and committed, by one task",
        Operation("write", "insert and commit"),
    ),
    _row(
        "reads",
        "rows read by their keys, by many tasks at once",
        Operation("read", "read by key", crowd=True),
    ),
    _row(
        "writes",
        "rows inserted, each committed when its task goes on, by many tasks at once",
        Operation("write", "insert and commit", crowd=True),
    ),
)
