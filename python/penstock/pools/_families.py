"""What metrics show of pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["SQLITE_POOL_FIELDS"]

Fields = tuple[tuple[str, "FieldType", str], ...]

SQLITE_POOL_FIELDS: Final[Fields] = (
    ("readers", "gauge", "Connections that are open for reading."),
    ("readers_busy", "gauge", "Readers that are in use."),
    ("writer_busy", "gauge", "1 while the writer is in use."),
    ("waiting", "gauge", "How many wait in line for a reader or for the writer."),
    ("pending", "gauge", "Statements that wait for a group to be written in."),
    ("reads", "counter", "Single reads, blocks of read() and calls of run()."),
    ("inline", "counter", "Single reads that were done on the event loop."),
    ("moved", "counter", "Single reads that were too slow for that, and done again in a thread."),
    ("writes", "counter", "Statements of execute() and executemany() that were written."),
    ("commits", "counter", "Transactions that were committed."),
    ("groups", "counter", "Transactions of statements that were written together."),
    ("rollbacks", "counter", "Transactions that were rolled back."),
    ("interrupted", "counter", "Uses of a connection that were cancelled while they ran."),
    ("timeouts", "counter", "How many left the line because their time was over."),
    ("opened", "counter", "Connections that were opened."),
    ("closed", "counter", "Connections that were closed."),
    ("read_seconds", "counter", "Time that threads spent reading."),
    ("write_seconds", "counter", "Time that threads spent writing."),
)
