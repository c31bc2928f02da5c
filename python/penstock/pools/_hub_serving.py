"""A WebSocket that is in a `WebSocketHub` for as long as its server coroutine is in a block."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.errors import ClosedError, LimitExceeded
from penstock.pools._hub_adapters import socket_of
from penstock.pools._hub_client import ClientClosed
from penstock.pools._hub_options import groups_of
from penstock.pools._hub_sockets import Opening

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from penstock.pools._hub_client import HubClient
    from penstock.pools._hub_core import Core
    from penstock.pools._hub_sockets import HubSocket

__all__ = ["Serving"]


class Serving:
    """
    The block of ``serve()``.

    Args:
        core: Of the hub.
        websocket: What is served.
        groups: Which it is in from the start.
    """

    __slots__ = ("_client", "_core", "_groups", "_websocket")

    def __init__(self, core: Core, websocket: object, groups: Iterable[str]) -> None:
        self._core = core
        self._websocket = websocket
        self._groups = groups
        self._client: HubClient | None = None

    async def __aenter__(self) -> HubClient:
        core = self._core
        if self._client is not None:
            raise RuntimeError("this block was entered already, make another")
        core.here()
        socket = socket_of(self._websocket)
        groups = groups_of(self._groups)
        try:
            core.reserve(self._websocket)
        except LimitExceeded:
            await _refuse(socket, 1013, "try again later", core.grace)
            raise
        except ClosedError:
            await _refuse(socket, 1001, "going away", core.grace)
            raise
        try:
            if isinstance(socket, Opening):
                await socket.open()
        except BaseException:
            core.opening.discard(id(self._websocket))
            raise
        try:
            self._client = client = core.add(self._websocket, socket, groups)
        except ClosedError:
            await _refuse(socket, 1001, "going away", core.grace)
            raise
        return client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        client = self._client
        assert client is not None
        is_own = isinstance(error, ClientClosed) and error.client is client
        if error is None or is_own:
            closing = client._begin_close("handler", 1000, "")
        elif isinstance(error, Exception):
            closing = client._begin_close("handler", 1011, "internal error", is_drained=False)
        else:
            # The program, or the server, ends: nobody waits for the peer.
            client._begin_close("handler", 1001, "going away", is_drained=False)
            return False
        if closing is not None:
            await closing.ended()
        return is_own


async def _refuse(socket: HubSocket, code: int, reason: str, seconds: float) -> None:
    """Say why there is no place; not for long."""
    is_polite = False
    try:
        with suppress(Exception):
            async with asyncio.timeout(seconds):
                if isinstance(socket, Opening):
                    await socket.open()
                await socket.close(code, reason)
                is_polite = True
    finally:
        if not is_polite:
            with suppress(Exception):
                socket.abort()
