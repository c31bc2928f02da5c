"""The state of a cache: entries by key, by recency and by deadline."""

from collections import OrderedDict
from typing import Generic, TypeVar

from penstock._pure.entry import NEVER, Cause, Entry, Victims, check_known
from penstock._pure.entry import find as find_key
from penstock._pure.expiry import Deadlines
from penstock._pure.stats import Counters

__all__ = ["Table"]

K = TypeVar("K")
V = TypeVar("V")

#: Due entries that one write takes out beside its own work: enough to keep ahead of new ones.
_RECLAIM = 8


class Table(Generic[K, V]):
    """
    Entries and their bookkeeping; everything but ``find`` runs under the lock of the cache.

    No key is compared and no value dies in here: what leaves goes to the caller's list. But an
    allocation may start the garbage collector, and with it a finalizer (or a signal handler) that
    uses this very cache. So every change is prepared first, then checked and made in a stretch of
    code without a call and without an allocation, in which neither can start: a "commit".
    """

    __slots__ = ("counters", "deadlines", "index", "maxsize", "order", "timed", "tti", "weight")

    def __init__(self, maxsize: int | None, tti: int | None, *, timed: bool) -> None:
        self.maxsize = maxsize
        self.tti = tti
        #: Whether any entry has, or ever had, a deadline.
        self.timed = timed
        self.weight = 0
        self.counters = Counters()
        self.index: dict[int, tuple[Entry[K, V], ...]] = {}
        #: From the least to the most recently used.
        self.order: OrderedDict[Entry[K, V], None] = OrderedDict()
        self.deadlines: Deadlines[K, V] = Deadlines()

    def find(self, key: K, hashed: int) -> tuple[Entry[K, V] | None, tuple[Entry[K, V], ...]]:
        """Find an entry, without the lock, and the candidates it was found among."""
        return find_key(self.index, key, hashed)

    def is_current(
        self, entry: Entry[K, V] | None, chain: tuple[Entry[K, V], ...], hashed: int
    ) -> bool:
        """Whether what was found without the lock is still so."""
        return self.index.get(hashed, ()) is chain if entry is None else entry.alive

    def read(self, entry: Entry[K, V] | None, now: int, out: Victims[K, V]) -> bool:
        """Count a read and use the entry; False if it is absent or was due and is now gone."""
        if entry is not None:
            self.drop_due(entry, now, out)
        if entry is None or not entry.alive:
            self.counters.misses += 1
            return False
        self.counters.hits += 1
        self.use(entry, now)
        return True

    def drop_due(self, entry: Entry[K, V], now: int, out: Victims[K, V]) -> None:
        """Take the entry out if it is due."""
        if entry.deadline <= now:
            self.take(entry, "expired", out)

    def use(self, entry: Entry[K, V], now: int) -> None:
        """Make the entry the most recently used and restart its idle time."""
        if entry.alive:
            self.order.move_to_end(entry)
        if self.tti is not None:
            self.assign(entry, entry.fixed, now)

    def touch(self, entry: Entry[K, V], fixed: int, now: int) -> None:
        """Make the entry the most recently used and restart its life."""
        if entry.alive:
            self.order.move_to_end(entry)
        self.assign(entry, fixed, now)

    def assign(self, entry: Entry[K, V], fixed: int, now: int) -> None:
        """Give the entry the nearer of its deadlines."""
        entry.fixed = fixed
        deadline = fixed if self.tti is None else min(fixed, now + self.tti)
        if deadline != NEVER:
            self.timed = True
        self.deadlines.assign(entry, deadline)

    def put(
        self,
        entry: Entry[K, V] | None,
        chain: tuple[Entry[K, V], ...],
        new: Entry[K, V],
        now: int,
        out: Victims[K, V],
    ) -> None:
        """Store *new* in place of the entry found, or beside the candidates it is not equal to."""
        self.reclaim(now, out, _RECLAIM)
        if entry is not None:
            self.drop_due(entry, now, out)
        if entry is not None and entry.alive:
            # Commit.
            old, entry.value = entry.value, new.value
            self.weight += new.weight - entry.weight
            entry.weight = new.weight
            self.order.move_to_end(entry)
            out.append((new.key, old, "replaced"))
        else:
            entry = new
            self.make_room(new.weight, now, out)
            self._add(new, chain)
        self.assign(entry, new.fixed, now)
        self.make_room(0, now, out)

    def take(self, entry: Entry[K, V], cause: Cause, out: Victims[K, V]) -> None:
        """Take an entry out; one that is out already stays so."""
        while entry.alive:
            chain = self.index[entry.hashed]
            rest = tuple([other for other in chain if other is not entry])
            victim = (entry.key, entry.value, cause)
            if not entry.alive:
                return
            if self.index[entry.hashed] is not chain or entry.value is not victim[1]:
                continue
            # Commit.
            entry.alive = False
            if rest:
                self.index[entry.hashed] = rest
            else:
                del self.index[entry.hashed]
            del self.order[entry]
            if entry.turn in self.deadlines.pending:
                del self.deadlines.pending[entry.turn]
            self.weight -= entry.weight
            if cause == "size":
                self.counters.evictions += 1
            elif cause == "expired":
                self.counters.expirations += 1
            out.append(victim)

    def reclaim(self, now: int, out: Victims[K, V], limit: int | None = None) -> int:
        """Take out what is due, in the order of the deadlines."""
        before = len(out)
        while limit is None or len(out) - before < limit:
            entry = self.deadlines.due(now)
            if entry is None:
                break
            self.take(entry, "expired", out)
        return len(out) - before

    def make_room(self, weight: int, now: int, out: Victims[K, V]) -> None:
        """Take out entries until *weight* more fits: due ones, then the least recently used."""
        while self.maxsize is not None and self.weight + weight > self.maxsize:
            entry = self.deadlines.due(now)
            if entry is not None:
                self.take(entry, "expired", out)
                continue
            entry = self.oldest()
            if entry is None:
                break
            self.take(entry, "size", out)

    def oldest(self) -> Entry[K, V] | None:
        """The least recently used entry."""
        for entry in self.order:
            return entry
        return None

    def clear(self, out: Victims[K, V]) -> None:
        """Take out everything, the least recently used entry first."""
        while (entry := self.oldest()) is not None:
            self.take(entry, "deleted", out)

    def _add(self, entry: Entry[K, V], compared: tuple[Entry[K, V], ...]) -> None:
        hashed = entry.hashed
        while True:
            chain = self.index.get(hashed, ())
            check_known(chain, compared)
            longer = (*chain, entry)
            # Commit.
            known = self.index[hashed] if hashed in self.index else ()  # noqa: SIM401  # no call
            if known is chain:
                self.index[hashed] = longer
                self.order[entry] = None
                self.weight += entry.weight
                entry.alive = True
                return
