"""What a shared store of a cache has to do, and what goes in and out of it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Change",
    "Grant",
    "Kind",
    "Leasing",
    "Message",
    "Notifying",
    "Prompt",
    "Reading",
    "Record",
    "Store",
    "refuse_str",
]

Kind: TypeAlias = Literal["set", "delete", "tags", "patterns"]


def refuse_str(names: object, what: str = "key") -> None:
    """Accept anything but a str, which is several str as well, and never means it."""
    if isinstance(names, str):
        raise TypeError(f"{what}s must be several str, got the str {names!r}")


class Record(NamedTuple):
    """What a store keeps for a key."""

    value: object
    #: Wall clock, seconds since the epoch: when it was loaded or set.
    born: float
    #: Seconds from then on in which it is fresh; None for ever.
    ttl: float | None
    #: Seconds after these in which it may still serve as a fallback.
    stale_for: float = 0.0
    tags: tuple[str, ...] = ()
    #: Given by the store; 0 before it was in one.
    version: int = 0

    def remaining(self, now: float) -> float:
        """
        Return the seconds for which it is still fresh, negative if it is not.

        Args:
            now: Wall clock. One that was set back makes nothing live longer than its ttl.
        """
        return inf if self.ttl is None else self.ttl - max(0.0, now - self.born)

    def usable(self, now: float) -> float:
        """
        Return the seconds for which it may still be of use, be it as a fallback.

        Args:
            now: Wall clock.
        """
        return self.remaining(now) + self.stale_for


class Reading(NamedTuple):
    """What a store answers."""

    #: One for each key, None where there is none that is valid.
    records: list[Record | None]
    #: The store's clock when it was read.
    base: int


class Change(NamedTuple):
    """A write that a store has missed."""

    kind: Kind
    names: tuple[str, ...]
    record: Record | None
    #: time.monotonic() when the caller asked for it.
    at: float


class Message(NamedTuple):
    """What another process has changed in a store."""

    kind: Kind
    names: tuple[str, ...]
    version: int


class Grant(NamedTuple):
    """The answer to who asks for a lease."""

    #: A tick of the store's clock, the base of what is loaded under this lease; 0: not granted.
    token: int
    #: Seconds for which somebody else holds it.
    wait: float = 0.0


class Store(Protocol):
    """
    A store that several processes may share: every method works on many keys at once.

    A store has a clock, an int that each write ticks: see Record.version and Reading.base.
    """

    @property
    def name(self) -> str:
        """What it is called in statistics."""
        ...

    def encode(self, key: str, record: Record) -> bytes:
        """Return what would be stored; raise TypeError or ValueError if it cannot be."""
        ...

    async def get_many(self, keys: Sequence[str]) -> Reading:
        """Return the valid records of *keys*, and the clock."""
        ...

    async def set_many(
        self, items: Sequence[tuple[str, Record]], *, base: int | None = None
    ) -> list[bool]:
        """
        Store *items* and return which were stored.

        With *base*, a clock that was read before: only where nothing was written, deleted or
        invalidated since.
        """
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Remove *keys*, so that no load which began before stores them again."""
        ...

    async def invalidate(self, *, tags: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        """Make whatever has one of *tags*, or a key that matches one of *patterns*, absent."""
        ...

    async def replay(self, changes: Sequence[Change]) -> None:
        """Make up for writes that were missed, each unless something newer is there."""
        ...

    async def ping(self) -> None:
        """Raise StoreError unless the store answers."""
        ...

    async def aclose(self) -> None:
        """Close what it has open."""
        ...

    def stats(self) -> object:
        """Return its figures."""
        ...


@runtime_checkable
class Leasing(Protocol):
    """A store in which one process at a time can hold the lease of a key."""

    async def acquire(self, key: str, seconds: float) -> Grant:
        """Ask for the lease of *key* for *seconds*."""
        ...

    async def released(self, key: str, timeout: float) -> None:  # noqa: ASYNC109  # of the lease
        """Return when the lease of *key* is released, or after *timeout* seconds."""
        ...

    async def release(self, key: str, token: int) -> None:
        """Give the lease of *key* back, if *token* still holds it, and wake who waits for it."""
        ...


@runtime_checkable
class Notifying(Protocol):
    """A store that tells what other processes change in it."""

    async def listen(self, receive: Callable[[Message], None], lost: Callable[[], None]) -> None:
        """Begin to call *receive*; *lost* whenever messages may be missing."""
        ...

    async def unlisten(self) -> None:
        """Stop it."""
        ...


@runtime_checkable
class Prompt(Protocol):
    """A store that can be read without a task: what comes back calls who has asked."""

    @property
    def timeout(self) -> float:
        """Seconds that an answer may take."""
        ...

    def ask_many(
        self,
        keys: Sequence[str],
        answered: Callable[[Reading | None, BaseException | None], object],
    ) -> bool:
        """
        Ask for the valid records of *keys* if that can be done at once; False if it cannot.

        Then *answered* is called exactly once, later, in the event loop, with what `get_many` would
        have returned or raised.
        """
        ...
