"""Which records were read, to be noted in the file by and by: the least used go first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["COARSE", "Notes"]

#: Seconds after which it is noted anew that a record was read.
COARSE: Final = 60
#: How many are noted at once, in a transaction of their own if there is no other.
_AT_ONCE: Final = 1000
_MAX: Final = 10_000


class Notes:
    """
    Keys that were read; whatever is written takes them along.

    Args:
        write: Writes nothing else, and raises nothing.
    """

    __slots__ = ("_keys", "_tasks", "_write")

    def __init__(self, write: Callable[[], Awaitable[None]]) -> None:
        self._write = write
        self._keys: dict[bytes, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes, now: float) -> None:
        """Note that a key was read."""
        if len(self._keys) < _MAX:
            self._keys.setdefault(key, now)

    def take(self) -> list[bytes]:
        """Return those that are to be written now."""
        self._let_go()
        taken = list(self._keys)[:_AT_ONCE]
        for key in taken:
            self._keys.pop(key, None)
        return taken

    def look(self, now: float) -> None:
        """Have them written in the background if there are many, or they have waited for long."""
        if not self._keys or (self._tasks and not self._let_go()):
            return
        if len(self._keys) < _AT_ONCE and now - next(iter(self._keys.values())) < COARSE:
            return
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Write no more."""
        for task in list(self._tasks):
            if not task.get_loop().is_closed():
                task.cancel()
        self._tasks.clear()

    def _let_go(self) -> bool:
        """Forget tasks whose loop is closed, which keep the writer; whether none is left."""
        for task in list(self._tasks):
            if task.get_loop().is_closed():
                self._tasks.discard(task)
        return not self._tasks

    async def _run(self) -> None:
        await self._write()
