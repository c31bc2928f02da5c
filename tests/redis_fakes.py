"""A server that speaks RESP and says what a test tells it to, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from typing import Self

__all__ = ["Command", "FakeRedis", "bulk"]

Command = list[bytes]
#: What to send back: bytes; None for what a server would say; or raises ConnectionError to hang up.
Answer = Callable[[Command], bytes | None]

_HELLO = b"%2\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n"
_TIME = b"*2\r\n$16\r\n1700000000000000\r\n$1\r\n0\r\n"


def bulk(*items: bytes | None) -> bytes:
    """Return an array of strings."""
    parts = [b"$-1\r\n" if each is None else b"$%d\r\n%s\r\n" % (len(each), each) for each in items]
    return b"*%d\r\n%s" % (len(items), b"".join(parts))


class FakeRedis:
    """
    The server.

    Args:
        answer: Is asked for the reply to each command; by default all is well.
        tls: What it shows to who connects.

    Attributes:
        commands: All that came, in order.
        accepted: How many connections there were.
    """

    def __init__(
        self, answer: Answer = lambda command: None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self._tls = tls
        self.commands: list[Command] = []
        self.accepted = 0
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'redis' if self._tls is None else 'rediss'}://127.0.0.1:{self.port}"

    def count(self, name: bytes) -> int:
        """How many commands of that name came."""
        return sum(command[0] == name for command in self.commands)

    def usual(self, command: Command) -> bytes:
        """Return what a server says."""
        name = command[0]
        if name == b"HELLO":
            return _HELLO
        if name == b"TIME":
            return _TIME
        if name == b"MGET":
            return bulk(b"5 0 1 1 0", *[None] * (len(command) - 2))
        if name == b"SUBSCRIBE":
            return b">3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"
        if name == b"PING":
            return b"+PONG\r\n"
        return b"+OK\r\n"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import hiredis

        self.accepted += 1
        self.writers.append(writer)
        commands: Any = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    self.commands.append(command)
                    reply = self.answer(command)
                    writer.write(self.usual(command) if reply is None else reply)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0)
