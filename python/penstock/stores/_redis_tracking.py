"""Messages made of the keys that Redis itself watches for the store."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import StoreError
from penstock.stores._redis_wire import forsake, pack_command
from penstock.stores._store import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.stores._redis_session import Session
    from penstock.stores._redis_wire import Wire

__all__ = ["Tracking"]

#: How many of one's own writes are remembered.
_OWN: Final = 10_000


class Tracking:
    """
    Tells what others have changed, of keys that were seen to change.

    Redis leaves out what a connection has changed itself, but not what its scripts have: there
    the version shows whose it is.

    Args:
        session: On whose connection.
        receive: Is called with each message.
    """

    __slots__ = ("_own", "_receive", "_session", "_tasks")

    def __init__(self, session: Session, receive: Callable[[Message], object]) -> None:
        self._session = session
        self._receive = receive
        self._own: dict[str, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, keys: Sequence[str], version: int) -> None:
        """Remember what was written here."""
        own, stamp = self._own, version.to_bytes(8, "big")
        for key in keys:
            own.pop(key, None)
            own[key] = stamp
        while len(own) > _OWN:
            del own[next(iter(own))]

    def pushed(self, wire: Wire, push: list[Any]) -> None:
        """Take what Redis has said unasked."""
        # Who has written learns of it in this turn of the loop, and notes it.
        self._session.loop.call_soon(self._told, wire, push[1])

    def _told(self, wire: Wire, keys: list[bytes] | None) -> None:
        if keys is None:  # all of the database
            self._receive(Message("patterns", ("*",), 0))
            return
        names = self._session.options.names
        entries, tags, patterns = (
            [key.removeprefix(start) for key in texts if key.startswith(start)]
            for start in (names.entry, names.tag, names.pattern)
            for texts in ([key.decode("utf-8", "replace") for key in keys],)
        )
        if tags:
            self._receive(Message("tags", tuple(tags), 0))
        if patterns:
            self._receive(Message("patterns", tuple(patterns), 0))
        own = [key for key in entries if key in self._own]
        others = [key for key in entries if key not in self._own]
        if others:
            self._receive(Message("set", tuple(others), 0))
        if own:
            task = self._session.loop.create_task(self._check(wire, own))
            self._tasks.add(task)
            task.add_done_callback(partial(self._checked, own))

    def _checked(self, keys: list[str], task: asyncio.Task[None]) -> None:
        """Tell of all of *keys* if somebody who cancels all tasks has cancelled this one."""
        if task in self._tasks:
            self._tasks.discard(task)
            if task.cancelled():
                self._receive(Message("set", tuple(keys), 0))

    async def _check(self, wire: Wire, keys: list[str]) -> None:
        """Tell which of *keys* have another version than what was written here."""
        entry = self._session.options.names.entry
        mine = [self._own.get(key) for key in keys]
        futures = [wire.ask(pack_command(("GETRANGE", entry + key, 4, 11))) for key in keys]
        changed = []
        for key, stamp, future in zip(keys, mine, futures, strict=True):
            try:
                found = await future
            except StoreError:
                found = None
            if found != stamp:
                self._own.pop(key, None)
                changed.append(key)
        forsake(futures)
        if changed:
            self._receive(Message("set", tuple(changed), 0))

    async def aclose(self) -> None:
        """Tell nothing more."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
