"""Connections of redis-py that know what is left of their users, and a pool of redis-py."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool

from penstock.pools._redis_session import Session
from penstock.pools._redis_url import settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio.connection import AbstractConnection

    from penstock.pools._redis import RedisPool

__all__ = [
    "Adapter",
    "address_of",
    "client_of",
    "connect",
    "connecting",
    "is_clean",
    "ping",
    "terminate",
]


_classes: dict[type, type] = {}


def _class_of(kind: type) -> type:
    found = _classes.get(kind)
    if found is None:
        found = _classes[kind] = type(f"Pooled{kind.__name__}", (Session, kind), {})
    return found


async def connect(connection: Any) -> None:
    """Connect; what the attempts that failed were owed does not count, nor how it logs in."""
    try:
        await connection.connect()
    except BaseException:
        terminate(connection)
        raise
    connection.begin_session()


def connecting(url: str, options: Mapping[str, Any]) -> tuple[type, dict[str, Any]]:
    """Return the class of connections to *url*, and what it takes; a URL's own options win."""
    settings: dict[str, Any] = {**options, **settings_of(url)}
    kind = settings.pop("connection_class", Connection)
    return _class_of(kind), settings


def address_of(settings: Mapping[str, Any]) -> str:
    """Return what may be shown of where a server is: passwords are in options of a URL as well."""
    if "path" in settings:
        return str(settings["path"])
    host, port = settings.get("host", "localhost"), settings.get("port", 6379)
    return f"{host}:{port}/{settings.get('db', 0)}"


def is_clean(connection: Any) -> bool:
    """Whether it is connected, and neither the server nor redis-py has anything left of a user."""
    reader, writer = connection._reader, connection._writer
    if writer is None or reader is None or connection.left_behind:
        return False
    if connection.sent != connection.read:
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
