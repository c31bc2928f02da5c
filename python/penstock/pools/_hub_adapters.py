"""The WebSockets of Starlette, of aiohttp and of websockets, as a `WebSocketHub` sees them."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from penstock.pools._hub_eager import begin
from penstock.pools._hub_sockets import HubSocket

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable

    from penstock.pools._hub_sockets import Data

__all__ = ["AiohttpSocket", "StarletteSocket", "WebsocketsSocket", "socket_of"]

#: How the protocol calls a connection that was lost without a goodbye.
_LOST = 1006


class StarletteSocket:
    """A ``WebSocket`` of Starlette or FastAPI: ASGI knows no pings, and shows no transport."""

    __slots__ = ("_left", "_websocket", "close_code", "close_reason")

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        from starlette.websockets import WebSocketDisconnect

        self._left = WebSocketDisconnect
        self.close_code: int | None = None
        self.close_reason = ""

    async def open(self) -> None:
        """Accept it, unless it was."""
        if self._websocket.application_state.name == "CONNECTING":
            await self._websocket.accept()

    async def receive(self) -> Data | None:
        """Return the next message, None when the peer has left."""
        websocket = self._websocket
        if websocket.client_state.name == "DISCONNECTED":
            return None
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            self.close_code = message.get("code", 1005)
            self.close_reason = message.get("reason") or ""
            return None
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return data if text is None else text

    async def send(self, data: Data) -> None:
        """Send a message."""
        try:
            if isinstance(data, str):
                await self._websocket.send_text(data)
            else:
                await self._websocket.send_bytes(data)
        except self._left as error:
            raise ConnectionResetError("the client has left") from error

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye; the server waits for the peer."""
        websocket = self._websocket
        states = websocket.application_state.name, websocket.client_state.name
        if "DISCONNECTED" not in states:
            await websocket.close(code, reason)

    def abort(self) -> None:
        """Do nothing: the server drops the connection when its application returns."""


class AiohttpSocket:
    """A ``web.WebSocketResponse`` that was prepared."""

    __slots__ = ("_pong", "_types", "_websocket", "close_code", "close_reason")

    def __init__(self, websocket: Any) -> None:
        if not websocket.prepared:
            raise ValueError("a WebSocketResponse must be prepared first")
        self._websocket = websocket
        self._types: Any = sys.modules["aiohttp"].WSMsgType
        self._pong: Future[object] | None = None
        self.close_code: int | None = None
        self.close_reason = ""

    async def receive(self) -> Data | None:
        """Return the next message, None when the peer has left."""
        websocket, types = self._websocket, self._types
        # It would keep to itself that there was a pong, which is what tells that the peer lives.
        # Not before it is read for the hub: one that is refused goes on by itself.
        websocket._autoping = False
        while True:
            if websocket.closed:
                self.close_code = websocket.close_code
                return None
            message = await websocket.receive()
            kind = message.type
            if kind is types.TEXT or kind is types.BINARY:
                data: Data = message.data
                return data
            if kind is types.PING:
                await websocket.pong(message.data)
            elif kind is types.PONG:
                self._answered()
            else:
                self.close_code = websocket.close_code or _LOST
                self.close_reason = message.extra or "" if kind is types.CLOSE else ""
                return None

    def _answered(self) -> None:
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(None)

    async def ping(self) -> Future[object] | None:
        """Send one; return what is done when `receive` has come across the answer."""
        self._pong = pong = asyncio.get_running_loop().create_future()
        await self._websocket.ping()
        return pong

    async def send(self, data: Data) -> None:
        """Send a message."""
        if isinstance(data, str):
            await self._websocket.send_str(data)
        else:
            await self._websocket.send_bytes(data)

    def begin(self, data: Data) -> Awaitable[object] | Literal[False] | None:
        """Send as far as that goes without waiting."""
        send = self._websocket.send_str if isinstance(data, str) else self._websocket.send_bytes
        return begin(send(data))

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the peer."""
        await self._websocket.close(code=code, message=reason.encode())

    def abort(self) -> None:
        """Drop the connection."""
        transport = getattr(getattr(self._websocket, "_writer", None), "transport", None)
        if transport is not None:
            transport.abort()


class WebsocketsSocket:
    """A ``ServerConnection`` of websockets."""

    __slots__ = ("_broadcast", "_closed", "_open", "_websocket")

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        from websockets.asyncio.server import broadcast
        from websockets.exceptions import ConnectionClosed
        from websockets.protocol import State

        self._broadcast, self._closed, self._open = broadcast, ConnectionClosed, State.OPEN

    @property
    def close_code(self) -> int | None:
        """The code with which the connection ended, None while it lives."""
        code: int | None = self._websocket.close_code
        return code

    @property
    def close_reason(self) -> str:
        """The reason that was given for it."""
        return self._websocket.close_reason or ""

    async def receive(self) -> Data | None:
        """Return the next message, None when the peer has left."""
        try:
            data: Data = await self._websocket.recv()
        except self._closed:
            return None
        return data

    async def ping(self) -> Future[object] | None:
        """Send one; return what is done when the answer is there."""
        try:
            waiter: Future[object] = await self._websocket.ping()
        except self._closed as error:
            raise ConnectionResetError("the client has left") from error
        return waiter

    async def send(self, data: Data) -> None:
        """Send a message."""
        try:
            await self._websocket.send(data)
        except self._closed as error:
            raise ConnectionResetError("the client has left") from error

    def begin(self, data: Data) -> Literal[False] | None:
        """Send a message if nothing waits to be sent."""
        websocket = self._websocket
        if websocket.state is not self._open or websocket.transport.get_write_buffer_size():
            return False
        self._broadcast((websocket,), data, raise_exceptions=True)
        return None

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the peer."""
        await self._websocket.close(code, reason)

    def abort(self) -> None:
        """Drop the connection."""
        with suppress(AttributeError):  # it never had one
            self._websocket.transport.abort()


#: Where the classes are; a server whose module nobody has imported has made no WebSocket.
_KINDS = (
    ("websockets.asyncio.connection", "Connection", WebsocketsSocket),
    ("aiohttp.web", "WebSocketResponse", AiohttpSocket),
    ("starlette.websockets", "WebSocket", StarletteSocket),
)


def socket_of(websocket: object) -> HubSocket:
    """
    Return *websocket* as a hub sees it.

    Raises:
        TypeError: It is of no kind that is known, and no `HubSocket`.
        ValueError: It was not prepared.
    """
    for module, name, adapter in _KINDS:
        cls = getattr(sys.modules.get(module), name, None)
        if cls is not None and isinstance(websocket, cls):
            return adapter(websocket)
    if isinstance(websocket, HubSocket):
        return websocket
    known = "Starlette, aiohttp or websockets, or have receive, send, close and abort"
    raise TypeError(f"websocket must be one of {known}, got {type(websocket).__name__}")
