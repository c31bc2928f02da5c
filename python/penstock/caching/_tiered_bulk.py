"""Loads of many keys by one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import BatchSizeMismatch

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable

    from penstock.caching._tiered_flight import Flight, Part

__all__ = ["ABSENT", "Bulk"]

#: What there is for a key that a loader has no value for.
ABSENT: Final = object()


class Bulk:
    """
    The keys of one call of ``get_or_load_many`` that are to be loaded.

    Args:
        load_many: Called with a list of keys.
        start: Called with the bulk when it is known which of them no tier has.
    """

    __slots__ = (
        "_deserted",
        "_looking",
        "_sealed",
        "_start",
        "flights",
        "load_many",
        "task",
        "whole",
    )

    def __init__(
        self, load_many: Callable[[list[str]], Any], start: Callable[[Bulk], None]
    ) -> None:
        self.load_many = load_many
        self._start = start
        self._looking = 0
        self._sealed = False
        self._deserted = 0
        #: What is to be loaded.
        self.flights: list[Flight] = []
        #: The call that loads them; None before it begins.
        self.whole: Part | None = None
        self.task: Task[None] | None = None

    def __call__(self, key: str) -> object:
        raise AssertionError("a bulk loads many keys")

    async def one(self, key: str) -> object:
        """Load a single key, in the background of a value that is served."""
        found: Any = self.load_many([key])
        if hasattr(type(found), "__await__"):
            found = await found
        value = self.values([key], found)[0]
        if value is ABSENT:
            raise KeyError(key)
        return value

    def values(self, keys: list[str], found: object) -> list[object]:
        """
        Return what was found, in the order of *keys*.

        Raises:
            BatchSizeMismatch: There are more or fewer values than keys.
            TypeError: It is neither a mapping nor a sequence.
        """
        if isinstance(found, Mapping):
            return [found.get(key, ABSENT) for key in keys]
        if not isinstance(found, Sequence) or isinstance(found, str | bytes):
            kind = type(found).__name__
            raise TypeError(f"load_many must return a mapping or a sequence, got {kind}")
        if len(found) != len(keys):
            what = f"load_many returned {len(found)} values for {len(keys)} keys"
            raise BatchSizeMismatch(what, expected=len(keys), got=len(found))
        return list(found)

    def add(self, flight: Flight) -> None:
        """One more key is looked for in the tiers."""
        flight.bulk = self
        self._looking += 1

    def settled(self, flight: Flight, *, is_missing: bool) -> None:
        """It is known whether a tier has a key."""
        if is_missing:
            self.flights.append(flight)
        self._looking -= 1
        self._check()

    def desert(self) -> None:
        """Nobody waits for one of the keys any more: end the call with the last of them."""
        self._deserted += 1
        if self._deserted == len(self.flights) and self.task is not None:
            self.task.cancel()

    def seal(self) -> None:
        """All keys have been asked for."""
        self._sealed = True
        self._check()

    def _check(self) -> None:
        if self._sealed and not self._looking and self.flights and self.whole is None:
            self._start(self)
