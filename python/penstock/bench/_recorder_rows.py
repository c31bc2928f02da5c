"""Rows into SQLite: what a task waits until its row is durable, and how many go when none waits."""

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

__all__ = ["RECORDER_ROWS"]

_TASKS: Final = 50
_TURNS: Final = 20
_ROUNDS: Final = 11
_NS: Final = 1e9


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    One way to record.

    Args:
        op: Which text of the contenders is in the loop.
        table: What the table is called; the number of rows is put in.
        crowd: Whether many tasks do it, a row at a time.
    """

    op: str
    table: str
    crowd: bool = False


def _rows(count: int) -> list[object]:
    return [(1.7e9 + number, f"/documents/{number}", 200, 0.0125) for number in range(count)]


def _start(
    operation: _Operation,
    contender: Contender,
    event_loop: AbstractEventLoop,
    stack: ExitStack,
    rows: list[object],
    path: Path,
    plan: Plan,
) -> Runner:
    """Make a database for a contender, and the loop that fills it."""
    made = prepared(contender, event_loop, seconds=0, path=str(path), rows=rows)
    start = cast("Callable[[], Coroutine[None, None, object]]", made["start"])
    end = cast("Callable[[], Coroutine[None, None, object]]", made["end"])
    subject = event_loop.run_until_complete(start())
    stack.callback(lambda: event_loop.run_until_complete(end()))
    loop = compile_loop(
        contender.ops[operation.op],
        {"rows": rows},
        target="row",
        bind=contender.bind,
        coroutine=True,
    )
    if operation.crowd:
        inner = SyncRunner(loop, subject, rows[:_TURNS], plan.clock)
        return CrowdRunner(inner, event_loop, _TASKS, plan)
    return AsyncRunner(SyncRunner(loop, subject, [None], plan.clock), event_loop)


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    runners: dict[str, Runner] = {}
    paths: dict[str, Path] = {}
    rows = _rows(max(plan.capacity, _TURNS))
    with tempfile.TemporaryDirectory() as folder, in_loop() as event_loop, ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            path = paths[contender.name] = Path(folder) / f"{len(paths)}.sqlite"
            runner = _start(operation, contender, event_loop, stack, rows, path, plan)
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
        rounds = min(plan.rounds, _ROUNDS)
        samples = interleave(runners, rounds=rounds, round_ns=plan.round_ns)
        stack.close()
        each_time = _TASKS * _TURNS if operation.crowd else len(rows)
        for name in runners:
            _check(name, paths[name], each_time)
    count = 1 if operation.crowd else len(rows)
    speeds = {name: [_NS * count / spent for spent in spans] for name, spans in samples.items()}
    table = operation.table.format(len(rows))
    # A disk is never quiet.
    result = Result(row.name, table, "all", "rows/s", speeds, digits=0, steady=False)
    outcome.results.append(result)


def _check(name: str, path: Path, each_time: int) -> None:
    """Look whether a contender has written all rows, as often as it was told to."""
    with closing(sqlite3.connect(path)) as db:
        (found,) = db.execute("SELECT count(*) FROM requests").fetchone()
    if not found or found % each_time:
        msg = f"{name} did not write every row once"
        raise BenchError(msg)


RECORDER_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "recorder.await",
        "recorder",
        "rows awaited until they are committed, one by one, in many tasks",
        partial(
            _measure,
            _Operation(
                "await", f"recorder awaited: {_TASKS} tasks, each awaits its rows", crowd=True
            ),
        ),
    ),
    Row(
        "recorder.put",
        "recorder",
        "rows put without waiting, then flushed",
        partial(_measure, _Operation("put", "recorder put: {:,} rows put, then flushed")),
    ),
)
