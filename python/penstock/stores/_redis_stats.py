"""What a Redis store counts, and what it tells of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["REDIS_STORE_FIELDS", "Counts", "RedisStoreStats"]


class Counts:
    """The counters of a store; its event loop alone changes them."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "calls",
        "connects",
        "deletes",
        "disconnects",
        "failed_connects",
        "fills",
        "hits",
        "invalidations",
        "keys",
        "leases",
        "leases_refused",
        "messages_in",
        "messages_out",
        "misses",
        "pings",
        "refused",
        "replayed",
        "resyncs",
        "script_loads",
        "sets",
        "timeouts",
        "undecodable",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    bytes_in: int
    bytes_out: int
    calls: int
    connects: int
    deletes: int
    disconnects: int
    failed_connects: int
    fills: int
    hits: int
    invalidations: int
    keys: int
    leases: int
    leases_refused: int
    messages_in: int
    messages_out: int
    misses: int
    pings: int
    refused: int
    replayed: int
    resyncs: int
    script_loads: int
    sets: int
    timeouts: int
    undecodable: int


REDIS_STORE_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("connected", "gauge", "1 while the connection for data is open."),
    ("listening", "gauge", "1 while the connection for messages is open."),
    ("waiting", "gauge", "Replies that are still to come."),
    ("calls", "counter", "Commands that were sent."),
    ("keys", "counter", "Keys that were asked for."),
    ("hits", "counter", "Keys that had a valid record."),
    ("misses", "counter", "Keys that had none."),
    ("sets", "counter", "Records that callers have set."),
    ("fills", "counter", "Records that loads have stored."),
    (
        "refused",
        "counter",
        "Fills that something newer was there for.",
    ),
    ("deletes", "counter", "Keys that were deleted."),
    ("invalidations", "counter", "Tags and patterns that were invalidated."),
    ("replayed", "counter", "Writes that were made up for after an outage."),
    ("leases", "counter", "Leases that were granted."),
    ("leases_refused", "counter", "Leases that somebody else held."),
    ("undecodable", "counter", "Values that were found and could not be decoded."),
    ("timeouts", "counter", "Commands that were not answered in time."),
    ("connects", "counter", "Connections that were made."),
    ("failed_connects", "counter", "Connections that could not be made."),
    ("disconnects", "counter", "Connections that were lost."),
    ("pings", "counter", "How often an idle connection was asked whether it lives."),
    ("script_loads", "counter", "Scripts that the server had forgotten."),
    ("messages_in", "counter", "Messages of other processes."),
    ("messages_out", "counter", "Messages for other processes."),
    ("resyncs", "counter", "How often messages may have been missed."),
    ("bytes_in", "counter", "Bytes that were read."),
    ("bytes_out", "counter", "Bytes that were written."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStoreStats:
    """
    What a `RedisStore` has done so far.

    Args:
        connected: Whether the connection for data is open.
        listening: Whether the connection for messages is open.
        waiting: Replies that are still to come.
        calls: Commands that were sent.
        keys: Keys that were asked for.
        hits: Keys that had a valid record.
        misses: Keys that had none.
        sets: Records that callers have set.
        fills: Records that loads have stored.
        refused: Records of loads that were not stored: something newer was there, or they were too
            old.
        deletes: Keys that were deleted.
        invalidations: Tags and patterns that were invalidated.
        replayed: Writes that were made up for after an outage.
        leases: Leases that were granted.
        leases_refused: Leases that somebody else held.
        undecodable: Values that were found and could not be decoded.
        timeouts: Commands that were not answered in time.
        connects: Connections that were made.
        failed_connects: Connections that could not be made.
        disconnects: Connections that were lost.
        pings: How often an idle connection was asked whether it lives.
        script_loads: Scripts that the server had forgotten.
        messages_in: Messages of other processes.
        messages_out: Messages for other processes.
        resyncs: How often messages may have been missed.
        bytes_in: Bytes that were read.
        bytes_out: Bytes that were written.
    """

    connected: bool = False
    listening: bool = False
    waiting: int = 0
    calls: int = 0
    keys: int = 0
    hits: int = 0
    misses: int = 0
    sets: int = 0
    fills: int = 0
    refused: int = 0
    deletes: int = 0
    invalidations: int = 0
    replayed: int = 0
    leases: int = 0
    leases_refused: int = 0
    undecodable: int = 0
    timeouts: int = 0
    connects: int = 0
    failed_connects: int = 0
    disconnects: int = 0
    pings: int = 0
    script_loads: int = 0
    messages_in: int = 0
    messages_out: int = 0
    resyncs: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
