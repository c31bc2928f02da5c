"""Where a Redis server is and how one introduces oneself: what the URL says."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from penstock.errors import StoreError, StoreUnavailable
from penstock.pools._redis_url import settings_of
from penstock.stores._redis_errors import Refusal, error_of, is_passing
from penstock.stores._redis_wire import pack_command

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, BaseTransport
    from ssl import SSLContext

    from penstock.stores._redis_wire import Wire

__all__ = ["Address"]

#: Options of redis-py in a URL that mean nothing here: this is one connection, with one protocol.
_IGNORED: Final = frozenset(
    {
        *("decode_responses", "encoding", "encoding_errors", "health_check_interval"),
        *("legacy_responses", "max_connections", "protocol", "retry_on_error", "retry_on_timeout"),
        *("socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_timeout"),
        *("timeout", "lib_name", "lib_version"),
    }
)
_KNOWN: Final = frozenset({"client_name", "db", "host", "password", "path", "port", "username"})
#: Seconds of idleness after which the system asks whether the other side is there, how often, and
#: at what intervals.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Address:
    """
    The server that a URL names.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with the options that redis-py knows.

    Raises:
        TypeError: It is no str.
        ValueError: It is no such URL, has an option that is not known, or a database that is no
            number.
    """

    __slots__ = ("_host", "_is_tls", "_name", "_password", "_path", "_port", "_tls", "_user", "db")

    def __init__(self, url: str) -> None:
        if not isinstance(url, str):
            raise TypeError(f"url must be a str, got {type(url).__name__}")
        found = settings_of(url)
        kind = found.pop("connection_class", None)
        self._is_tls = kind is SSLConnection
        self._tls: SSLContext | None = None
        options = {name: found[name] for name in found if name.startswith("ssl_")}
        unknown = sorted(found.keys() - options.keys() - _KNOWN - _IGNORED)
        if unknown or (options and not self._is_tls):
            what = ", ".join(unknown or sorted(options))
            raise ValueError(f"the URL of a Redis server has no option {what}")
        self._path: str | None = found.get("path") if kind is UnixDomainSocketConnection else None
        if kind is UnixDomainSocketConnection and not self._path:
            raise ValueError("a unix:// URL must have the path of a socket")
        self._host = str(found.get("host", "localhost"))
        self._port = int(found.get("port", 6379))
        self._user: str | None = found.get("username")
        self._password: str | None = found.get("password")
        self._name: str | None = found.get("client_name")
        self.db: int = found.get("db", 0)
        if self._is_tls:
            # Read once: certificates come from files.
            made = SSLConnection(host=self._host, port=self._port, **options)
            self._tls = cast("Any", made).ssl_context.get()

    def __str__(self) -> str:
        """Without user and password: it is in messages."""
        return self._path or f"{self._host}:{self._port}"

    async def open(self, loop: AbstractEventLoop, wire: Wire) -> None:
        """
        Connect *wire*.

        Raises:
            OSError: Nobody is there.
        """
        if self._path is not None:
            await loop.create_unix_connection(lambda: wire, self._path)
            return
        transport, _ = await loop.create_connection(
            lambda: wire, self._host, self._port, ssl=self._tls, happy_eyeballs_delay=0.25
        )
        _keep_alive(transport)

    async def greet(self, wire: Wire) -> int:
        """
        Tell the server who is there, and which database is wanted.

        Args:
            wire: Connected.

        Returns:
            The number that the server gives the connection, 0 if it gives none.

        Raises:
            StoreError: It refuses.
        """
        hello: list[str] = ["HELLO", "3"]
        if self._password is not None:
            hello += ["AUTH", self._user or "default", self._password]
        hello += ["SETNAME", self._name or "penstock"]
        reply = await wire.ask(pack_command(tuple(hello)))
        if isinstance(reply, Refusal):
            raise self._unwelcome(reply)
        if not isinstance(reply, dict):
            raise StoreUnavailable(f"what is at {self} does not introduce itself as Redis")
        number = reply.get(b"id")
        if self.db:
            reply = await wire.ask(pack_command(("SELECT", self.db)))
            if isinstance(reply, Refusal):
                raise self._unwelcome(reply)
        return number if isinstance(number, int) else 0

    def _unwelcome(self, refusal: Refusal) -> StoreError:
        text = str(refusal)
        if "unknown command" in text.lower() or refusal.code == "NOPROTO":
            message = f"the server at {self} speaks no RESP3: RedisStore needs Redis 6 or newer"
            return StoreError(message)
        if "without any password configured" in text:
            return StoreError(f"Redis at {self} refuses: {text}; it has no password: give none")
        if is_passing(refusal):
            return StoreUnavailable(f"Redis at {self} is not ready: {text}")
        return error_of(refusal, str(self))


def _keep_alive(transport: BaseTransport) -> None:
    """Let the system notice a server that is gone without a word."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None:
        return
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            option = getattr(socket, name, None)  # not every system has all of them
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
