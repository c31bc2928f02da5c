"""An entry of a cache, and the finding of keys by hash and equality."""

from collections.abc import Mapping
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

__all__ = [
    "NEVER",
    "UNTIMED",
    "Cause",
    "Entry",
    "Keyed",
    "KeysMovedError",
    "Victims",
    "check_known",
    "find",
]

K = TypeVar("K")
V = TypeVar("V")
N = TypeVar("N", bound="Keyed")

Cause: TypeAlias = Literal["size", "expired", "replaced", "deleted"]
Victims: TypeAlias = list[tuple[K, V, Cause]]

#: Later than every deadline.
NEVER: Final = 1 << 80
#: Earlier than every reading of a clock: the time in a cache where nothing expires.
UNTIMED: Final = -NEVER


class Keyed(Protocol):
    """What is found by a key."""

    __slots__ = ()

    @property
    def key(self) -> object:
        """The key as it was first handed in."""


class KeysMovedError(Exception):
    """The keys were changed between their comparison and its use; the operation starts again."""


class Entry(Generic[K, V]):
    """One key and its value; a dead one has left the table."""

    __slots__ = ("alive", "deadline", "fixed", "hashed", "key", "turn", "value", "weight")

    def __init__(self, key: K, hashed: int, value: V, weight: int) -> None:
        self.key = key
        self.hashed = hashed
        self.value = value
        self.weight = weight
        self.alive = False
        #: The deadline from the ttl alone; reads move only the other one.
        self.fixed = NEVER
        self.deadline = NEVER
        #: Which assignment of a deadline this one was, of all in the cache.
        self.turn = 0

    def left(self, now: int) -> int | None:
        """Nanoseconds to the deadline, None if there is none."""
        return None if self.deadline == NEVER else self.deadline - now


def find(
    index: Mapping[int, tuple[N, ...]], key: object, hashed: int
) -> tuple[N | None, tuple[N, ...]]:
    """
    Look a key up, running its ``__eq__``: never called with a lock held.

    Returns what was found and the candidates seen. A chain is replaced, never changed, so the
    caller can tell under the lock whether the answer still holds.
    """
    chain = index.get(hashed, ())
    for node in chain:
        if node.key is key or node.key == key:
            return node, chain
    return None, chain


def check_known(chain: tuple[N, ...], compared: tuple[N, ...]) -> None:
    """Raise KeysMovedError if the chain has gained a key that was not compared."""
    if chain is not compared and any(node not in compared for node in chain):
        raise KeysMovedError
