"""What the operations of a cache have in common: prepare, find, lock, change, unlock, report."""

import random
from collections.abc import Callable
from types import EllipsisType
from typing import Generic, TypeVar

from penstock._pure.clock import Clock
from penstock._pure.convert import Ttl, check_weight, duration_ns
from penstock._pure.entry import NEVER, UNTIMED, Cause, Entry, KeysMovedError, Victims
from penstock._pure.flight import Guard
from penstock._pure.table import Table

__all__ = ["Engine", "Place"]

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

Chain = tuple[Entry[K, V], ...]

#: How often an operation starts again because its keys were changed under its comparisons.
_ROUNDS = 1000


class Place(Generic[K, V]):
    """Where a key is, found without the lock: its entry, its flight and their candidates."""

    __slots__ = ("chain", "entry", "flight", "flights")

    def __init__(self, table: Table[K, V], guard: Guard, key: K, hashed: int) -> None:
        self.entry, self.chain = table.find(key, hashed)
        self.flight, self.flights = guard.find(key, hashed)


class Engine(Generic[K, V]):
    """Table, flights and clock of one cache, with the options that its operations need."""

    __slots__ = ("clock", "guard", "jitter", "on_evict", "table", "ttl", "weigher")

    def __init__(
        self,
        table: Table[K, V],
        ttl: int | None,
        jitter: float,
        weigher: Callable[[K, V], int] | None,
        on_evict: Callable[[K, V, Cause], object] | None,
        timer: Callable[[], float] | None,
    ) -> None:
        self.table = table
        self.ttl = ttl
        self.jitter = jitter
        self.weigher = weigher
        self.on_evict = on_evict
        self.guard = Guard()
        self.clock = Clock(timer, self.guard)

    def now(self, ttl: int | None = None) -> int:
        """Read the clock if anything can expire in here, counting an entry with this *ttl*."""
        return self.clock.now() if self.table.timed or ttl is not None else UNTIMED

    def ttl_ns(self, ttl: Ttl) -> int | None:
        """Check a ttl; an ellipsis is the cache's own."""
        if isinstance(ttl, EllipsisType):
            return self.ttl
        return None if ttl is None else duration_ns(ttl, "ttl")

    def deadline(self, ttl: int | None, now: int) -> int:
        """The deadline of an entry stored now."""
        if ttl is None:
            return NEVER
        if self.jitter:
            ttl = max(1, int(ttl * (1 - self.jitter * random.random()) + 0.5))
        return now + ttl

    def weigh(self, key: K, value: V) -> int:
        """The weight of an entry; it may run the caller's code."""
        return 1 if self.weigher is None else check_weight(self.weigher(key, value))

    def locked(self, key: K, hashed: int, act: Callable[[Place[K, V]], R]) -> R:
        """Run *act* with the lock held and the place of the key known, comparing keys without."""
        for _ in range(_ROUNDS):
            place = Place(self.table, self.guard, key, hashed)
            with self.guard.lock:
                if not self.table.is_current(place.entry, place.chain, hashed):
                    continue
                if not self.guard.is_current(place.flight, place.flights, hashed):
                    continue
                try:
                    return act(place)
                except KeysMovedError:
                    continue
        raise RuntimeError("the cache kept changing while keys were compared")

    def lookup(self, key: K, hashed: int) -> tuple[V, int | None] | None:
        """Read as ``get`` does: the value and the time left in ns, or None."""
        now = self.now()
        out: Victims[K, V] = []
        found = self.locked(key, hashed, lambda place: self.read(place.entry, now, out))
        self.report(out)
        return found

    def lookup_many(self, asked: list[tuple[K, int]]) -> dict[K, V]:
        """Read several keys by one reading of the clock."""
        now = self.now()
        out: Victims[K, V] = []
        result: dict[K, V] = {}
        try:
            for key, hashed in asked:
                found = self.locked(key, hashed, lambda place: self.read(place.entry, now, out))
                if found is not None:
                    result[key] = found[0]
        finally:
            self.report(out)
        return result

    def read(
        self, entry: Entry[K, V] | None, now: int, out: Victims[K, V]
    ) -> tuple[V, int | None] | None:
        """Read an entry with the lock held."""
        if self.table.read(entry, now, out) and entry is not None:
            return entry.value, entry.left(now)
        return None

    def peek(self, key: K, hashed: int) -> tuple[V, int | None] | None:
        """The value and the time left in ns, or None, without any effect."""
        now = self.now()

        def act(place: Place[K, V]) -> tuple[V, int | None] | None:
            entry = place.entry
            if entry is None or entry.deadline <= now:
                return None
            return entry.value, entry.left(now)

        return self.locked(key, hashed, act)

    def store(self, key: K, hashed: int, value: V, ttl: Ttl) -> None:
        """Set a key, and keep a load of it in progress from overwriting the value."""
        life = self.ttl_ns(ttl)
        weight = self.weigh(key, value)
        maxsize = self.table.maxsize
        if maxsize is not None and weight > maxsize:
            raise ValueError(f"weight {weight} exceeds maxsize {maxsize}")
        now = self.now(life)
        entry = Entry(key, hashed, value, weight)
        entry.fixed = self.deadline(life, now)
        out: Victims[K, V] = []

        def act(place: Place[K, V]) -> None:
            self.table.put(place.entry, place.chain, entry, now, out)
            self.guard.invalidate(place.flight)

        self.locked(key, hashed, act)
        self.report(out)

    def remove(self, key: K, hashed: int) -> tuple[V, int | None] | None:
        """Remove a key and invalidate its load: the value of a live entry, or None."""
        now = self.now()
        out: Victims[K, V] = []

        def act(place: Place[K, V]) -> tuple[V, int | None] | None:
            self.guard.invalidate(place.flight)
            entry = place.entry
            if entry is None:
                return None
            found = None if entry.deadline <= now else (entry.value, entry.left(now))
            self.table.take(entry, "expired" if found is None else "deleted", out)
            return found

        found = self.locked(key, hashed, act)
        self.report(out)
        return found

    def remove_oldest(self) -> tuple[K, V] | None:
        """Remove the least recently used live entry and invalidate its load."""
        now = self.now()
        out: Victims[K, V] = []
        found: tuple[K, V] | None = None

        def act(place: Place[K, V]) -> tuple[K, V] | None:
            self.table.reclaim(now, out)
            if place.entry is None or self.table.oldest() is not place.entry:
                return None
            self.guard.invalidate(place.flight)
            pair = (place.entry.key, place.entry.value)
            self.table.take(place.entry, "deleted", out)
            return pair

        while found is None and (entry := self.first()) is not None:
            found = self.locked(entry.key, entry.hashed, act)
        self.report(out)
        return found

    def first(self) -> Entry[K, V] | None:
        """The least recently used entry, due or not."""
        with self.guard.lock:
            return self.table.oldest()

    def touch(self, key: K, hashed: int, ttl: Ttl) -> bool:
        """Restart the life of a live entry."""
        life = self.ttl_ns(ttl)
        now = self.now(life)
        fixed = self.deadline(life, now)
        out: Victims[K, V] = []

        def act(place: Place[K, V]) -> bool:
            entry = place.entry
            if entry is not None:
                self.table.drop_due(entry, now, out)
            if entry is None or not entry.alive:
                return False
            self.table.touch(entry, fixed, now)
            return True

        touched = self.locked(key, hashed, act)
        self.report(out)
        return touched

    def count(self) -> int:
        """How many entries are live, without any effect."""
        now = self.now()
        with self.guard.lock:
            return sum(entry.deadline > now for entry in list(self.table.order))

    def pairs(self) -> list[tuple[K, V]]:
        """The live entries from the least to the most recently used."""
        return self.sweep(lambda out, now: [(e.key, e.value) for e in list(self.table.order)])

    def sweep(self, act: Callable[[Victims[K, V], int], R]) -> R:
        """Reclaim everything due, then run *act* under the same lock."""
        now = self.now()
        out: Victims[K, V] = []
        with self.guard.lock:
            self.table.reclaim(now, out)
            result = act(out, now)
        self.report(out)
        return result

    def report(self, victims: Victims[K, V]) -> None:
        """Tell on_evict of all victims; its first exception is raised after the last call."""
        if self.on_evict is None:
            return
        first: BaseException | None = None
        for key, value, cause in victims:
            try:
                self.on_evict(key, value, cause)
            except BaseException as error:
                if first is None:
                    first = error
                else:
                    _Ignored(error)
        try:
            if first is not None:
                raise first
        finally:
            # The traceback refers to this frame: do not refer back from it.
            first = None


class _Ignored:
    """Hands an exception to ``sys.unraisablehook``, which takes arguments only C code can make."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __del__(self) -> None:
        raise self._error
