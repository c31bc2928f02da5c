"""What the pool rows are connected to: a Redis, and the smallest of web servers, in a process."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.bench._model import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BODY", "has_redis", "redis", "web"]

BODY: Final = b"x" * 100
_RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
_PATIENCE: Final = 10.0


def has_redis() -> bool:
    """Whether there is a server that can be started."""
    return shutil.which("redis-server") is not None


@contextmanager
def redis() -> Iterator[str]:
    """Start a Redis whose ``key`` is set; give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        try:
            _set_key(path)
            yield f"unix://{path}"
        finally:
            server.kill()
            server.wait()


def _set_key(path: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            try:
                connection.connect(str(path))
            except OSError:
                if time.monotonic() > until:
                    msg = "redis-server does not start"
                    raise BenchError(msg) from None
                time.sleep(0.01)
                continue
            connection.sendall(b"SET key %s\r\n" % BODY)
            connection.recv(100)
            return


@contextmanager
def web() -> Iterator[str]:
    """Start a web server that has one answer to everything; give its URL."""
    command = [sys.executable, "-m", __name__]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.kill()
        server.communicate()


class _Answering(asyncio.Protocol):
    """Answers each request whose head has come; none of them has a body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if heads:
            self._transport.write(_RESPONSE * len(heads))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Until whoever started it is gone, however that came about.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
