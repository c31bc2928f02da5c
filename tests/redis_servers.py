"""Real Redis servers of a test's own: started, stopped, killed, frozen and restarted at will."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    import pytest

    needs_redis: pytest.MarkDecorator

__all__ = ["LIMIT", "RedisServer", "free_port", "needs_redis", "redis_program"]

#: Seconds after which something that should have happened has not.
LIMIT = 20.0

#: How a server begins unless the test says otherwise: nothing is kept on disk.
_DEFAULTS = {"save": "", "appendonly": "no", "loglevel": "notice", "daemonize": "no"}

#: Not those that every process draws that has begun with the same seed.
_ports = random.SystemRandom()

#: Kills the server and removes its files when the test's process is gone, however it went.
_WATCH = 'read -r _; kill -9 "$1" 2>/dev/null; rm -rf "$2"'


def _problem() -> str:
    if shutil.which("redis-server") is not None:
        return ""
    return "NOT TESTED AGAINST A REAL REDIS: there is no redis-server (Debian: apt install redis)"


def _required() -> bool:
    return any(
        os.environ.get(each, "") not in {"", "0"} for each in ("CI", "PENSTOCK_REQUIRE_NATIVE")
    )


def redis_program() -> str:
    """Return the path of redis-server; without it skip, or fail where all must run."""
    path = shutil.which("redis-server")
    if path is not None:
        return path
    import pytest

    if _required():
        pytest.fail(_problem())
    pytest.skip(_problem())


def __getattr__(name: str) -> object:
    # A child process that only wants a server does without pytest.
    if name != "needs_redis":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    return pytest.mark.skipif(bool(_problem()) and not _required(), reason=_problem() or "-")


def free_port() -> int:
    """
    Return a port of the loopback interface at which nobody listens.

    Not one that the kernel gives to those who connect: while a server is away, nobody else
    must take its port, and nobody must be connected to himself.
    """
    while True:
        port = _ports.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """
    A redis-server on a loopback port, with a directory of its own; killed with the test.

    Args:
        port: Where it listens; a free one by default. It stays the same over restarts.
        options: Those of redis.conf, with underscores: ``maxmemory="2mb"``, ``requirepass="x"``,
            ``appendonly=True``. A list is an option that is given several times.
    """

    def __init__(self, *, port: int | None = None, **options: Any) -> None:
        self.program = redis_program()
        self.port = port or free_port()
        self._fixed = port is not None
        self.options = options
        self.home = Path(tempfile.mkdtemp(prefix="penstock-redis-"))
        self.process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        self.frozen = False

    @property
    def password(self) -> str | None:
        return self.options.get("requirepass")

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """Where it is, for a client: with its password, if it has one."""
        return self.url_at(self.port)

    def url_at(self, port: int, *, database: int = 0) -> str:
        """Return the URL of this server behind another port, as that of a proxy."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{port}/{database}"

    # -- its life ---------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start it, and return when it answers."""
        assert self.process is None, "it runs"
        self.home.mkdir(exist_ok=True)
        until = time.monotonic() + LIMIT
        while not self._launch(until):
            # Somebody else was quicker. Of a server that was here before the port is the point.
            assert not self._fixed, self.log()
            assert time.monotonic() < until, self.log()
            self.port = free_port()
        self._fixed = True
        return self

    def _launch(self, until: float) -> bool:
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                [self.program, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write("\n".join(self._config()).encode())
        self.process = process
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(process.pid), str(self.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None:
            with contextlib.suppress(OSError):
                if self._answers():
                    return True
            assert time.monotonic() < until, f"it does not answer\n{self.log()}"
            time.sleep(0.005)
        self._reap()
        assert "Address already in use" in self.log(), self.log()
        return False

    def _config(self) -> Iterator[str]:
        settings = {**_DEFAULTS, "bind": "127.0.0.1", "port": self.port, "dir": str(self.home)}
        for name, value in {**settings, **self.options}.items():
            for each in value if isinstance(value, list) else [value]:
                word = {True: "yes", False: "no"}[each] if isinstance(each, bool) else str(each)
                yield f"{name.replace('_', '-')} {word or chr(34) * 2}"
        yield ""

    def _answers(self) -> bool:
        """Whether it does what it is told, and is not still reading its files."""
        with _Line(self.address, LIMIT) as line:
            reply = line.ask("PING")
        return not str(reply).startswith("LOADING")

    def stop(self) -> None:
        """Stop it in good order: it writes what it has to, and closes its connections."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, running or frozen."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            if how != signal.SIGKILL:
                self.thaw()
            self.process.wait(LIMIT)
            self._reap()

    def _reap(self) -> None:
        """Forget a process that has ended; first of all who would kill it by its number."""
        assert self.process is not None
        assert self._watch is not None
        self._watch.kill()
        self._watch.wait()
        assert self._watch.stdin is not None
        self._watch.stdin.close()
        self.process = self._watch = None
        self.frozen = False

    def freeze(self) -> None:
        """Stop it where it is, and return when it stands; connections stay open, mute."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on, if it is frozen."""
        if self.frozen:
            assert self.process is not None
            self.process.send_signal(signal.SIGCONT)
            self.frozen = False

    def restart(self, *, kill: bool = False, forget: bool = False) -> None:
        """
        Start it again on the same port, and return when it answers.

        Args:
            kill: End it by SIGKILL. Then it remembers only what ``appendonly`` has on disk.
            forget: Begin with nothing, whatever is on disk.
        """
        self._end(signal.SIGKILL if kill else signal.SIGTERM)
        if forget:
            for each in self.home.iterdir():
                if each.name != "log":
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
        self.start()

    def close(self) -> None:
        """Kill it and remove its files."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start() if self.process is None else self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what one asks it -------------------------------------------------------------------------

    def cli(self, *args: str | bytes | float, database: int = 0) -> Any:
        """
        Return the reply to a command, over a connection of its own; strings as str.

        Raises:
            hiredis.ReplyError: It refuses.
        """
        with _Line(self.address, LIMIT) as line:
            for before in (
                ("AUTH", self.password) if self.password else (),
                ("SELECT", database) if database else (),
            ):
                if before:
                    _checked(line.ask(*before))
            return _checked(line.ask(*args))

    def info(self, section: str, field: str) -> str:
        """Return one field of INFO."""
        lines = str(self.cli("INFO", section)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)[field]

    def connections(self) -> int:
        """How many clients are connected, the one that asks not counted."""
        return int(self.info("clients", "connected_clients")) - 1

    def log(self) -> str:
        """What it has printed so far."""
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""


class _Line:
    """A connection that waits for each reply."""

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        import hiredis

        self._socket = socket.create_connection(address, timeout)
        self._reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")

    def ask(self, *args: str | bytes | float) -> Any:
        import hiredis

        command: Any = args
        self._socket.sendall(hiredis.pack_command(command))
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("the server has closed the connection")
            self._reader.feed(data)
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _checked(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
