"""`FileCache`: parsed files, kept while they do not change."""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context
from os import fsdecode, stat
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from penstock import _backend, _components, _forks, json
from penstock.files._families import CACHE_FIELDS
from penstock.files._flight import Flight
from penstock.files._reading import Reading, check_regular, read, signature_of
from penstock.files._stats import FileCacheStats
from penstock.files._waiting import in_time
from penstock.flow._checks import check_int, check_name
from penstock.flow._executor import Executor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from os import stat_result

    from penstock.files._paths import AnyPath
    from penstock.files._reading import Signature
__all__ = ["FileCache"]

T = TypeVar("T")

_WORKERS: Final = 4


class _Entry(Generic[T]):
    """A parsed file, by attributes: a tuple would have to be made for each comparison."""

    __slots__ = ("checked_until", "device", "inode", "mtime_ns", "size", "value")

    def __init__(self, signature: Signature, value: T) -> None:
        self.mtime_ns, self.size, self.inode, self.device = signature
        self.value = value
        #: On the monotonic clock; until then nobody looks at the file.
        self.checked_until = 0.0

    def is_of(self, signature: Signature) -> bool:
        """Tell whether it is what a file says that has this signature."""
        return (self.mtime_ns, self.size, self.inode, self.device) == signature


class FileCache(Generic[T]):
    """
    Reads and parses files, and does so again only when they have changed.

    At each get the file's time of change, size, inode and device are looked at: what somebody else
    wrote or moved there is seen at once. Gets of the same file at the same time share one load.

    Args:
        parse: Makes of the content, as bytes, what ``get`` returns: JSON by default. It runs in
            threads, too. What it returns is shared by all who get it: do not change it.
        max_bytes: How large all files in the cache may be together; those used least recently leave
            first. A larger file is read each time.
        inline_size: Bytes up to which a file is read and parsed on the event loop; a larger one in
            a thread.
        check_interval: Seconds (or a timedelta) for which a file that was looked at is not looked
            at again; 0 for never. Changes are seen so much later.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError, ValueError: An argument is not what it has to be.

    Cost: a hit is a ``stat`` and a lookup, and never touches the event loop. Any number of threads
        and event loops.
    """

    __slots__ = (
        "__weakref__", "_cache", "_executor", "_failures", "_flights", "_inline_size", "_interval",
        "_loads", "_lock", "_lookup", "_max_bytes", "_misses", "_name", "_parse", "_reloads",
    )  # fmt: skip

    def __init__(
        self,
        *,
        parse: Callable[[bytes], T] | None = None,
        max_bytes: int = 64 * 2**20,
        inline_size: int = 64 * 2**10,
        check_interval: float | timedelta = 0.0,
        name: str | None = None,
    ) -> None:
        if parse is not None and not callable(parse):
            raise TypeError(f"parse must be callable, got {type(parse).__name__}")
        self._parse = cast("Callable[[bytes], T]", json.loads) if parse is None else parse
        self._max_bytes = check_int("max_bytes", max_bytes, 1)
        self._inline_size = check_int("inline_size", inline_size, 0)
        self._interval = _interval(check_interval)
        check_name(name)
        self._name = name
        self._cache: _backend.Cache[str, _Entry[T]] = _backend.Cache(max_bytes, weigher=_weigh)
        self._lookup = self._cache.get
        self._executor: Executor | None = None
        self._begin_anew()
        self._misses = self._reloads = self._loads = self._failures = 0
        _forks.enter(self)
        _components.enter(self)

    def _begin_anew(self) -> None:
        #: Guards what is put into the cache, what is being read, and the statistics. Reentrant:
        #: what leaves the cache may have a finalizer that asks for something.
        self._lock = threading.RLock()
        self._flights: dict[str, Flight[T]] = {}

    @property
    def name(self) -> str | None:
        """
        The name given to the cache.
        """
        return self._name

    @property
    def max_bytes(self) -> int:
        """
        How large all files in the cache may be together.
        """
        return self._max_bytes

    def get(self, path: AnyPath) -> Awaitable[T]:
        """
        Return what the file says now; to be awaited.

        Args:
            path: Of a regular file, or a symlink to one.

        Returns:
            An awaitable, which tasks can be made of as well: what *parse* returned.

        Raises:
            TypeError: The path is none.
            OSError: When awaited: the file is not there, or cannot be read. Whatever *parse* raises
                is passed on, with a note that names the file. Errors are not kept.
            DeadlineExceeded: When awaited: the ambient ``deadline()`` was over first.

        Cost: for a hit that of a ``stat``.
        """
        if not isinstance(path, str):
            path = fsdecode(path)
        entry = self._lookup(path)
        if entry is None:
            return self._load(path, None)
        if self._interval and monotonic() < entry.checked_until:
            return _backend.Ready(entry.value)
        try:
            found = stat(path)
        except (OSError, ValueError):
            return self._load(path, entry)  # where it is raised to whoever awaits it
        if (
            found.st_mtime_ns == entry.mtime_ns
            and found.st_size == entry.size
            and found.st_ino == entry.inode
            and found.st_dev == entry.device
        ):
            if self._interval:
                entry.checked_until = monotonic() + self._interval
            return _backend.Ready(entry.value)
        return self._load(path, entry)

    def invalidate(self, path: AnyPath) -> bool:
        """
        Forget a file; what is being read of it now is not kept.

        Returns:
            Whether it was in the cache.
        """
        path = fsdecode(path)
        with self._lock:
            self._flights.pop(path, None)
            return self._cache.pop(path, None) is not None

    def clear(self) -> None:
        """
        Forget all files; what is being read now is not kept.
        """
        with self._lock:
            self._flights.clear()
            self._cache.clear()

    def stats(self) -> FileCacheStats:
        """
        Return what the cache has done so far.
        """
        found = self._cache._figures()
        with self._lock:
            return FileCacheStats(
                hits=max(found.hits - self._reloads, 0),
                misses=self._misses,
                reloads=self._reloads,
                loads=self._loads,
                failures=self._failures,
                evictions=found.evictions,
                files=found.size,
                bytes=found.weight,
                max_bytes=self._max_bytes,
            )

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        return f"FileCache(max_bytes={self._max_bytes}{name})"

    # --- misses -----------------------------------------------------------------------------------

    async def _load(self, path: str, stale: _Entry[T] | None) -> T:
        with self._lock:
            self._misses += 1
            self._reloads += stale is not None
        try:
            found = stat(path)
            check_regular(found, path)
        except BaseException:
            self._cache.pop(path, None)
            raise
        if found.st_size > self._inline_size:
            return await self._load_aside(path, found)
        reading = self._read(path)
        with self._lock:
            self._store(path, reading)
        return reading.value

    async def _load_aside(self, path: str, found: stat_result) -> T:
        """Load in a thread, or wait for one that does."""
        signature = signature_of(found)
        with self._lock:
            flight = self._flights.get(path)
            if flight is None:
                # One may have landed since this get found nothing.
                entry = self._cache.peek(path)
                if entry is not None and entry.is_of(signature):
                    return entry.value
            if flight is None or not flight.serves(signature):
                flight = Flight(signature)
                # Without a deadline: it is that of one of those who will wait for it.
                flight.job = Context().run(self._threads().submit, self._fly, path, flight)
                self._flights[path] = flight
        landing = asyncio.wrap_future(flight.job)
        landing.add_done_callback(_see)
        # Whoever leaves, the load goes on.
        reading = await in_time(asyncio.shield(landing))
        return reading.value

    def _threads(self) -> Executor:
        if self._executor is None:
            self._executor = Executor(_WORKERS, self._name or "penstock-files", context=False)
        return self._executor

    def _fly(self, path: str, flight: Flight[T]) -> Reading[T]:
        flight.begun = True
        try:
            reading = self._read(path)
        except BaseException:
            self._land(path, flight, None)
            raise
        self._land(path, flight, reading)
        return reading

    def _land(self, path: str, flight: Flight[T], reading: Reading[T] | None) -> None:
        with self._lock:
            # Unless it was invalidated, or a newer one has taken its place.
            if self._flights.get(path) is flight:
                del self._flights[path]
                self._store(path, reading)

    def _read(self, path: str) -> Reading[T]:
        failed = True
        try:
            reading = read(path, self._parse)
            failed = False
        finally:
            with self._lock:
                self._loads += 1
                self._failures += failed
        return reading

    def _store(self, path: str, reading: Reading[T] | None) -> None:
        """Keep what was read, or forget what there was: it is not valid any more."""
        fits = reading is not None and reading.size <= self._max_bytes
        if reading is None or reading.signature is None or not fits:
            self._cache.pop(path, None)
        else:
            entry = _Entry(reading.signature, reading.value)
            if self._interval:
                entry.checked_until = monotonic() + self._interval
            self._cache.set(path, entry)


def _weigh(_: str, entry: _Entry[Any]) -> int:
    return max(entry.size, 1)


def _see(landing: asyncio.Future[Any]) -> None:
    """Let nobody say that nobody has seen an error, when whoever waited is gone."""
    if not landing.cancelled():
        landing.exception()


def _interval(interval: float | timedelta) -> float:
    is_zero = isinstance(interval, int | float) and not isinstance(interval, bool) and interval == 0
    return 0.0 if is_zero else _backend.duration("check_interval", interval)


_components.describe("file_cache", FileCacheStats, CACHE_FIELDS)
