"""Writing to Redis: each batch is one script, which ticks the clock and tells the others."""

from __future__ import annotations

from asyncio import gather
from collections import deque
from math import ceil
from time import time
from typing import TYPE_CHECKING, Final, TypeAlias

from penstock import json
from penstock.stores._envelope import bury
from penstock.stores._redis_scripts import INVALIDATE, WRITE
from penstock.stores._store import refuse_str

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from penstock.stores._redis_session import Running, Session
    from penstock.stores._store import Change, Record

__all__ = ["MAX_RULES", "MAX_TAGS", "Writes"]

#: What is written under a key, and for how many milliseconds; 0: for ever.
_Item: TypeAlias = tuple[str, bytes, int]

#: Entries and bytes that one script gets: while it runs, nobody else is served.
_CHUNK: Final = 200
_CHUNK_BYTES: Final = 1_000_000
#: Patterns that are kept apart; of more, the older half becomes one for all keys.
MAX_RULES: Final = 1000
#: Tags of which it is known when they were invalidated, beside as many that were before them.
MAX_TAGS: Final = 100_000
#: Scripts that are on their way at once; changes that are made up for.
_AHEAD: Final = 4
_AT_ONCE: Final = 50
_DONE: Final = ord("1")
_GRAVE: Final = bury(0)
_DAY_MS: Final = 86_400_000
#: Entries with tags live no longer than this: the tags that were invalidated are not kept for ever.
_TAGGED_MS: Final = 30 * _DAY_MS
#: Milliseconds that Redis takes; an entry that is to live longer lives for ever.
_ENDLESS_MS: Final = 100 * 365 * _DAY_MS


def _life_of(record: Record, now: float, least: int) -> int:
    """
    Return the milliseconds for which a record is kept; 0 for ever, -1 if it is of no use.

    That is *least* at any rate: what was loaded before it was written is not to take its place.
    """
    ttl = record.ttl
    if ttl is None:
        return _TAGGED_MS if record.tags else 0
    age = now - record.born
    usable = (ttl + record.stale_for - (age if age > 0.0 else 0.0)) * 1000  # noqa: FURB136  # hot
    if usable <= 0.0:
        return -1
    if record.tags and usable > _TAGGED_MS:
        return _TAGGED_MS
    if usable <= least:
        return least
    return ceil(usable) if usable < _ENDLESS_MS else 0


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Divide *items* into what scripts get."""
    for at in range(0, len(items), _CHUNK):
        chunk = items[at : at + _CHUNK]
        while chunk:
            fits, size = 1, len(chunk[0][1])
            for _, value, _ in chunk[1:]:
                size += len(value)
                if size > _CHUNK_BYTES:
                    break
                fits += 1
            yield chunk[:fits]
            chunk = chunk[fits:]


class Writes:
    """
    How a store writes.

    Args:
        session: On whose connection.
        sender: Whom the messages are from, so that one does not get one's own.
        encode: Makes bytes of a record.
    """

    __slots__ = ("_encode", "_grave_life", "_names", "_sender", "_session", "_tells", "on_written")

    def __init__(
        self, session: Session, sender: str, encode: Callable[[str, Record], bytes]
    ) -> None:
        options = session.options
        self._session = session
        self._sender = sender
        self._encode = encode
        self._names = options.names
        self._tells = options.backplane == "pubsub"
        #: Is called with the keys that were written, and their version.
        self.on_written: Callable[[Sequence[str], int], object] | None = None
        self._grave_life = ceil(options.tombstone_ttl * 1000)

    # --- what callers ask for ---------------------------------------------------------------------

    async def set_many(self, items: Sequence[tuple[str, Record, bytes]]) -> list[bool]:
        """Store what callers have set; whether each was stored."""
        now, least = time(), self._grave_life
        _check_texts([key for key, _, _ in items])
        ready = [
            # What was there is gone, even if what takes its place is of no use.
            (key, value, life) if (life := _life_of(record, now, least)) >= 0 else self._grave(key)
            for key, record, value in items
        ]
        done = await self._write("set", 0, ready, "set")
        self._session.counts.sets += len(items)
        return done

    async def fill_many(self, items: Sequence[tuple[str, Record, bytes]], base: int) -> list[bool]:
        """Store what was loaded since the clock was *base*; whether each was stored."""
        now = time()
        lives = [_life_of(record, now, self._grave_life) for _, record, _ in items]
        ready = [
            (key, value, life)
            for (key, _, value), life in zip(items, lives, strict=True)
            if life >= 0
        ]
        done = iter(await self._write("fill", base, ready, None, limit=self._grave_life * 1000))
        stored = [life >= 0 and next(done) for life in lives]
        kept = sum(stored)
        self._session.counts.fills += kept
        self._session.counts.refused += len(items) - kept
        return stored

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Leave tombstones under *keys*."""
        refuse_str(keys)
        _check_texts(keys)
        await self._write("delete", 0, self._graves(keys), "delete")
        self._session.counts.deletes += len(keys)

    async def invalidate(
        self, tags: Sequence[str], patterns: Sequence[str], version: int = -1
    ) -> None:
        """Make whatever has one of *tags* or matches one of *patterns* invalid."""
        refuse_str(tags, "tag")
        refuse_str(patterns, "pattern")
        _check_texts(tags)
        _check_texts(patterns)
        tags, patterns = list(dict.fromkeys(tags)), list(dict.fromkeys(patterns))
        for at in range(0, max(len(tags), len(patterns)), _CHUNK):
            await self._invalidate(tags[at : at + _CHUNK], patterns[at : at + _CHUNK], version)
        self._session.counts.invalidations += len(tags) + len(patterns)

    async def _invalidate(self, tags: list[str], patterns: list[str], version: int) -> None:
        names, tells = self._names, self._tells
        touched: list[str] = []
        if self._session.options.backplane == "tracking":
            touched += (names.tag + tag for tag in tags)
            touched += (names.pattern + pattern for pattern in patterns)
        args: list[str | bytes | int] = [version, MAX_RULES, MAX_TAGS, names.bus]
        args += self._head("tags"), json.dumps(tags) if tags and tells else ""
        args += self._head("patterns"), json.dumps(patterns) if patterns and tells else ""
        await self._session.run(
            INVALIDATE, (*names.own, *touched), (*args, len(tags), *tags, *patterns), int
        )
        self._session.counts.messages_out += tells * (bool(tags) + bool(patterns))

    async def replay(self, changes: Sequence[Change]) -> None:
        """Make up for *changes*: each unless something newer is there."""
        if not changes:
            return
        for change in changes:
            _check_texts(change.names)
        # Asked now: the clocks of two machines run apart.
        await self._session.tell_time_well()
        for at in range(0, len(changes), _AT_ONCE):
            some = changes[at : at + _AT_ONCE]
            done = await gather(*map(self._replay, some), return_exceptions=True)
            errors = [error for error in done if error is not None]
            self._session.counts.replayed += len(some) - len(errors)
            if errors:
                raise errors[0]

    async def _replay(self, change: Change) -> None:
        # When that was on the server can be told to the length of a question. A set counts as the
        # earliest, what makes others forget as the latest.
        earliest, latest = self._session.moments(change.at)
        if change.kind == "tags":
            await self.invalidate(change.names, (), latest)
        elif change.kind == "patterns":
            await self.invalidate((), change.names, latest)
        else:
            await self._replay_keys(change, earliest, latest)

    async def _replay_keys(self, change: Change, earliest: int, latest: int) -> None:
        record = change.record
        life = -1
        if record is not None and change.kind == "set":
            life = _life_of(record, time(), self._grave_life)
        if record is None or life < 0:
            graves = self._graves(change.names)
            await self._write("replay", latest, graves, "delete", limit=latest)
            return
        items = [(key, self._encode(key, record), life) for key in change.names]
        await self._write("replay", earliest, items, "set", limit=latest)

    # --- how it is done ---------------------------------------------------------------------------

    def _grave(self, key: str) -> _Item:
        return key, _GRAVE, self._grave_life

    def _graves(self, keys: Sequence[str]) -> list[_Item]:
        return [self._grave(key) for key in dict.fromkeys(keys)]

    def _head(self, kind: str) -> str:
        return f"{self._sender} {kind} "

    async def _write(
        self, how: str, number: int, items: Sequence[_Item], kind: str | None, *, limit: int = 0
    ) -> list[bool]:
        """Write all of *items*, and tell others that it was *kind*; whether each was written."""
        names, session = self._names, self._session
        entry = names.entry
        tells = kind is not None and self._tells
        running: deque[tuple[Sequence[_Item], Running]] = deque()
        # Who waits for it gives up then, or did: what is done later was told to have failed.
        patience = session.options.timeout if how == "set" else None
        done: list[bool] = []
        try:
            for chunk in _chunks(items):
                tail = json.dumps([key for key, _, _ in chunk]) if tells else b""
                keys = [*names.own, *[entry + key for key, _, _ in chunk]]
                args: list[str | bytes | int] = [how, number, limit]
                args += names.bus, self._head(kind or ""), tail, _GRAVE, self._grave_life
                args += [part for _, value, life in chunk for part in (value, life)]
                if len(running) == _AHEAD:
                    done += await self._written(*running.popleft())
                started = await session.start(WRITE, keys, args, patience)
                running.append((chunk, started))
                session.counts.messages_out += tells
            while running:
                done += await self._written(*running.popleft())
        finally:
            for _, each in running:
                each.leave()
        return done

    async def _written(self, items: Sequence[_Item], running: Running) -> list[bool]:
        """Return which of *items* were written; b"" is all of them, None is none."""
        version, flags = await running.reply(list, int, bytes | None)
        if self.on_written is not None:
            self.on_written([key for key, _, _ in items], version)
        if flags:
            if len(flags) != len(items):
                raise running.surprised()
            return [flag == _DONE for flag in flags]
        return [flags is not None] * len(items)


def _check_texts(names: Sequence[str]) -> None:
    """Refuse what cannot be sent, before anything is: lone surrogates."""
    "\n".join(names).encode()
