"""A Redis server for the length of a row, on the loopback interface, that can be frozen."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from penstock.bench._model import BenchError
from penstock.bench._subjects import MissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RedisServer", "redis_server"]

#: Seconds that a server may take to start.
_PATIENCE: Final = 20.0


class RedisServer(NamedTuple):
    """Where it is, and its process."""

    url: str
    process: subprocess.Popen[bytes]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it where it is for the length of the block; connections stay open, mute."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            os.waitpid(self.process.pid, os.WUNTRACED)  # until it stands
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """
    Run a Redis server that keeps nothing.

    Raises:
        MissingError: There is no redis-server.
        BenchError: It does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        msg = "there is no redis-server"
        raise MissingError(msg)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [program, *options, "--dir", folder], stdout=subprocess.DEVNULL
        ) as process,
    ):
        try:
            _wait_for(port, process)
            yield RedisServer(f"redis://127.0.0.1:{port}/0", process)
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
            line.sendall(b"PING\r\n")
            if line.recv(100).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    msg = "redis-server does not start"
    raise BenchError(msg)
