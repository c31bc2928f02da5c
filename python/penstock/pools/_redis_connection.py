"""Connections of redis-py that know how many replies they are owed, and a pool of redis-py."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, cast

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio.connection import AbstractConnection

    from penstock.pools._redis import RedisPool

__all__ = ["Adapter", "client_of", "connect", "connecting", "is_clean", "ping", "terminate"]


class _Owed:
    """
    Counts commands that were packed, less replies that were read.

    A connection that is owed something, or was given something that nobody asked for, would give
    the next one a reply that is not his. redis-py drops its connections where it sees that a
    command broke off; this also notices where it does not.
    """

    owed = 0
    #: What was taken that nobody was owed cannot be made good.
    is_spoilt = False
    if TYPE_CHECKING:
        _reader: Any
        _writer: Any
        _parser: Any

    # Called by pack_commands() of redis-py as well, for each of a pipeline.
    def pack_command(self, *args: Any) -> list[bytes]:
        self.owed += 1
        return cast("list[bytes]", super().pack_command(*args))  # type: ignore[misc]

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            response = await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except ResponseError:
            self._has_read()
            raise
        self._has_read()
        return response

    def _has_read(self) -> None:
        self.owed -= 1
        if self.owed < 0:
            self.is_spoilt = True


_classes: dict[type, type] = {}


def _class_of(kind: type) -> type:
    found = _classes.get(kind)
    if found is None:
        found = _classes[kind] = type(f"Pooled{kind.__name__}", (_Owed, kind), {})
    return found


async def connect(connection: Any) -> None:
    """Connect; what the attempts that failed were owed does not count."""
    try:
        await connection.connect()
    except BaseException:
        terminate(connection)
        raise
    connection.owed = 0


def connecting(url: str, options: Mapping[str, Any]) -> tuple[type, dict[str, Any]]:
    """Return the class of connections to *url*, and what it takes; a URL's own options win."""
    settings: dict[str, Any] = {**options, **parse_url(url)}
    kind = settings.pop("connection_class", Connection)
    return _class_of(kind), settings


def is_clean(connection: Any) -> bool:
    """Whether it is connected, and neither owes a reply nor has one that nobody asked for."""
    reader, writer = connection._reader, connection._writer
    if writer is None or reader is None or connection.owed or connection.is_spoilt:
        return False
    if reader._buffer or reader.at_eof() or writer.transport.is_closing():
        return False
    if getattr(connection, "_re_auth_token", None) is not None or getattr(
        connection, "_should_reconnect", False
    ):
        return False
    parser = connection._parser
    inner = getattr(parser, "_reader", None)
    return inner is None or not inner.has_data()


async def ping(connection: Any) -> None:
    """Ask the server whether it is there."""
    await connection.send_command("PING", check_health=False)
    await connection.read_response()


def terminate(connection: Any) -> None:
    """Cut a connection off, without a word to the server."""
    writer = connection._writer
    connection._reader = connection._writer = None
    connection._parser.on_disconnect()
    if writer is not None:
        writer.transport.abort()


class Adapter(ConnectionPool):  # type: ignore[type-arg,unused-ignore]
    """What redis-py takes for its own pool; connections come from ours, and go back there."""

    def __init__(self, pool: RedisPool, kind: type, settings: dict[str, Any], most: int) -> None:
        # Their own counter of connections is told about each of them only where they are used.
        extra: dict[str, Any] = {}
        if "maint_notifications_config" in signature(ConnectionPool.__init__).parameters:
            from redis.maint_notifications import MaintNotificationsConfig

            extra["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
        super().__init__(kind, most, **{**extra, **settings})
        self._pool = pool

    async def get_connection(self, *args: Any, **kwargs: Any) -> AbstractConnection:
        connection: AbstractConnection = await self._pool.acquire()
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        # Nothing is awaited here: whoever is cancelled is not cancelled once more in between.
        self._pool.release(connection)

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        pass

    async def disconnect(self, inuse_connections: bool = True) -> None:
        pass

    async def aclose(self) -> None:
        await self._pool.aclose()

    def can_get_connection(self) -> bool:
        return not self._pool.closed

    def get_connection_count(self) -> list[tuple[int, dict[str, Any]]]:
        stats = self._pool.stats()
        return [
            (stats.idle, {"db.client.connection.state": "idle"}),
            (stats.leased, {"db.client.connection.state": "used"}),
        ]

    def __repr__(self) -> str:
        return f"<connections of {self._pool!r}>"


def client_of(adapter: Adapter) -> Redis:
    """Return a client that uses our connections."""
    return Redis(connection_pool=adapter)
