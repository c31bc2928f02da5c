"""What is asked of a store key by key, gathered: the gets of a tick in one call, the writes too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from penstock import _backend
from penstock.batching import Batcher, ItemError, Loader
from penstock.errors import ClosedError
from penstock.stores._codecs import key_bytes
from penstock.stores._store import Record, refuse_str

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from penstock.stores._store import Reading

__all__ = ["Direct", "Gathering"]

#: Keys that are read in one call.
_AT_ONCE: Final = 500
#: Writes that are done in one call. One comes after the other, for the last to win: of a store that
#: does not answer none is to wait for many.
_WRITES: Final = 100_000


class Gathering(Protocol):
    """What a store has to have for that."""

    def encode(self, key: str, record: Record) -> bytes:
        """Return what would be stored."""
        ...

    async def get_many(self, keys: Sequence[str]) -> Reading:
        """Return the valid records of *keys*."""
        ...

    async def _put(self, items: Sequence[tuple[str, Record, bytes]]) -> object:
        """Store what `encode` has returned for each, as a caller's own sets."""
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Remove *keys*."""
        ...


class _Write(NamedTuple):
    """A set, or a delete: without a record."""

    key: str
    record: Record | None
    data: bytes


class Direct:
    """
    Gathers single gets, sets and deletes for a store.

    Args:
        store: Does them.
        clock: Wall clock, seconds since the epoch.
    """

    __slots__ = ("_clock", "_closed", "_load", "_loader", "_store", "_writes")

    def __init__(self, store: Gathering, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._loader: Loader[str, Record | None] = Loader(
            self._read, cache=False, max_items=_AT_ONCE
        )
        self._load: Callable[[str], Future[Record | None]] = self._loader.load
        self._closed = False
        self._writes: Batcher[_Write, None] = Batcher(
            self._write, max_items=_WRITES, linger=0, max_pending=None
        )

    def get(self, key: str) -> Future[Record | None]:
        """Ask for the record of a key, together with whoever asks in this tick."""
        if not (type(key) is str and key.isascii()):
            key_bytes(key)  # it would fail for all of them
        return self._load(key)

    def set(
        self, key: str, value: object, ttl: float | timedelta | None, tags: Sequence[str]
    ) -> Future[None]:
        """Store a value, together with what else is written in this tick."""
        refuse_str(tags, "tag")
        self._check()
        seconds = None if ttl is None else _backend.duration("ttl", ttl)
        record = Record(value, self._clock(), seconds, tags=tuple(tags))
        return self._writes.submit(_Write(key, record, self._store.encode(key, record)))

    def delete(self, key: str) -> Future[None]:
        """Remove a key, together with what else is written in this tick."""
        key_bytes(key)
        self._check()
        return self._writes.submit(_Write(key, None, b""))

    async def aclose(self) -> None:
        """Do what was asked for, and nothing after that."""
        self._closed = True
        self._load = self._refuse
        await self._writes.aclose()
        await self._loader.aclose()

    def _refuse(self, key: str) -> Future[Record | None]:
        del key
        raise ClosedError(f"{self._store!r} takes on nothing any more")

    def _check(self) -> None:
        if self._closed:
            self._refuse("")

    async def _read(self, keys: list[str]) -> list[Record | None]:
        return (await self._store.get_many(keys)).records

    async def _write(self, writes: list[_Write]) -> list[ItemError | None]:
        # Of one key only the last counts, as if they had been done one after another.
        last = {write.key: write for write in writes}
        sets = [(w.key, w.record, w.data) for w in last.values() if w.record is not None]
        deletes = [w.key for w in last.values() if w.record is None]
        errors: dict[bool, Exception] = {}
        try:
            if sets:
                await self._store._put(sets)
        except Exception as error:
            errors[True] = error
        try:
            if deletes:
                await self._store.delete_many(deletes)
        except Exception as error:
            errors[False] = error
        if not errors:
            return [None] * len(writes)
        failed = (errors.get(last[write.key].record is not None) for write in writes)
        return [None if error is None else ItemError(error) for error in failed]
