"""The file of a store: opened when it is needed, and begun anew if it is corrupt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NoReturn

from penstock.errors import StoreError, StoreTimeout
from penstock.pools import SqlitePool
from penstock.stores._sqlite_errors import CAUGHT, is_corrupt, is_missing, meaning
from penstock.stores._sqlite_recovery import move_aside
from penstock.stores._sqlite_schema import Gone, found, look_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    from penstock.pools._sqlite_options import PathLike, Synchronous
    from penstock.stores._sqlite_stats import Counts
    from penstock.stores._sqlite_writing import Now, Written

    T = TypeVar("T")

__all__ = ["File"]

#: The log of SQLite is cut to this after it was large.
_LOG_BYTES: Final = 64 * 2**20


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
        "_clock", "_counts", "_is_own", "_make", "_moving", "_namespace", "_pool", "_recover",
        "_space", "_timeout", "_was_used",
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
            return await pool.run(function, now(space), *args, write=True)

        return await self.read(call)

    async def aclose(self) -> None:
        """Close it, if it is its own."""
        if self._is_own:
            await self._pool.aclose()

    async def _open(self, pool: SqlitePool) -> int:
        """Return the number of the namespace, which is made if it is not there."""
        space: int | None = await pool.run(look_up, self._namespace)
        if space is None:
            clock = int(self._clock() * 1e6)
            space = await pool.run(found, self._namespace, clock, write=True)
        if pool is self._pool:
            self._space = space
        return space

    async def _mend(self, pool: SqlitePool, error: Exception) -> None:
        """
        Return if it is worth another attempt.

        Raises:
            StoreError: It is not.
        """
        if isinstance(error, Gone) or is_missing(error):
            self._space = None
        elif self._recover and is_corrupt(error):
            if self._pool is pool:
                await self._begin_anew(pool, error)
        elif type(error) is RuntimeError and self._is_own and not self._was_used:
            self._pool = self._make()  # that of a parent process, which had not opened anything
        else:
            self._refuse(error)

    async def _begin_anew(self, pool: SqlitePool, error: Exception) -> None:
        """Move a corrupt file aside; who comes meanwhile does not wait."""
        if self._moving is not None and not self._moving.get_loop().is_closed():
            self._refuse(error)
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
            self._space = None
            self._pool = self._make()

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


def _look(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
