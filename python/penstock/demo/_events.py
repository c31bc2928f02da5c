"""Where the service records an event for each request: a commit each, or a `Recorder`."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING, Final, Protocol

from penstock import Recorder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CommitLog", "EventLog", "RecorderLog", "open_log"]

_COLUMNS: Final = {"ts": "REAL NOT NULL", "document_id": "INTEGER NOT NULL"}
Event = tuple[float, int]


class EventLog(Protocol):
    """What the service needs of either; on disk means that an event outlives a power failure."""

    async def open(self) -> None:
        """Make the table."""

    async def record(self, event: Event) -> None:
        """Return when the event is on disk."""

    async def close(self) -> None:
        """Let go of the file."""

    async def counts(self) -> tuple[int, int]:
        """Return how many events are in the database, and in how many commits they came."""
        ...


class CommitLog:
    """
    A commit for each event, in a thread: what one writes without a library.
    """

    __slots__ = ("_commits", "_db", "_lock", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._commits = 0

    async def open(self) -> None:
        """
        Make the table.
        """
        # The same settings as the other one has, so that a commit means the same.
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        columns = ", ".join(f"{name} {declared}" for name, declared in _COLUMNS.items())
        self._db.execute(f"CREATE TABLE events ({columns})")

    async def record(self, event: Event) -> None:
        """
        Return when the event is on disk.
        """
        await asyncio.to_thread(self._commit, event)

    async def close(self) -> None:
        """
        Let go of the file.
        """
        self._db.close()

    async def counts(self) -> tuple[int, int]:
        """
        Return how many events are in the database, and in how many commits they came.
        """
        with self._lock:
            (rows,) = self._db.execute("SELECT COUNT(*) FROM events").fetchone()
            return rows, self._commits

    def _commit(self, event: Event) -> None:
        with self._lock:  # without autocommit it would be BEGIN, INSERT and COMMIT
            self._db.execute("INSERT INTO events VALUES (?, ?)", event)
            self._commits += 1


class RecorderLog:
    """
    The same with a `Recorder`: events that come at the same time share a commit.
    """

    __slots__ = ("_recorder",)

    def __init__(self, path: Path) -> None:
        self._recorder = Recorder(path, "events", _COLUMNS, synchronous="FULL", name="events")

    async def open(self) -> None:
        """
        Make the table.
        """
        await self._recorder.__aenter__()

    async def record(self, event: Event) -> None:
        """
        Return when the event is on disk.
        """
        await self._recorder.record(event)

    async def close(self) -> None:
        """
        Let go of the file.
        """
        await self._recorder.aclose()

    async def counts(self) -> tuple[int, int]:
        """
        Return how many events are in the database, and in how many commits they came.
        """
        return len(await self._recorder.query()), self._recorder.stats().commits


def open_log(kind: str, path: Path) -> EventLog:
    """
    Return the log of that kind, ``"commit"`` or ``"recorder"``.
    """
    return CommitLog(path) if kind == "commit" else RecorderLog(path)
