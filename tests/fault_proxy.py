"""A TCP proxy that does to connections whatever networks do: for tests of what is behind them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from tests.redis_servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

__all__ = ["FaultProxy"]

_CHUNK = 65536
#: Seconds after which something that should have happened has not.
_LIMIT = 20.0
#: SO_LINGER with no time: closing sends a reset, and what was not sent yet is lost.
_RESET = struct.pack("ii", 1, 0)


class FaultProxy:
    """
    Stands between clients and a server, in the event loop of the test.

    A fault is set for all connections, those that are there and those to come, and lasts until
    ``heal()``; but a cut and garbage happen once.

    Args:
        host: Where the server is.
        port: The same.

    Attributes:
        port: Where the proxy listens.
        accepted: How many connections there were.
        requested: Bytes that came from clients.
        replied: Bytes that went to clients.
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Condition()
        self.accepted = self.requested = self.replied = 0
        self._may_ask = asyncio.Event()
        self._may_reply = asyncio.Event()
        self._may_ask.set()
        self._may_reply.set()
        #: Bytes of replies until the cut, or None; whether it is a reset.
        self._left: int | None = None
        self._reset = False
        self._garbage = b""
        self._half = False
        self._swallow = False
        self._piece = _CHUNK

    # -- faults -----------------------------------------------------------------------------------

    def cut_after(self, size: int, *, reset: bool = False) -> None:
        """Cut the connection that gets to it after *size* more bytes of replies; 0: before any."""
        self._left, self._reset = size, reset

    def hold(self) -> None:
        """Let requests through and keep replies back, until ``let_go()``."""
        self._may_reply.clear()

    def let_go(self) -> None:
        """Send what was held."""
        self._may_reply.set()
        self._may_ask.set()

    def freeze(self) -> None:
        """Move nothing in either direction; connections are taken and stay open."""
        self._may_ask.clear()
        self._may_reply.clear()

    def swallow(self) -> None:
        """Let requests through and throw replies away: what was asked for happens, unheard."""
        self._swallow = True

    def garble(self, data: bytes) -> None:
        """Send *data* in place of the next bytes of a reply."""
        self._garbage = data

    def half_close(self) -> None:
        """Say to clients that nothing more will come, and go on to take what they send."""
        self._half = True
        for link in self._links:
            link.half_close()

    def split(self, size: int = 1) -> None:
        """Hand replies on in pieces of *size* bytes."""
        self._piece = size

    def drop(self, *, reset: bool = False) -> None:
        """Cut all connections that there are."""
        for link in list(self._links):
            link.cut(reset=reset)

    def refuse(self) -> None:
        """Cut all connections, and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()

    async def accept(self) -> None:
        """Take connections, at the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def heal(self) -> None:
        """End all faults but what has happened to connections."""
        self._left, self._garbage, self._piece = None, b"", _CHUNK
        self._half = self._swallow = False
        self.let_go()
        await self.accept()

    # -- what is to be seen -----------------------------------------------------------------------

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._links)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that is counted here has come true."""
        async with asyncio.timeout(_LIMIT), self._moved:
            await self._moved.wait_for(condition)

    # -- what it does -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        try:
            upstream = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, upstream[1])
        self._links.add(link)
        await self._tell()
        if self._half:
            link.half_close()
        ends = [
            asyncio.ensure_future(each)
            for each in (
                self._requests(reader, link),
                self._replies(upstream[0], link),
                link.gone.wait(),
            )
        ]
        # Only the end of the test cancels this; streams would log it as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        link.cut()
        self._links.discard(link)
        await self._tell()

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _requests(self, reader: asyncio.StreamReader, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._may_ask.wait()
                self.requested += len(data)
                link.server.write(data)
                await link.server.drain()
                await self._tell()

    async def _replies(self, reader: asyncio.StreamReader, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._may_reply.wait()
                if self._swallow:
                    continue
                if self._garbage:
                    data, self._garbage = self._garbage, b""
                if not await self._hand_on(data, link):
                    break

    async def _hand_on(self, data: bytes, link: _Link) -> bool:
        """Send *data* to the client; False if that was the end of the connection."""
        for at in range(0, len(data), self._piece):
            piece = data[at : at + self._piece]
            last = self._left is not None and len(piece) > self._left
            if last:
                piece = piece[: self._left]
            if self._left is not None:
                self._left = None if last else self._left - len(piece)
            if not link.half_closed:
                link.client.write(piece)
                await link.client.drain()
                self.replied += len(piece)
            if last:
                # The client has what came before, unless it is a reset: that takes it away.
                link.cut(reset=self._reset, flush=not self._reset)
                return False
            # The client sees them one by one: a turn until it is told, one until it reads.
            for _ in range(3):
                await asyncio.sleep(0)
        await self._tell()
        return True


class _Link:
    """A connection to a client, and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.half_closed = False
        self.gone = asyncio.Event()

    def half_close(self) -> None:
        if not self.half_closed:
            self.half_closed = True
            with contextlib.suppress(OSError):
                self.client.write_eof()

    def cut(self, *, reset: bool = False, flush: bool = False) -> None:
        if self.gone.is_set():
            return
        self.gone.set()
        connection = self.client.get_extra_info("socket")
        if reset and connection is not None and connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if flush:
            self.client.close()
        else:
            self.client.transport.abort()
        self.server.transport.abort()
