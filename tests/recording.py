"""A recorder to test, and a look at its database that goes past it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from penstock.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "COLUMNS",
    "DAY",
    "NOON",
    "WallClock",
    "recorder",
    "rows_of",
    "run_sql",
    "tables_of",
    "until",
]

COLUMNS = {"ts": "REAL", "path": "TEXT", "status": "INTEGER"}
DAY = 86_400
#: On 2026-01-31, in UTC.
NOON = 1_769_860_800.0


class WallClock:
    """A clock on the wall that goes when it is told to."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def run_sql(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements on a connection of its own; return the rows of the last one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        found: list[tuple[object, ...]] = []
        for statement in statements:
            found = db.execute(statement).fetchall()
        return found


def rows_of(path: Path, table: str = "events") -> list[tuple[object, ...]]:
    return run_sql(path, f'SELECT * FROM "{table}" ORDER BY rowid')


def tables_of(path: Path) -> list[str]:
    names = run_sql(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [str(name) for (name,) in names]


async def until(condition: Callable[[], bool]) -> None:
    """Let threads go on until something is so."""
    while not condition():  # noqa: ASYNC110  # they tell nobody
        await asyncio.sleep(0.001)


def recorder(path: Path, **options: object) -> Recorder:
    """A recorder of the table ``events``."""
    return Recorder(path, "events", COLUMNS, **options)  # type: ignore[arg-type]
