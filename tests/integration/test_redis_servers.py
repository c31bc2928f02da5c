"""The servers that tests start for themselves live and die as they are told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.redis_servers import LIMIT, RedisServer, needs_redis

hiredis = pytest.importorskip("hiredis")

pytestmark = needs_redis

_ROOT = Path(__file__).parents[2]


def test_it_answers_when_it_has_started() -> None:
    with RedisServer(maxmemory="5mb") as server:
        assert server.cli("SET", "a", "ä") == "OK"
        assert server.cli("GET", "a") == "ä"
        assert server.cli("CONFIG", "GET", "maxmemory")[1] == str(5 << 20)
        assert server.connections() == 0


def test_a_refusal_is_an_error() -> None:
    with RedisServer() as server, pytest.raises(hiredis.ReplyError, match="unknown command"):
        server.cli("NO")


def test_a_password_is_asked_for() -> None:
    with RedisServer(requirepass="secret") as server:
        assert server.url == f"redis://:secret@127.0.0.1:{server.port}/0"
        assert server.cli("PING", database=3) == "PONG"
        server.options = {}
        with pytest.raises(hiredis.ReplyError, match="NOAUTH"):
            server.cli("PING")


@pytest.mark.parametrize(
    ("options", "how", "kept"),
    [
        ({}, {"kill": True}, None),
        ({"appendonly": True, "appendfsync": "always"}, {"kill": True}, "b"),
        ({"appendonly": True}, {}, "b"),
        ({"appendonly": True}, {"forget": True}, None),
    ],
)
def test_it_comes_back_at_its_port(options: dict, how: dict, kept: str | None) -> None:
    with RedisServer(**options) as server:
        port = server.port
        server.cli("SET", "a", "b")
        server.restart(**how)
        assert server.port == port
        assert server.cli("GET", "a") == kept


def test_frozen_it_takes_connections_and_says_nothing() -> None:
    with RedisServer() as server:
        server.freeze()
        with socket.create_connection(server.address) as connection:
            connection.sendall(b"PING\r\n")
            connection.settimeout(0.05)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            server.thaw()
            connection.settimeout(LIMIT)
            assert connection.recv(7) == b"+PONG\r\n"
        server.freeze()
        server.restart()
        assert server.cli("PING") == "PONG"


def test_a_killed_server_refuses() -> None:
    with RedisServer() as server:
        server.kill()
        with pytest.raises(ConnectionRefusedError):
            server.cli("PING")


_LEAVES_IT = """
import os
from tests.redis_servers import RedisServer
server = RedisServer().start()
print(server.process.pid, server.home, flush=True)
os._exit(1)
"""


def test_it_ends_with_the_process_that_has_started_it() -> None:
    path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
    child = subprocess.run(
        [sys.executable, "-c", _LEAVES_IT],
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert child.stderr == ""
    home = Path(child.stdout.split()[1])
    assert home.name.startswith("penstock-redis-")
    until = time.monotonic() + LIMIT
    while home.exists():  # removed last of all, by nobody who could tell
        assert time.monotonic() < until
        time.sleep(0.01)
