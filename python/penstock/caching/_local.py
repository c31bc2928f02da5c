"""What the first of several tiers holds, until when it is fresh, and what made it invalid."""

from __future__ import annotations

import logging
import random
import time
from math import inf, log
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from penstock._backend import Entry
from penstock.caching._local_rules import Marks
from penstock.stores._rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from penstock._backend import Cache, Front
    from penstock.stores import Record

__all__ = ["Local", "Note", "State"]

logger = logging.getLogger("penstock.caching")

State: TypeAlias = Literal["fresh", "refresh", "stale", "invalid"]

#: Seconds that an entry lives which never gets stale, but is to be refreshed at some time.
_AGES: Final = 1e9
#: What a cache takes for a ttl; what lives longer is looked for in the stores after that.
_LONGEST: Final = 4e9

# Their constructors would cost more than all else.
_new = tuple.__new__


class Note(NamedTuple):
    """What is known of an entry in the first tier."""

    record: Record
    #: `Local.seq` before it was read or loaded.
    token: int
    #: When to load it anew, on the timer of the first tier; inf for never.
    refresh_at: float
    #: Until when it is fresh, on the same timer; inf for ever.
    fresh_until: float
    key: str


class Local:
    """
    The contents of the first tier, and its memory of what was invalidated.

    Every invalidation raises `seq`. Whoever reads or loads something takes a token before, which is
    the `seq` of that moment: what was invalidated since then is not stored under it.

    Args:
        cache: Where the entries are.
        front: Whose epoch is changed, so that entries are looked at again before they are served.
        timer: The clock of *cache*.
        clock: Wall clock, for the age of records.
        max_keys: How many dropped keys are remembered.
        max_tags: How many invalidated tags are remembered.

    Cost: nothing here is O(entries) but `clear`. One event loop, but `state` in any thread.
    """

    __slots__ = (
        "__weakref__",
        "_drops",
        "_epoch",
        "_floor",
        "_flushed",
        "_front",
        "_marked",
        "_ruled",
        "_rules",
        "_tags",
        "cache",
        "clock",
        "opened",
        "seq",
        "timer",
    )

    def __init__(
        self,
        cache: Cache[str, Entry],
        front: Front,
        *,
        timer: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        max_keys: int = 10_000,
        max_tags: int = 100_000,
    ) -> None:
        self.cache: Final = cache
        self.timer: Final = timer
        self.clock: Final = clock
        #: How many invalidations there were.
        self.seq = 0
        self._front = front
        self._epoch = front._epoch
        #: Each returns the oldest token of what is under way, or None: so long marks must last.
        self.opened: list[Callable[[], int | None]] = []
        self._drops = Marks(max_keys, self._oldest)
        self._tags = Marks(max_tags, self._oldest)
        self._rules = Rules()
        # The newest of tags and of patterns: what is younger needs no look at them.
        self._marked = self._ruled = 0
        # What has an older token is not even a fallback; and is nothing but one.
        self._floor = self._flushed = 0
        for key, _ in self.entries():  # of another one, whose tokens mean nothing here
            self._pop(key)

    def token(self) -> int:
        """Return what to take before something is read or loaded, and to give to `fill`."""
        return self.seq

    def fill(
        self,
        key: str,
        record: Record,
        token: int,
        *,
        l1_ttl: float | None = None,
        jitter: float = 0.0,
        refresh_after: float | None = None,
        early: float = 0.0,
        revoked: bool = False,
        throttle: float = 0.0,
    ) -> Entry | None:
        """
        Store *record* under *key*, unless it is invalid or of no use any more.

        Args:
            key: Its key.
            record: What was read, loaded or set.
            token: What `token` returned before that.
            l1_ttl: Seconds after which the next tier is asked again, or None.
            jitter: Share by which these are shortened at random at most.
            refresh_after: Seconds from its birth after which it is loaded anew, or None.
            early: Mean of the seconds by which it is loaded before its time is up, drawn at random.
            revoked: Whether somebody else knows that it must not be stored.
            throttle: Seconds for which a record that is stale is served as if it were fresh.

        Returns:
            The entry, or None if nothing was stored.

        Source: the early refresh is XFetch (Vattani, Chierichetti, Lowenstein, 2015).
        """
        if revoked or (token != self.seq and not self._storable(key, record.tags, token)):
            return None
        wall, now = self.clock(), self.timer()
        fresh = left = record.remaining(wall)
        usable = left + record.stale_for
        if usable <= 0.0:
            return None
        if l1_ttl is not None:
            if jitter:
                l1_ttl *= 1.0 - jitter * random.random()
            fresh = min(l1_ttl, left)
        if throttle > 0.0 and fresh < throttle:
            fresh = soft = min(throttle, usable)
        else:
            soft = fresh
            if refresh_after is not None:
                soft = min(soft, refresh_after - max(0.0, wall - record.born))
            if early > 0.0 and left != inf:
                soft = min(soft, left + early * log(1.0 - random.random()))
        note = _new(Note, (record, token, now + soft, now + fresh, key))
        life = min(fresh + record.stale_for, usable)
        epoch = self._epoch
        if token < self._flushed:
            if record.stale_for <= 0.0 or self._has_newer(key, token):
                return None
            epoch = -1
        return self._put(key, record.value, note, life, soft, epoch)

    def state(self, entry: Entry, now: float) -> State:
        """
        Return what an entry is good for.

        Args:
            entry: One of `cache`.
            now: What *timer* says.

        Returns:
            "fresh"; "refresh": it may be served, and be loaded anew; "stale": it may be served if
            it cannot be loaded; "invalid": it must not be served.
        """
        # Read first: an invalidation that comes in between has it looked at again.
        epoch = self._epoch
        note: Note = entry.note
        record, token, refresh_at, fresh_until, key = note
        if entry.epoch != epoch and token != self.seq and not self._valid(key, record.tags, token):
            return "invalid"
        if token < self._flushed:
            return "stale" if record.stale_for > 0.0 else "invalid"
        if now < fresh_until:
            entry.epoch = epoch
            return "fresh" if now < refresh_at else "refresh"
        return "stale" if now < fresh_until + record.stale_for else "invalid"

    def valid(self, key: str, tags: Sequence[str], token: int) -> bool:
        """
        Whether nothing has made invalid since *token* what was read of *key*.

        Args:
            key: Its key.
            tags: The tags of what was read.
            token: What `token` returned before.
        """
        return token == self.seq or (token >= self._flushed and self._storable(key, tags, token))

    def entries(self) -> list[tuple[str, Entry]]:
        """
        Return what is there, the least recently used first.
        """
        items: list[tuple[str, Any]] = list(self.cache.items())
        return [(key, entry) for key, entry in items if type(entry) is Entry]

    def peek(self, key: str) -> Entry | None:
        """
        Return what is there of *key*, as if nobody had asked for it.

        Args:
            key: Its key.
        """
        entry: Any
        try:
            entry = self.cache.peek(key)
        except Exception:
            logger.exception("looking for %r in the first tier failed", key)
            return None
        # It may be a cache of the caller's, with whatever he has put there.
        return entry if type(entry) is Entry else None

    def permits(self, key: str, tags: Sequence[str], token: int) -> bool:
        """
        Whether what was read of *key* may still be a fallback; as `valid`, whatever was flushed.

        Args:
            key: Its key.
            tags: The tags of what was read.
            token: What `token` returned before.
        """
        return token == self.seq or self._storable(key, tags, token)

    def drop(self, keys: Iterable[str]) -> None:
        """
        Forget *keys*, and keep what is being loaded of them from being stored.

        Args:
            keys: Any number of them.

        Cost: O(keys). All other entries are served as before: the epoch stays.
        """
        keys = list(keys)
        self.revoke(keys)
        for key in keys:
            self._pop(key)

    def revoke(self, keys: Iterable[str]) -> None:
        """
        Keep what was read or is being loaded of *keys* from being stored; what is there stays.

        Args:
            keys: Any number of them.

        Cost: O(keys).
        """
        seq = self.seq + 1
        for key in keys:
            self._drops.mark(key, seq)
        self.seq = seq

    def invalidate_tags(self, tags: Iterable[str]) -> None:
        """
        Make everything invalid that has one of *tags*.

        Args:
            tags: Any number of them.

        Cost: O(tags). Every entry is looked at again when it is asked for next.
        """
        seq = self.seq + 1
        for tag in tags:
            self._tags.mark(tag, seq)
        self._marked = seq
        self._advance(seq)

    def invalidate_patterns(self, patterns: Iterable[str]) -> None:
        """
        Make everything invalid whose key matches one of *patterns*.

        Args:
            patterns: As fnmatch.fnmatchcase takes them.

        Cost: O(patterns). Every entry is looked at again when it is asked for next.
        """
        seq = self.seq + 1
        for pattern in patterns:
            self._rules.add(pattern, seq)
        self._ruled = seq
        self._advance(seq)

    def flush(self) -> None:
        """
        Serve nothing any more of what is there, but as a fallback.

        Cost: O(1).
        """
        seq = self.seq + 1
        self._flushed = seq
        self._advance(seq)

    def clear(self) -> None:
        """
        Forget everything.

        Cost: O(entries).
        """
        seq = self.seq + 1
        self._floor = seq
        self._drops.clear()
        self._tags.clear()
        self._rules = Rules()
        self._advance(seq)
        try:
            self.cache.clear()
        except Exception:  # what may be left is invalid
            logger.exception("clearing the first tier failed")

    def _advance(self, seq: int) -> None:
        """Let every entry be looked at again."""
        self.seq = self._epoch = seq
        self._front._epoch = seq

    def _valid(self, key: str, tags: Sequence[str], token: int) -> bool:
        """Whether no tag and no pattern has made an entry invalid."""
        if token < self._floor:
            return False
        if tags and token < self._marked and self._tags.newest(tags) > token:
            return False
        return token >= self._ruled or self._rules.newest(key) <= token

    def _storable(self, key: str, tags: Sequence[str], token: int) -> bool:
        """Whether the key was not dropped either."""
        return self._drops.newest((key,)) <= token and self._valid(key, tags, token)

    def _has_newer(self, key: str, token: int) -> bool:
        """Whether there is an entry that knows more than one with *token* does."""
        entry = self.peek(key)
        return entry is not None and entry.note.token > token

    def _oldest(self) -> int:
        """Return the oldest token of what is under way."""
        tokens = [token for opened in self.opened if (token := opened()) is not None]
        return min(tokens, default=self.seq)

    def _pop(self, key: str) -> None:
        try:
            self.cache.pop(key, None)
        except Exception:  # of a listener of the caller's, which is told when the entry is gone
            logger.exception("removing %r from the first tier failed", key)

    def _put(
        self, key: str, value: object, note: Note, life: float, soft: float, epoch: int
    ) -> Entry | None:
        """Store an entry that lives for *life* seconds, and is looked at after *soft*."""
        ttl: float | None = life
        if life != inf:
            if life > _LONGEST:
                ttl = life = _LONGEST
                soft = min(soft, life)
            entry = Entry(value, note, life - max(soft, 0.0))
        elif soft == inf:
            entry, ttl = Entry(value, note), None
        else:
            # What has no deadline would never be looked at.
            ttl = max(soft, 0.0) + _AGES
            entry = Entry(value, note, _AGES)
        entry.epoch = epoch
        try:
            self.cache.set(key, entry, ttl=ttl)
        except Exception:
            # A weigher or a listener of the caller's; what was there is older than this.
            logger.exception("%r was not stored in the first tier", key)
            self._pop(key)
            return None
        return entry
