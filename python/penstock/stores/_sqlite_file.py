"""The file of a store: opened when it is needed, and begun anew if it is corrupt."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

from penstock.errors import StoreError, StoreTimeout
from penstock.pools import SqlitePool
from penstock.stores._sqlite_errors import CAUGHT, is_corrupt, is_missing, meaning
from penstock.stores._sqlite_recovery import move_aside
from penstock.stores._sqlite_schema import Gone, found, look_up

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    from penstock.pools._sqlite_options import PathLike, Synchronous
    from penstock.stores._sqlite_stats import Counts
    from penstock.stores._sqlite_writing import Now, Written

    T = TypeVar("T")

__all__ = ["File"]

#: The log of SQLite is cut to this after it was large.
_LOG_BYTES: Final = 64 * 2**20
#: Seconds after which it is looked whether a file that is only read is there still.
_LOOK: Final = 1.0


class _Replaced(Gone):
    """What is open is not what is at the path any more."""


class File:
    """
    A namespace in a SQLite file.

    Args:
        path: Of the file; None with *pool*.
        namespace: Which one.
        pool: One that is used in place of its own.
        synchronous: Of its own.
        timeout: Seconds to wait for others.
        recover: Whether to begin anew if it is corrupt.
        counts: Where it is counted.
        clock: Wall clock.
    """

    __slots__ = (
        "_clock", "_counts", "_identity", "_is_own", "_leaving", "_look_at", "_make", "_moving",
        "_namespace", "_pool", "_recover", "_space", "_timeout", "_was_used",
    )  # fmt: skip

    def __init__(
        self,
        path: PathLike | None,
        namespace: str,
        *,
        pool: SqlitePool | None,
        synchronous: Synchronous,
        timeout: float,
        recover: bool,
        counts: Counts,
        clock: Callable[[], float],
    ) -> None:
        if (path is None) is (pool is None):
            raise ValueError("give a path, or a pool, and not both")
        if not isinstance(namespace, str):
            raise TypeError(f"namespace must be a str, got {type(namespace).__name__}")
        namespace.encode()
        if pool is not None and recover:
            raise ValueError("recover=True needs a file of its own: give a path, not a pool")
        if pool is not None and not isinstance(pool, SqlitePool):
            raise TypeError(f"pool must be a SqlitePool, got {type(pool).__name__}")

        def make() -> SqlitePool:
            assert path is not None
            return SqlitePool(
                path,
                busy_timeout=timeout,
                acquire_timeout=timeout,
                synchronous=synchronous,
                pragmas={"journal_size_limit": _LOG_BYTES},
            )

        self._make = make
        self._is_own = pool is None
        self._pool = make() if pool is None else pool
        self._namespace = namespace
        self._timeout = timeout
        self._recover = recover
        self._counts = counts
        self._clock = clock
        self._space: int | None = None
        self._was_used = False
        #: Which file the pool has open; None: none yet.
        self._identity: tuple[int, int] | None = None
        self._look_at = 0.0
        #: Pools of files that are not there any more.
        self._leaving: set[asyncio.Task[None]] = set()
        #: It is being moved aside.
        self._moving: asyncio.Task[None] | None = None

    @property
    def path(self) -> str:
        """From the root on."""
        return self._pool.path

    async def read(
        self,
        function: Callable[..., Awaitable[T]],
        *args: Any,
    ) -> T:
        """
        Call ``function(pool, space, *args)``, which reads.

        Raises:
            StoreError: It cannot be read.
        """
        pool, space = self._pool, self._space
        try:
            if space is None:
                self._was_used = self._was_used or not pool.closed  # as it is in a child
                space = await self._open(pool)
            elif monotonic() > self._look_at:
                self._look(pool)
            return await function(pool, space, *args)
        except (*CAUGHT, Gone) as error:
            await self._mend(pool, error)
        pool = self._pool
        try:
            return await function(pool, await self._open(pool), *args)
        except (*CAUGHT, Gone) as error:
            self._refuse(error)

    async def write(
        self, function: Callable[..., Written], now: Callable[[int], Now], args: tuple[object, ...]
    ) -> Written:
        """
        Call ``function(connection, now, *args)`` in a thread, in a transaction.

        Raises:
            StoreError: It cannot be written.
        """

        async def call(pool: SqlitePool, space: int) -> Written:
            if pool is not self._pool:
                raise _Replaced
            known = self._identity

            def written(db: sqlite3.Connection) -> Written:
                done = function(db, now(space), *args)
                # Right before it is committed: nobody would see that.
                if known != _identity_of(pool.path):
                    raise _Replaced
                return done

            return await pool.run(written, write=True)

        return await self.read(call)

    async def aclose(self) -> None:
        """Close it, if it is its own."""
        if self._is_own:
            await self._pool.aclose()
        loop = asyncio.get_running_loop()
        leaving = [task for task in self._leaving if task.get_loop() is loop]
        if leaving:
            await asyncio.wait(leaving)

    async def _open(self, pool: SqlitePool) -> int:
        """Return the number of the namespace, which is made if it is not there."""
        if self._identity is None:
            self._identity = _identity_of(pool.path)
        try:
            space: int | None = await pool.run(look_up, self._namespace)
            if space is None:
                clock = int(self._clock() * 1e6)
                space = await pool.run(found, self._namespace, clock, write=True)
        finally:
            if self._identity is None and pool is self._pool:
                self._identity = _identity_of(pool.path)  # it was made just now
        if pool is self._pool:
            self._look(pool)
            self._space = space
        return space

    def _look(self, pool: SqlitePool) -> None:
        """
        Look whether the file that is open is there still.

        Raises:
            _Replaced: It is not.
        """
        if self._identity is None or self._identity != _identity_of(pool.path):
            raise _Replaced
        self._look_at = monotonic() + _LOOK

    async def _mend(self, pool: SqlitePool, error: Exception) -> None:
        """
        Return if it is worth another attempt.

        Raises:
            StoreError: It is not.
        """
        if pool is not self._pool:
            return  # somebody else has seen it
        moving = self._moving
        if moving is not None and not (moving.done() or moving.get_loop().is_closed()):
            self._refuse(StoreError(f"it was corrupt, and is moved aside now: {error}"))
        if self._is_replaced(error):
            if not self._is_own:
                what = "its file was removed, or replaced, while it was open: open the pool anew"
                self._refuse(StoreError(what))
            self._leave(pool)
        elif isinstance(error, Gone) or is_missing(error):
            self._space = None
        elif self._recover and is_corrupt(error):
            await self._begin_anew(pool, error)
        elif type(error) is RuntimeError and self._is_own and not self._was_used:
            self._renew()  # that of a parent process, which had not opened anything
        else:
            self._refuse(error)

    def _is_replaced(self, error: Exception) -> bool:
        """Whether an error was to be expected: what is open is not what is at the path."""
        if isinstance(error, _Replaced):
            return True
        return self._identity is not None and self._identity != _identity_of(self._pool.path)

    async def _begin_anew(self, pool: SqlitePool, error: Exception) -> None:
        """Move a corrupt file aside; who comes meanwhile does not wait."""
        moving = self._moving = asyncio.get_running_loop().create_task(self._move(pool))
        moving.add_done_callback(_look)  # the caller may have gone
        try:
            await asyncio.shield(moving)
        except (*CAUGHT, OSError):
            self._refuse(error)

    async def _move(self, pool: SqlitePool) -> None:
        try:
            await pool.aclose(timeout=self._timeout)
            if await asyncio.to_thread(move_aside, pool.path):
                self._counts.recovered += 1
        finally:
            self._moving = None
            self._renew()

    def _leave(self, pool: SqlitePool) -> None:
        """Have what is at the path now opened; what was open before is closed meanwhile."""
        self._renew()
        task = asyncio.get_running_loop().create_task(pool.aclose(timeout=self._timeout))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.add_done_callback(_look)

    def _renew(self) -> None:
        self._pool, self._space, self._identity = self._make(), None, None

    def _refuse(self, error: Exception) -> NoReturn:
        """Tell the caller."""
        if isinstance(error, Gone):
            told: Exception = StoreError(f"the cache in {self.path!r} is removed again and again")
        else:
            told = meaning(error, self.path, self._timeout)
        self._counts.errors += 1
        self._counts.timeouts += isinstance(told, StoreTimeout)
        if told is error:
            raise error
        raise told from error


def _identity_of(path: str) -> tuple[int, int] | None:
    """Return which file is at a path; None: none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _look(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
