"""Reads of a `SqlitePool` that take as long as a test wants."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from tests.databases import assert_clean, make_pool
from tests.threads import LIMIT

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from penstock import SqlitePool

__all__ = ["Gate", "at_rest", "finish", "hold", "make", "note"]


class Gate:
    """What connections have: ``hold(n)`` waits until the gate opens, ``note(n)`` does not."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self._open = threading.Event()

    def connect(self, raw: sqlite3.Connection) -> None:
        """Give a connection its functions."""
        raw.create_function("hold", 1, self.hold)
        raw.create_function("note", 1, self.note)

    def hold(self, number: int) -> int:
        """Wait until the gate opens."""
        self.begun.append(number)
        assert self._open.wait(LIMIT)
        return number

    def note(self, number: int) -> int:
        """Note that it was called."""
        self.begun.append(number)
        return number

    def open(self) -> None:
        """Let those go on who wait."""
        self._open.set()


def make(directory: Path, gate: Gate | None = None, **options: Any) -> SqlitePool:
    """Make a pool whose single reads all go to threads."""
    if gate is not None:
        options["on_connect"] = gate.connect
    return make_pool(directory, **{"inline_limit": None, **options})


def finish(pool: SqlitePool) -> None:
    """The pool is as if nobody had used it."""
    assert_clean(pool)
    reads = pool._reads
    assert (list(reads.active), reads.watches, len(reads.pending)) == ([], {}, 0)
    asyncio.run(pool.aclose())


def hold(pool: SqlitePool, number: int) -> asyncio.Task[Any]:
    """Read what does not end before the gate opens."""
    return asyncio.ensure_future(pool.fetchval("SELECT hold(?)", (number,)))


def note(pool: SqlitePool, *numbers: int) -> list[asyncio.Task[Any]]:
    """Read some numbers, each with a statement of its own."""
    read = "SELECT note(?)"
    return [asyncio.ensure_future(pool.fetchval(read, (number,))) for number in numbers]


async def at_rest(pool: SqlitePool) -> None:
    """Wait until this loop has no timer any more that looks after its reads."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LIMIT):
        while loop in pool._reads.watches:  # noqa: ASYNC110  # it is a timer that ends it
            await asyncio.sleep(0.001)
