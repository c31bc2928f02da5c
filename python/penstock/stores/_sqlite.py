"""`SqliteStore`: a cache in a SQLite file, which survives restarts and which processes share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from penstock import _backend, _components
from penstock.errors import ClosedError
from penstock.flow._checks import check_int
from penstock.stores import _sqlite_writing as writing
from penstock.stores._codecs import MAX_VALUE, Coding, key_bytes, shorten
from penstock.stores._direct import Direct
from penstock.stores._envelope import pack
from penstock.stores._sqlite_file import File
from penstock.stores._sqlite_reading import Reader
from penstock.stores._sqlite_rows import check_clocks, missed_of, row_of
from penstock.stores._sqlite_stats import SQLITE_STORE_FIELDS, Counts, SqliteStoreStats
from penstock.stores._sqlite_transactions import Transactions
from penstock.stores._store import Reading, refuse_str

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from penstock.pools import SqlitePool
    from penstock.pools._sqlite_options import PathLike, Synchronous
    from penstock.stores._codecs import Codec
    from penstock.stores._compression import Compression
    from penstock.stores._sqlite_writing import Written
    from penstock.stores._store import Change, Record

__all__ = ["SqliteStore"]

_MAX_BYTES: Final = 2**30


class SqliteStore:
    """
    A store of a cache in a SQLite file: it survives restarts, and processes may share it.

    Keys, tags and patterns are any text. What is asked for by ``get``, ``set`` and ``delete`` in
    one tick of the event loop is one statement, or one transaction.

    Args:
        path: Of the file; None with *pool*.
        namespace: Stores of different ones share a file and nothing else.
        max_bytes: How much the records of the namespace may take; beyond that, those go that were
            not used for longest.
        max_value: How many bytes a value may have.
        codec: How values are written that are neither bytes nor str: ``"json"``, ``"msgpack"``, or
            ``"pickle"``, which needs *secret*.
        secret: At least 16 bytes: values are signed, and none is read that is not.
        compress: ``"zlib"`` or ``"zstd"`` for values of 4 KB and more.
        synchronous: As of `SqlitePool`.
        timeout: Seconds to wait for others who write.
        tombstone_ttl: Seconds for which a delete is remembered: a load that began before it and
            takes longer may not be stored.
        recover: Whether a corrupt file is moved to ``path + ".corrupt"``, and a new one begun.
        clock: Wall clock, seconds since the epoch.
        timer: The clock of `Change.at`, monotonic.
        name: What it is called in statistics.
        pool: A pool to use in place of one of its own; it is not closed.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range.
        ImportError: The codec or the compression is not installed.

    Cost: nothing is opened before it is needed. A read is a statement on the event loop, a write
        a transaction in a thread. Any number of event loops for the methods of a `Store`; get, set
        and delete belong to the one where they are used first.

    Source: versions in place of locks are those of memcached's leases (Nishtala et al., NSDI 2013)
        with a clock of the store's own; invalidation of tags by their time is FusionCache's.
    """

    #: Whether `set_many` takes ``encoded=``.
    takes_encoded: Final = True

    __slots__ = (
        "__weakref__", "_clock", "_coding", "_counts", "_direct", "_file", "_is_closed",
        "_max_bytes", "_name", "_notes", "_reader", "_timer", "_transactions",
    )  # fmt: skip

    def __init__(
        self,
        path: PathLike | None = None,
        *,
        namespace: str = "",
        max_bytes: int = _MAX_BYTES,
        max_value: int = MAX_VALUE,
        codec: Codec = "json",
        secret: bytes | None = None,
        compress: Compression | None = None,
        synchronous: Synchronous = "NORMAL",
        timeout: float | timedelta = 1.0,
        tombstone_ttl: float | timedelta = 120,
        recover: bool = False,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] | None = None,
        name: str = "sqlite",
        pool: SqlitePool | None = None,
    ) -> None:
        check_clocks(clock, timer)
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {type(name).__name__}")
        self._coding = Coding(codec=codec, secret=secret, compress=compress, max_value=max_value)
        self._max_bytes = check_int("max_bytes", max_bytes, 1)
        self._clock = clock
        self._timer = time.monotonic if timer is None else timer
        self._name = name
        self._counts = Counts()
        self._file = File(
            path,
            namespace,
            pool=pool,
            synchronous=synchronous,
            timeout=_backend.duration("timeout", timeout),
            recover=recover,
            counts=self._counts,
            clock=clock,
        )
        self._transactions = Transactions(
            self._file,
            self._counts,
            clock,
            max_bytes=self._max_bytes,
            tombstone_ttl=_backend.duration("tombstone_ttl", tombstone_ttl),
        )
        self._notes = self._transactions.notes
        self._reader = Reader(self._coding, self._counts, self._notes)
        self._direct = Direct(self, clock)
        self._is_closed = False
        _components.enter(self)

    @property
    def name(self) -> str:
        """
        What it is called in statistics.
        """
        return self._name

    @property
    def path(self) -> str:
        """
        The file, from the root on.
        """
        return self._file.path

    @property
    def closed(self) -> bool:
        """
        Whether it takes on nothing more.
        """
        return self._is_closed

    # --- key by key -------------------------------------------------------------------------------

    async def get(self, key: str, default: Any = None) -> Any:
        """
        Return the value of *key*, or *default* if there is none that is valid and within its ttl.

        Raises:
            StoreError: The file cannot be read.
            ClosedError: The store is closed.

        Cost: shared by all who ask in one tick of the event loop.
        """
        record = await self._direct.get(key)
        if record is None or (record.ttl is not None and record.remaining(self._clock()) <= 0):
            return default
        return record.value

    async def set(
        self,
        key: str,
        value: object,
        *,
        ttl: float | timedelta | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        """
        Store *value*, and return when it is committed.

        Args:
            key: Any text.
            value: What the codec can write; bytes and str always.
            ttl: Seconds (or a timedelta) for which it is valid; None: for ever.
            tags: By which it can be invalidated.

        Raises:
            TypeError: The codec cannot write the value.
            ValueError: The value is too large; an argument is out of its range.
            StoreError: The file cannot be written.
            ClosedError: The store is closed.

        Cost: a transaction, shared by all who write in one tick of the event loop.
        """
        await self._direct.set(key, value, ttl, tags)

    async def delete(self, key: str) -> None:
        """
        Remove *key*, and return when that is committed; otherwise as `set`.
        """
        await self._direct.delete(key)

    # --- as a store -------------------------------------------------------------------------------

    def encode(self, key: str, record: Record) -> bytes:
        """
        Return what would be stored.

        Raises:
            TypeError: The codec cannot write the value.
            ValueError: The value is too large; the key or a tag is no text.
        """
        data = pack(key, record, self._coding)
        size = len(data) + len(key.encode()) + writing.OVERHEAD
        if size > self._max_bytes:
            what = f"it takes {size} bytes, max_bytes is {self._max_bytes}"
            raise ValueError(f"the record of {shorten(key)} is too large: {what}")
        return data

    async def get_many(self, keys: Sequence[str]) -> Reading:
        """
        Return the valid records of *keys*, and the clock.

        Raises:
            StoreError: The file cannot be read.
            TypeError: It is one str.
            ValueError: A key has surrogates.
            ClosedError: The store is closed.

        Cost: one statement for each 500 keys, and one for their tags.
        """
        refuse_str(keys)
        names = {key_bytes(key): key for key in keys}
        self._check()
        now = self._clock()
        records, base = await self._file.read(self._reader.read, names, now)
        counts = self._counts
        counts.reads += 1
        answer = list(map(records.get, keys))
        misses = answer.count(None)
        counts.misses += misses
        counts.hits += len(answer) - misses
        self._notes.look(now)
        return Reading(answer, base)

    async def set_many(
        self,
        items: Sequence[tuple[str, Record]],
        *,
        base: int | None = None,
        encoded: Sequence[bytes] | None = None,
    ) -> list[bool]:
        """
        Store *items*, and return which were stored.

        Args:
            items: Keys and records.
            base: The clock that was read when the keys were missed: stored is only what nothing
                was written, deleted or removed for since. None: a caller's sets, in any case.
            encoded: What `encode` has returned for each, if that was called already.

        Raises:
            TypeError: The codec cannot write a value; nothing is stored.
            ValueError: One is too large; nothing is stored.
            StoreError: The file cannot be written.
            ClosedError: The store is closed.

        Cost: one transaction.
        """
        if encoded is None:
            encoded = [self.encode(key, record) for key, record in items]
        packed = [(*item, data) for item, data in zip(items, encoded, strict=True)]
        if base is None:
            return await self._put(packed)
        done = await self._write(writing.fill, [row_of(*item) for item in packed], base)
        stored = sum(done.stored)
        self._counts.fills += stored
        self._counts.refused += len(packed) - stored
        return done.stored

    async def delete_many(self, keys: Sequence[str]) -> None:
        """
        Remove *keys*, so that no load which began before stores them again.

        Raises what `invalidate` raises.

        Cost: one transaction.
        """
        refuse_str(keys)
        await self._write(writing.delete, [key_bytes(key) for key in keys])
        self._counts.deletes += len(keys)

    async def invalidate(self, *, tags: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        """
        Make whatever has one of *tags*, or a key that matches one of *patterns*, absent.

        Args:
            tags: Those of records.
            patterns: With ``*``, ``?`` and ``[abc]``, as of `fnmatch.fnmatchcase`.

        Raises:
            TypeError: Either is one str.
            StoreError: The file cannot be written.
            ClosedError: The store is closed.

        Cost: one transaction, however many records there are.
        """
        refuse_str(tags, "tag")
        refuse_str(patterns, "pattern")
        for pattern in patterns:
            key_bytes(pattern)
        names = [key_bytes(tag) for tag in tags]
        await self._write(writing.invalidate, names, list(patterns))
        self._counts.invalidations += len(tags) + len(patterns)

    async def replay(self, changes: Sequence[Change]) -> None:
        """
        Make up for writes that were missed, each unless something newer is there.

        Raises what `set_many` raises; nothing is done then.

        Cost: one transaction.
        """
        missed = [missed_of(change, self.encode) for change in changes]
        await self._write(writing.replay, missed, self._clock, self._timer)
        self._counts.replayed += len(changes)

    async def ping(self) -> None:
        """
        Do nothing if the file can be read.

        Raises:
            StoreError: It cannot.
            ClosedError: The store is closed.
        """
        self._check()
        await self._file.read(self._reader.read, {}, self._clock())

    async def aclose(self) -> None:
        """
        Do what was asked for, and close the file; a pool that was given stays open.
        """
        if self._is_closed:
            return
        await self._direct.aclose()
        await self._transactions.end()
        self._is_closed = True
        await self._file.aclose()

    async def __aenter__(self) -> Self:
        self._check()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def stats(self) -> SqliteStoreStats:
        """
        Return what the store has done so far.
        """
        return SqliteStoreStats.of(self._counts)

    def __repr__(self) -> str:
        state = ", closed" if self._is_closed else ""
        return f"SqliteStore({self.path!r}, name={self._name!r}{state})"

    # --- how it is done ---------------------------------------------------------------------------

    async def _put(self, items: Sequence[tuple[str, Record, bytes]]) -> list[bool]:
        done = await self._write(writing.store, [row_of(*item) for item in items])
        self._counts.sets += len(items)
        return done.stored

    async def _write(self, function: Callable[..., Written], *args: object) -> Written:
        self._check()
        return await self._transactions.write(function, *args)

    def _check(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the store in {self.path!r} is closed")


_components.describe("sqlite_store", SqliteStoreStats, SQLITE_STORE_FIELDS)
