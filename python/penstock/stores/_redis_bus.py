"""Messages over Redis: what other processes have changed, and whose lease was released."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, cast

from penstock.errors import StoreError
from penstock.stores._redis_errors import Refusal, error_of
from penstock.stores._redis_wire import pack_command
from penstock.stores._store import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.stores._redis_link import Link
    from penstock.stores._redis_session import Session
    from penstock.stores._redis_wire import Wire
    from penstock.stores._store import Kind

__all__ = ["Bus", "Keeper"]

#: Seconds between two questions whether the other side is there.
_PING_EVERY: Final = 10.0
#: Seconds until a connection is kept again that was left by nobody's wish.
_AGAIN: Final = 0.1
_PING: Final = pack_command(("PING",))
_KINDS: Final = ("set", "delete", "tags", "patterns")


class Bus:
    """
    The connection for messages.

    Args:
        session: To whose server.
        sender: Who one is: one's own messages are for others.
        receive: Is called with each message of others.
        woken: Is called with each key whose lease was released.
        lost: Is called when the connection is no more.
    """

    __slots__ = ("_receive", "_sender", "_session", "_woken", "link")

    def __init__(
        self,
        session: Session,
        sender: str,
        receive: Callable[[Message], object],
        woken: Callable[[str], object],
        lost: Callable[[], object],
    ) -> None:
        self._session = session
        self._sender = sender.encode()
        self._receive = receive
        self._woken = woken
        self.link: Link = session.new_link(self._greet, self._pushed, lost)

    async def _greet(self, wire: Wire) -> None:
        """Subscribe; a subscription is confirmed by a push, and refused by a reply."""
        names = self._session.options.names
        for channel in (names.bus, names.wake):
            reply = await wire.ask(pack_command(("SUBSCRIBE", channel)))
            if isinstance(reply, Refusal):
                raise error_of(reply, str(self._session.address))

    def _pushed(self, wire: Wire, push: list[Any]) -> None:
        kind = push[0] if push else None
        if kind == b"subscribe":
            wire.answer(push)
        elif kind == b"message" and len(push) == 3:
            names = self._session.options.names
            channel, text = push[1], push[2]
            if channel == names.wake.encode():
                self._woken(text.decode("utf-8", "replace"))
            elif channel == names.bus.encode():
                message = _message_of(text, self._sender)
                if message is not None:
                    self._receive(message)
        else:
            wire.abort("it said what nobody wants to know")


def _message_of(text: bytes, sender: bytes) -> Message | None:
    """Return a message; None if it is one's own, or is none."""
    try:
        origin, kind, version, tail = text.split(b" ", 3)
        if origin == sender:
            return None
        named = kind.decode()
        names = json.loads(tail)
        if named not in _KINDS or not all(isinstance(name, str) for name in names):
            return None
        return Message(cast("Kind", named), tuple(names), int(version))
    except (ValueError, TypeError):
        return None


class Keeper:
    """
    Keeps a connection open that others speak on, and tells when something may have been missed.

    Whoever cancels all tasks of a loop does not mean this one: unless the loop ends, it goes on.

    Args:
        link: The connection.
        session: Whose figures are kept.
        missed: Is called when a connection was made again.
    """

    __slots__ = ("_again", "_is_stopped", "_link", "_missed", "_session", "_task", "_tried")

    def __init__(self, link: Link, session: Session, missed: Callable[[], object]) -> None:
        self._link = link
        self._session = session
        self._missed = missed
        self._is_stopped = False
        self._again: asyncio.TimerHandle | None = None
        self._tried: asyncio.Future[None] = session.loop.create_future()
        self._begin(was_open=False)

    async def tried(self) -> None:
        """Return when it was tried for the first time to connect."""
        await asyncio.wait([self._tried])

    async def stop(self) -> None:
        """Keep it no longer."""
        self._is_stopped = True
        if self._again is not None:
            self._again.cancel()
        self._task.cancel()
        await asyncio.wait([self._task])

    def _begin(self, was_open: bool) -> None:
        loop = self._session.loop
        self._task = loop.create_task(self._keep(was_open), name="penstock-redis-listen")
        if was_open:  # perhaps in a loop that takes long to end, which does not cancel it again
            self._task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._task.add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        """Begin anew, unless that is the end: but no task in a loop that is about to be closed."""
        self._try_done()
        if not self._is_stopped:
            # Until then messages come in, and if they do not, it was told that some are missing.
            self._again = self._session.loop.call_later(_AGAIN, self._begin, True)

    async def _keep(self, was_open: bool) -> None:
        while True:
            try:
                wire = await self._link.connected()
            except StoreError:
                was_open = was_open or not self._tried.done()
                self._try_done()
                await asyncio.sleep(max(self._link.pause(), 0.01))
                continue
            self._try_done()
            if was_open:
                self._missed()
            was_open = True
            await self._watch(wire)

    def _try_done(self) -> None:
        if not self._tried.done():
            self._tried.set_result(None)

    async def _watch(self, wire: Wire) -> None:
        """Return when the connection is lost; ask now and then whether it is."""
        ended = wire.ended
        while True:
            await asyncio.wait([ended], timeout=_PING_EVERY)
            if ended.done():
                return
            self._session.counts.pings += 1
            try:
                await wire.ask(_PING)
            except StoreError:
                wire.abort("it did not answer a ping")
                return
