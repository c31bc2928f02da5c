"""A connection of a pool, and in which state it is."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from traceback import StackSummary

    from penstock.pools._pool_stock import Stock

__all__ = ["Link", "State"]

C = TypeVar("C")


class State(Enum):
    IDLE = auto()
    LEASED = auto()
    #: The pool checks it, or resets it.
    BUSY = auto()
    GONE = auto()


# Looked up for each lease.
IDLE, LEASED, BUSY, GONE = State.IDLE, State.LEASED, State.BUSY, State.GONE


class Link(Generic[C]):
    """
    A connection of a pool.

    Args:
        stock: Whose it is.
        raw: What the factory returned.
        ends: When it is too old.
        now: When it was made.
    """

    __slots__ = (
        "ends", "is_new", "is_told", "lease", "raw", "seen", "since", "stack", "state", "stock",
        "used",
    )  # fmt: skip

    def __init__(self, stock: Stock[Any], raw: C, ends: float, now: float) -> None:
        self.stock = stock
        self.raw = raw
        self.ends = ends
        self.state = IDLE
        #: When it was given back last, and when it was known to be alive.
        self.used = self.seen = now
        #: Since when it is leased, by whom, and whether that has been complained about.
        self.since = now
        #: Which lease that is: a block that is left ends its own.
        self.lease = 0
        self.stack: StackSummary | None = None
        self.is_told = False
        #: Whether nobody has had it yet: if it is no good, the attempt to connect has failed.
        self.is_new = True
