"""What a pool of SQLite connections counts, and what it tells of that."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts", "SqlitePoolStats"]


class Counts:
    """
    The counters of a pool.

    Each is changed by plain additions, from several threads: on a build without the GIL one may get
    lost, and nothing but the statistics depends on them.
    """

    __slots__ = (
        "closed",
        "commits",
        "expired",
        "groups",
        "inline",
        "interrupted",
        "moved",
        "opened",
        "read_seconds",
        "reads",
        "rollbacks",
        "write_seconds",
        "writes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.closed = 0
        self.commits = 0
        self.expired = 0
        self.groups = 0
        self.inline = 0
        self.interrupted = 0
        self.moved = 0
        self.opened = 0
        self.reads = 0
        self.rollbacks = 0
        self.writes = 0
        self.read_seconds = 0.0
        self.write_seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlitePoolStats:
    """
    What a `SqlitePool` has done so far.

    Args:
        readers: Connections that are open for reading.
        readers_busy: Readers that are in use; the one of the event loop is never counted.
        writer_busy: 1 while the writer is in use.
        waiting: How many wait in line for a reader or for the writer.
        pending: Statements of ``execute()`` and ``executemany()`` that do not run yet.
        reads: Single reads, blocks of ``read()``, and calls of ``run()`` that read.
        inline: Single reads that were done on the event loop.
        moved: Single reads that were too slow for that, and were done again in a thread.
        writes: Statements of ``execute()`` and ``executemany()`` that were committed.
        commits: Transactions that were committed, groups included.
        groups: Transactions of statements that were written together.
        rollbacks: Transactions that were rolled back.
        interrupted: Uses of a connection that were cancelled while they ran.
        timeouts: How many left the line because their time was over.
        opened: Connections that were opened.
        closed: Connections that were closed.
        read_seconds: Time that threads spent reading.
        write_seconds: Time that threads spent writing.
    """

    readers: int = 0
    readers_busy: int = 0
    writer_busy: int = 0
    waiting: int = 0
    pending: int = 0
    reads: int = 0
    inline: int = 0
    moved: int = 0
    writes: int = 0
    commits: int = 0
    groups: int = 0
    rollbacks: int = 0
    interrupted: int = 0
    timeouts: int = 0
    opened: int = 0
    closed: int = 0
    read_seconds: float = 0.0
    write_seconds: float = 0.0
