"""What a record, or a change that was missed, is in the file."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from penstock.flow._checks import check_timer
from penstock.stores._codecs import key_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.stores._store import Change, Record

__all__ = ["Missed", "Row", "check_clocks", "missed_of", "row_of"]


class Row(NamedTuple):
    """A record as it is stored; without data it is the mark of a delete."""

    key: bytes
    data: bytes | None
    #: When it is of no use any more.
    ends: float


class Missed(NamedTuple):
    """A change to be made up for."""

    #: When it was asked for, as `Change.at`.
    at: float
    rows: Sequence[Row] = ()
    tags: Sequence[bytes] = ()
    patterns: Sequence[str] = ()


def check_clocks(clock: object, timer: object) -> None:
    """Accept what can be called, for *timer* None as well."""
    if not callable(clock):
        raise TypeError(f"clock must be callable, got {type(clock).__name__}")
    check_timer(timer)


def row_of(key: str, record: Record, data: bytes) -> Row:
    """Return a record as it is stored; *data* is what it is encoded to."""
    ends = inf if record.ttl is None else record.born + record.ttl + record.stale_for
    return Row(key.encode(), data, ends)


def missed_of(change: Change, encode: Callable[[str, Record], bytes]) -> Missed:
    """
    Return a change as it is made up for.

    Args:
        change: What was missed.
        encode: Raises what it likes.
    """
    at, names, record = change.at, change.names, change.record
    if change.kind == "tags":
        return Missed(at, tags=[key_bytes(name) for name in names])
    if change.kind == "patterns":
        for name in names:
            key_bytes(name)
        return Missed(at, patterns=names)
    if change.kind == "set" and record is not None:
        return Missed(at, [row_of(name, record, encode(name, record)) for name in names])
    return Missed(at, [Row(key_bytes(name), None, 0.0) for name in names])
