"""SQLite: what a point read takes, and how many rows are read, or inserted and committed."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import CrowdRunner, in_loop, prepared
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["SQLITE_ROWS"]

_TASKS: Final = 50
_TURNS: Final = 20
_USERS: Final = 1000
_ROUNDS: Final = 15
_US: Final = 1e3
_NS: Final = 1e9
#: What is looked at after each key; the rows that are read are those of the keys.
_CHECK: Final = "\nassert row[0] == names[k], f'{row!r} was read'"


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    One way to use a database.

    Args:
        op: Which text of the contenders is in the loop.
        title: What the table calls it.
        crowd: Whether many tasks do it at once.
    """

    op: str
    title: str
    crowd: bool = False


def _fill(path: Path) -> None:
    """Make a database with users, and a log without entries."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, user INTEGER)")
        db.executemany("INSERT INTO users VALUES (?, ?)", enumerate(_names()))
        db.commit()


def _names() -> list[str]:
    return [f"user number {number}" for number in range(_USERS)]


def _start(
    operation: _Operation,
    contender: Contender,
    event_loop: AbstractEventLoop,
    stack: ExitStack,
    path: Path,
    plan: Plan,
) -> Runner:
    """Make a database for a contender, and the loop that uses it."""
    _fill(path)
    made = prepared(contender, event_loop, seconds=0, path=str(path))
    start = cast("Callable[[], Coroutine[None, None, object]]", made["start"])
    end = cast("Callable[[], Coroutine[None, None, object]]", made["end"])
    subject = event_loop.run_until_complete(start())
    stack.callback(lambda: event_loop.run_until_complete(end()))
    text = contender.ops[operation.op]
    loop = compile_loop(
        text + _CHECK if operation.op == "read" else text,
        {"names": _names()},
        bind=contender.bind,
        coroutine=True,
    )
    inner = SyncRunner(loop, subject, list(range(_TURNS)), plan.clock)
    if operation.crowd:
        return CrowdRunner(inner, event_loop, _TASKS, plan)
    return AsyncRunner(inner, event_loop)


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    runners: dict[str, Runner] = {}
    paths: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as folder, in_loop() as event_loop, ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            path = paths[contender.name] = Path(folder) / f"{len(paths)}.sqlite"
            runner = _start(operation, contender, event_loop, stack, path, plan)
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=min(plan.rounds, _ROUNDS), round_ns=plan.round_ns)
        stack.close()
        if operation.op == "write":
            for name in runners:
                _check(name, paths[name], _TURNS * (_TASKS if operation.crowd else 1))
    if operation.crowd:
        figures = {name: [_NS / spent for spent in spans] for name, spans in samples.items()}
        table, unit, digits = f"SQLite, {_TASKS} tasks", "rows/s", 0
    else:
        figures = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
        table, unit, digits = "SQLite, one task", "us", 1
    # When a thread wakes up is decided by the operating system, and a disk is never quiet.
    result = Result(row.name, table, operation.title, unit, figures, digits=digits, steady=False)
    outcome.results.append(result)


def _check(name: str, path: Path, each_time: int) -> None:
    """Look whether a contender has written all rows, as often as it was told to."""
    with closing(sqlite3.connect(path)) as db:
        (found,) = db.execute("SELECT count(*) FROM log").fetchone()
    if not found or found % each_time:
        msg = f"{name} did not write every row once"
        raise BenchError(msg)


def _row(name: str, summary: str, operation: _Operation) -> Row:
    return Row(f"sqlite.{name}", "sqlite", summary, partial(_measure, operation))


SQLITE_ROWS: Final[tuple[Row, ...]] = (
    _row("read", "a row read by its key, by one task", _Operation("read", "read by key")),
    _row(
        "write",
        "a row inserted and committed, by one task",
        _Operation("write", "insert and commit"),
    ),
    _row(
        "reads",
        "rows read by their keys, by many tasks at once",
        _Operation("read", "read by key", crowd=True),
    ),
    _row(
        "writes",
        "rows inserted, each committed when its task goes on, by many tasks at once",
        _Operation("write", "insert and commit", crowd=True),
    ),
)
