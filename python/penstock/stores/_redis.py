"""`RedisStore`: a store of caches over one connection to a Redis server, shared by processes."""

from __future__ import annotations

from asyncio import _get_running_loop
from time import time
from typing import TYPE_CHECKING, Any

from penstock import _components, _forks
from penstock.stores._codecs import MAX_VALUE
from penstock.stores._direct import Direct
from penstock.stores._envelope import pack
from penstock.stores._redis_binding import Binding
from penstock.stores._redis_options import check_options
from penstock.stores._redis_shared import Shared
from penstock.stores._redis_stats import REDIS_STORE_FIELDS, Counts, RedisStoreStats
from penstock.stores._store import refuse_str

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from penstock.stores._codecs import Codec
    from penstock.stores._compression import Compression
    from penstock.stores._redis_options import Backplane
    from penstock.stores._store import Reading, Record

__all__ = ["RedisStore"]


class RedisStore(Shared):
    """
    A store of caches in Redis, which processes and machines share.

    One connection is for everybody: what is asked for at the same time goes out in one write and
    comes back in one read. It is made when it is first needed, and again when it was lost; while
    Redis is away, calls fail at once or after *timeout*.

    Args:
        url: ``redis://user:password@host:port/db``, ``rediss://`` for TLS, ``unix://path``, with
            the options of redis-py.
        namespace: What all keys and channels begin with. Stores of one namespace share all.
        timeout: Seconds that Redis may take to answer.
        connect_timeout: Seconds that it may take to connect.
        backplane: How processes are told what others change: ``"pubsub"``, by messages over a
            second connection; ``"tracking"``, by Redis itself, which watches the keys; None, not
            at all. All that share a namespace need the same.
        codec: For values that are neither bytes nor str: ``"json"``, ``"msgpack"``, ``"pickle"``.
        secret: At least 16 bytes. What is written is signed with it, what is not is not read.
        compress: ``"zlib"`` or ``"zstd"``, for values of 4 KB or more.
        max_value: How many bytes a value may have.
        tombstone_ttl: Seconds for which a delete is remembered: loads that began before it and
            take longer are not stored.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range; the URL is none.
        ImportError: redis or hiredis is not installed.

    Cost: nothing is opened before it is needed. One event loop at a time. A forked child begins
        anew, with connections of its own.

    Source: one connection that all share is what StackExchange.Redis does; versions instead of
        locks, Nishtala et al., "Scaling Memcache at Facebook" (2013).
    """

    __slots__ = (
        "__weakref__",
        "_coding",
        "_counts",
        "_direct",
        "_name",
        "_timeout",
    )

    #: That `set_many` takes what `encode` has returned.
    takes_encoded = True

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        *,
        namespace: str = "penstock",
        timeout: float | timedelta = 0.25,
        connect_timeout: float | timedelta = 1.0,
        backplane: Backplane | None = "pubsub",
        codec: Codec = "json",
        secret: bytes | None = None,
        compress: Compression | None = None,
        max_value: int = MAX_VALUE,
        tombstone_ttl: float | timedelta = 120,
        name: str = "redis",
    ) -> None:
        options = check_options(
            namespace=namespace,
            timeout=timeout,
            connect_timeout=connect_timeout,
            backplane=backplane,
            codec=codec,
            secret=secret,
            compress=compress,
            max_value=max_value,
            tombstone_ttl=tombstone_ttl,
            name=name,
        )
        self._name = name
        self._coding = options.coding
        self._timeout = options.timeout
        self._counts = Counts()
        super().__init__(Binding(url, options, self._counts, self.encode))
        self._direct = Direct(self, time)
        _forks.enter(self)
        _components.enter(self)

    @property
    def name(self) -> str:
        """
        What it is called in statistics.
        """
        return self._name

    @property
    def timeout(self) -> float:
        """
        Seconds that Redis may take to answer.
        """
        return self._timeout

    @property
    def closed(self) -> bool:
        """
        Whether it takes on nothing more.
        """
        return self._binding.closed

    # --- what a cache asks for --------------------------------------------------------------------

    def encode(self, key: str, record: Record) -> bytes:
        """
        Return what would be stored.

        Args:
            key: Part of what is signed.
            record: With its value.

        Raises:
            TypeError: The codec cannot write the value.
            ValueError: It is too large; the key or a tag is no text.
        """
        return pack(key, record, self._coding)

    async def get_many(self, keys: Sequence[str]) -> Reading:
        """
        Return the valid records of *keys*, and the clock.

        Returns:
            One record for each key, None where there is none, and what `set_many` takes as base.

        Raises:
            TypeError: It is one str.
            StoreError: Redis refused it; StoreTimeout and StoreUnavailable are such errors.

        Cost: one command for 500 keys; one more for all of their tags, if they have any.
        """
        if type(keys) is str:
            refuse_str(keys)
        return await self._join().reads.get_many(keys)

    def ask_many(
        self,
        keys: Sequence[str],
        answered: Callable[[Reading | None, BaseException | None], object],
    ) -> bool:
        """
        Ask for the valid records of *keys* without a task, if that can be done at once.

        Args:
            keys: At most 500.
            answered: Is called once, later, with what `get_many` would have returned or raised.

        Returns:
            False if it cannot be done at once: there is no connection, say. Nobody is called then.

        Cost: as of `get_many`, and nothing of the event loop's for a caller.
        """
        client = self._binding.client
        if client is None or client.loop is not _get_running_loop():
            return False
        return client.reads.ask(keys, answered)

    async def set_many(
        self,
        items: Sequence[tuple[str, Record]],
        *,
        base: int | None = None,
        encoded: Sequence[bytes] | None = None,
    ) -> list[bool]:
        """
        Store *items*.

        Args:
            items: Keys and records.
            base: None for what a caller sets, which wins over what is there. Else the clock that
                was read before the values were loaded: they are stored only where nothing was
                written, deleted or invalidated since.
            encoded: What `encode` has returned for each of *items*, if it was asked already.

        Returns:
            Which of them were stored.

        Raises:
            TypeError: The codec cannot write a value; nothing was written.
            ValueError: A value is too large; nothing was written.
            StoreError: Redis refused it, or did not answer in time.

        Cost: one script for 200 items or 1 MB.
        """
        if encoded is None:
            coding = self._coding
            ready = [(key, record, pack(key, record, coding)) for key, record in items]
        else:
            ready = [(*item, data) for item, data in zip(items, encoded, strict=True)]
        if base is None:
            return await self._put(ready)
        return await self._join().writes.fill_many(ready, base)

    async def _put(self, items: Sequence[tuple[str, Record, bytes]]) -> list[bool]:
        """Store what `encode` has returned for each."""
        return await self._join().writes.set_many(items)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """
        Remove *keys*, so that no load which began before stores them again.

        Raises:
            TypeError: It is one str.
            StoreError: Redis refused it, or did not answer in time.

        Cost: as of `set_many`; 36 bytes remain of each for *tombstone_ttl*.
        """
        await self._join().writes.delete_many(keys)

    async def invalidate(self, *, tags: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        """
        Make whatever has one of *tags*, or a key that matches one of *patterns*, absent.

        Args:
            tags: Any number.
            patterns: With ``*``, ``?`` and ``[abc]``, as of `fnmatch.fnmatchcase`.

        Raises:
            TypeError: Either is one str.
            StoreError: Redis refused it, or did not answer in time.

        Cost: one script, however many entries that are.
        """
        await self._join().writes.invalidate(tags, patterns)

    # --- key by key -------------------------------------------------------------------------------

    async def get(self, key: str, default: object = None) -> Any:
        """
        Return the value of *key*, or *default*.

        Args:
            key: Any text.
            default: What there is instead.

        Raises:
            StoreError: Redis refused it, or did not answer in time.

        Cost: what is asked for at the same time goes into one command.
        """
        record = await self._direct.get(key)
        return default if record is None or record.remaining(time()) <= 0 else record.value

    async def set(
        self,
        key: str,
        value: object,
        *,
        ttl: float | timedelta | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        """
        Store a value.

        Args:
            key: Any text.
            value: What the codec can write.
            ttl: Seconds that it lives; None for ever.
            tags: By which it can be invalidated.

        Raises:
            TypeError: The codec cannot write the value.
            ValueError: It is too large.
            StoreError: Redis refused it, or did not answer in time.

        Cost: what is set at the same time goes into one script.
        """
        await self._direct.set(key, value, ttl, tags)

    async def delete(self, key: str) -> None:
        """
        Remove *key*; see `delete_many`.
        """
        await self._direct.delete(key)

    # --- the loop, and the end --------------------------------------------------------------------

    def _begin_anew(self) -> object:
        """Leave the connections to the parent."""
        left = self._binding.begin_anew(), self._direct
        self._direct = Direct(self, time)  # the batches of the other are the parent's
        return left

    async def aclose(self) -> None:
        """
        Do what was asked for by `set` and `delete`, and close the connections.
        """
        if not self._binding.closed:
            await self._direct.aclose()
            await self._binding.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # --- what it tells ----------------------------------------------------------------------------

    def stats(self) -> RedisStoreStats:
        """
        Return what the store has done so far.
        """
        client = self._binding.client
        figures = {name: getattr(self._counts, name) for name in Counts.__slots__}
        wire = None if client is None else client.session.link.wire
        return RedisStoreStats(
            connected=wire is not None,
            listening=client is not None and client.is_listening,
            waiting=0 if wire is None else len(wire.pending),
            **figures,
        )

    def __repr__(self) -> str:
        state = ", closed" if self.closed else ""
        return f"RedisStore({self._binding.where!r}, name={self._name!r}{state})"


_components.describe("redis_store", RedisStoreStats, REDIS_STORE_FIELDS)
