"""WebSockets of tests: peers that answer, freeze, leave and misbehave when told to."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

from penstock.pools._hub import WebSocketHub
from penstock.pools._hub_client import HubClient
from penstock.pools._hub_eager import begin

__all__ = ["AsgiSocket", "EagerSocket", "FakeSocket", "QuickSocket", "accounts", "each_kind"]


class AsgiSocket:
    """One of a server without pings, whose transport nobody can reach."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.sent: list[str | bytes] = []
        #: What was said at the end by the server, and by the peer.
        self.goodbye: tuple[int, str] | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self.aborted = 0
        #: Whether the peer takes what is sent, and whether it says goodbye, too.
        self.is_frozen = False
        self.is_polite = True
        #: What sending, receiving and closing raise.
        self.error: Exception | None = None
        self._incoming: deque[str | bytes | None] = deque()
        self._wakes: list[asyncio.Future[None]] = []

    async def _wait(self) -> None:
        future = self.loop.create_future()
        self._wakes.append(future)
        try:
            await future
        finally:
            self._wakes.remove(future)

    def wake(self) -> None:
        """Let everybody look again."""
        for future in self._wakes:
            if not future.done():
                future.set_result(None)

    # --- what the peer does -----------------------------------------------------------------------

    def says(self, *messages: str | bytes) -> None:
        """Send messages to the server."""
        self._incoming.extend(messages)
        self.wake()

    def leaves(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        self.close_code, self.close_reason = code, reason
        self._incoming.append(None)
        self.wake()

    def freezes(self) -> None:
        """Take nothing more, and answer nothing, with full buffers in between."""
        self.is_frozen, self.is_polite = True, False

    def thaws(self) -> None:
        """Go on."""
        self.is_frozen, self.is_polite = False, True
        self.wake()

    # --- what the hub does ------------------------------------------------------------------------

    async def receive(self) -> str | bytes | None:
        while not self._incoming:
            if self.error is not None:
                raise self.error
            await self._wait()
        message = self._incoming.popleft()
        if message is None:
            self._incoming.append(None)
        return message

    async def send(self, data: str | bytes) -> None:
        while self.is_frozen:
            if self.error is not None:
                raise self.error
            await self._wait()
        if self.error is not None:
            raise self.error
        await asyncio.sleep(0)
        self.sent.append(data)

    async def close(self, code: int, reason: str) -> None:
        if self.error is not None:
            raise self.error
        self.goodbye = code, reason
        while not self.is_polite:
            await self._wait()

    def abort(self) -> None:
        self.aborted += 1


class FakeSocket(AsgiSocket):
    """One with pings, whose transport can be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.pings = 0
        #: Whether answers are among what is received, as with aiohttp.
        self.pong_is_read = False
        self._pong: asyncio.Future[object] | None = None

    async def receive(self) -> str | bytes | None:
        while True:
            message = await super().receive()
            if message != b"pong":
                return message
            assert self._pong is not None
            if not self._pong.done():
                self._pong.set_result(None)

    async def ping(self) -> asyncio.Future[object]:
        self.pings += 1
        self._pong = pong = self.loop.create_future()
        if not self.is_frozen:
            if self.pong_is_read:
                self.says(b"pong")
            else:
                self.loop.call_soon(pong.set_result, None)
        return pong

    def abort(self) -> None:
        super().abort()
        self.leaves(1006)


class QuickSocket(FakeSocket):
    """One that sends without a task if nothing is in the way."""

    def begin(self, data: str | bytes) -> Any:
        if self.error is not None:
            raise self.error
        if self.is_frozen:
            return False
        self.sent.append(data)
        return None


class EagerSocket(FakeSocket):
    """One that begins with a message at once, and ends it in a task if it has to wait."""

    def begin(self, data: str | bytes) -> Any:
        return begin(self.send(data))


each_kind = pytest.mark.parametrize("kind", [AsgiSocket, FakeSocket, QuickSocket, EagerSocket])


def accounts(hub: WebSocketHub) -> None:
    """Check that every client, and every message, is in one place."""
    stats = hub.stats()
    causes = ("peer", "handler", "hub", "idle", "health", "slow", "error")
    closed = sum(getattr(stats, f"closed_{cause}") for cause in causes)
    assert stats.accepted == stats.connections + closed
    assert stats.connections == len(hub) == len(hub.clients())
    assert all(isinstance(client, HubClient) for client in hub.clients())
