"""What a `WebSocketHub` asks of a WebSocket, whichever server it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable

__all__ = ["Beginning", "Data", "HubSocket", "Opening", "Pinging", "data_of", "size_of"]

Data = str | bytes


@runtime_checkable
class HubSocket(Protocol):
    """
    A WebSocket as a hub sees it; whatever has these four methods can be handed to one.

    It may also have ``close_code`` and ``close_reason``, which tell how the peer has left, and what
    `Pinging`, `Opening` and `Beginning` say.
    """

    async def receive(self) -> Data | None:
        """Return the next message, None when the peer has left. Has to bear being cancelled."""
        ...

    async def send(self, data: Data) -> None:
        """Return when the message was handed over, and there is room for another one."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the peer; is cancelled when that takes too long."""
        ...

    def abort(self) -> None:
        """Drop the connection at once, as far as that is possible."""
        ...


@runtime_checkable
class Pinging(Protocol):
    """A socket whose protocol has pings."""

    async def ping(self) -> Future[object] | None:
        """Send one; return what is done when the answer is there, None if `receive` tells."""
        ...


@runtime_checkable
class Opening(Protocol):
    """A socket that has to be accepted."""

    async def open(self) -> None:
        """Accept it, unless it was."""
        ...


@runtime_checkable
class Beginning(Protocol):
    """A socket that may send without a task."""

    def begin(self, data: Data) -> Awaitable[object] | Literal[False] | None:
        """
        Send as far as that goes without waiting.

        Returns:
            None: it was sent. False: nothing was done. Otherwise what to await for the rest.
        """
        ...


def data_of(data: object) -> Data:
    """
    Return a message that does not change any more.

    Raises:
        TypeError: It is neither a text nor bytes.
    """
    if isinstance(data, str | bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"data must be str or bytes, got {type(data).__name__}")


def size_of(data: Data) -> int:
    """Return how many bytes a message has on its way."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
