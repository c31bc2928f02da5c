"""Loads in progress: who is loading which key, and whether the result may still be stored."""

import os
import threading
from typing import Final, final
from weakref import WeakSet

from penstock._pure.entry import check_known, find

__all__ = ["Flight", "Guard", "Load"]


class Load:
    """One run of a loader in a thread, and what came of it."""

    __slots__ = ("done", "error", "leader", "value")

    def __init__(self) -> None:
        self.leader: Final = threading.get_ident()
        self.done: Final = threading.Event()
        self.value: object = None
        self.error: BaseException | None = None

    def finish(self, value: object, error: BaseException | None = None) -> None:
        """Hand the outcome to the waiting threads."""
        self.value = value
        self.error = error
        self.done.set()


@final
class Flight:
    """
    A load in progress: one or more callers that compute the value of one key.

    Not made by callers: a cache hands it out.
    """

    __module__ = "penstock"
    __slots__ = ("__weakref__", "_valid", "hashed", "key", "load", "users")

    def __init__(self, key: object, hashed: int) -> None:
        self.key: Final = key
        self.hashed: Final = hashed
        self._valid = True
        self.users = 0
        #: The thread's load that others wait for, if a thread leads it.
        self.load: Load | None = None

    @property
    def valid(self) -> bool:
        """
        Whether what it loads may still be stored.

        Returns:
            False once the key was set, removed or superseded, or the cache cleared.
        """
        return self._valid

    def revoke(self) -> None:
        """Make it invalid for good."""
        self._valid = False


class Guard:
    """
    The lock of a cache and its registered flights: what a fork makes void.

    The lock is re-entrant because a finalizer or a signal handler may use the cache from within one
    of its operations (see Table). No caller's code is run with it held.
    """

    __slots__ = ("__weakref__", "index", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.index: dict[int, tuple[Flight, ...]] = {}
        _guards.add(self)

    def find(self, key: object, hashed: int) -> tuple[Flight | None, tuple[Flight, ...]]:
        """Find a registered flight, without the lock, and the candidates it was found among."""
        return find(self.index, key, hashed)

    def is_current(self, flight: Flight | None, chain: tuple[Flight, ...], hashed: int) -> bool:
        """Whether what was found without the lock is still so."""
        known = self.index.get(hashed, ())
        return known is chain if flight is None else flight in known

    def join(
        self, flight: Flight | None, chain: tuple[Flight, ...], key: object, hashed: int
    ) -> Flight:
        """Register interest in the flight found, or in a new one."""
        if flight is None:
            flight = Flight(key, hashed)
            self._add(flight, chain)
        flight.users += 1
        return flight

    def leave(self, flight: Flight, run: Load | None) -> None:
        """Release the flight, and stop offering the thread's load; the last user unregisters it."""
        if run is not None and flight.load is run:
            flight.load = None
        flight.users -= 1
        if flight.users <= 0:
            self._discard(flight)

    def invalidate(self, flight: Flight | None) -> None:
        """Keep the flight from storing its value, and later callers from joining it."""
        if flight is not None:
            flight.revoke()
            self._discard(flight)

    def invalidate_all(self) -> None:
        """Invalidate every registered flight."""
        while self.index:
            for chain in self.index.copy().values():
                for flight in chain:
                    self.invalidate(flight)

    def renew(self) -> None:
        """In a forked child: forget the parent's threads, which will release nothing here."""
        self.lock = threading.RLock()
        self.index = {}

    def _add(self, flight: Flight, compared: tuple[Flight, ...]) -> None:
        hashed = flight.hashed
        while True:
            chain = self.index.get(hashed, ())
            check_known(chain, compared)
            longer = (*chain, flight)
            # Commit: no call in here (see Table).
            known = self.index[hashed] if hashed in self.index else ()  # noqa: SIM401  # no call
            if known is chain:
                self.index[hashed] = longer
                return

    def _discard(self, flight: Flight) -> None:
        hashed = flight.hashed
        while flight in (chain := self.index.get(hashed, ())):
            rest = tuple([other for other in chain if other is not flight])
            # Commit: no call in here (see Table).
            if hashed in self.index and self.index[hashed] is chain:
                if rest:
                    self.index[hashed] = rest
                else:
                    del self.index[hashed]


_guards: WeakSet[Guard] = WeakSet()


def _renew_all() -> None:
    for guard in list(_guards):
        guard.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
