"""`redis_pool`: connections of redis-py that no cancelled command leaves dirty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.pools._pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

__all__ = ["RedisPool", "redis_pool"]


class RedisPool(Pool["AbstractConnection"]):
    """
    A `Pool` of connections to Redis, and a client that everybody uses it through.

    Made by `redis_pool`, where its options are described.

    Attributes:
        client: A ``redis.asyncio.Redis``: each command, pipeline and subscription has a connection
            of the pool for as long as it takes.
    """

    __slots__ = ("_address", "client")

    client: Redis

    def __init__(self, url: str, settings: dict[str, Any], options: dict[str, Any]) -> None:
        try:
            from penstock.pools import _redis_connection as ours
        except ImportError as error:
            message = "redis_pool needs the extra: pip install 'penstock[redis]'"
            raise ImportError(message) from error
        if not isinstance(url, str):
            raise TypeError(f"url must be a str, got {type(url).__name__}")
        kind, settings = ours.connecting(url, settings)
        adapter = ours.Adapter(self, kind, settings, options["max_size"])

        async def connect() -> AbstractConnection:
            connection: AbstractConnection = kind(**adapter.connection_kwargs)
            await ours.connect(connection)
            return connection

        super().__init__(
            connect,
            check=ours.ping,
            close=lambda connection: connection.disconnect(),
            terminate=ours.terminate,
            is_clean=ours.is_clean,
            **options,
        )
        self._address = ours.address_of(settings)
        self.client = ours.client_of(adapter)

    def __repr__(self) -> str:
        return super().__repr__().replace("(", f"({self._address!r}, ", 1)


def redis_pool(
    url: str = "redis://127.0.0.1:6379/0",
    *,
    max_connections: int = 10,
    min_connections: int = 0,
    acquire_timeout: float | timedelta | None = 5.0,
    max_waiters: int | None = None,
    max_idle: float | timedelta | None = 300.0,
    max_lifetime: float | timedelta | None = 1800.0,
    check_after: float | timedelta = 0.5,
    check_timeout: float | timedelta = 1.0,
    keepalive: float | timedelta | None = None,
    max_connecting: int = 2,
    connect_timeout: float | timedelta = 5.0,
    connect_backoff: tuple[float | timedelta, float | timedelta] = (0.05, 5.0),
    leak_after: float | timedelta | None = None,
    timer: Callable[[], float] | None = None,
    name: str | None = None,
    **options: object,
) -> RedisPool:
    """
    Return a pool of connections to Redis, for redis-py.

    ::

        pool = redis_pool("redis://cache:6379/0", max_connections=20)
        await pool.client.set("k", "v")

    A connection whose command was broken off is cut off: nobody is given the reply of somebody
    else. A connection counts what it is owed, whatever redis-py does when it is cancelled. So is
    one that was left in a transaction or another database, or changed for good in another way.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py takes it.
        max_connections: How many there may be; the others wait.
        min_connections: How many are kept.
        acquire_timeout, max_waiters, max_idle, max_lifetime, check_after, check_timeout, keepalive,
            max_connecting, connect_timeout, connect_backoff, leak_after, timer, name: As in `Pool`.
            A check is a PING.
        options: Of redis-py's connections: ``decode_responses``, ``protocol``, ``username`` ...

    Returns:
        A `Pool` with ``client``.

    Raises:
        ImportError: redis-py is not installed.
        TypeError, ValueError: An argument is of the wrong type, or out of its range; the database
            in *url* is no number.

    Cost: nothing is connected before it is needed.
    """
    settings: dict[str, Any] = dict(options)
    chosen: dict[str, Any] = {
        "max_size": max_connections,
        "min_size": min_connections,
        "acquire_timeout": acquire_timeout,
        "max_waiters": max_waiters,
        "max_idle": max_idle,
        "max_lifetime": max_lifetime,
        "check_after": check_after,
        "check_timeout": check_timeout,
        "keepalive": keepalive,
        "max_connecting": max_connecting,
        "connect_timeout": connect_timeout,
        "connect_backoff": connect_backoff,
        "leak_after": leak_after,
        "timer": timer,
        "name": name,
    }
    return RedisPool(url, settings, chosen)
