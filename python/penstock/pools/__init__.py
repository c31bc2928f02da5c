"""Pools of connections of any kind, to Redis, to SQLite and over HTTP, and a hub of WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._lazy import lazy

if TYPE_CHECKING:
    from penstock.pools._http import HttpPool
    from penstock.pools._http_stats import HostStats, HttpPoolStats
    from penstock.pools._hub import WebSocketHub
    from penstock.pools._hub_client import HubClient
    from penstock.pools._hub_sockets import HubSocket
    from penstock.pools._hub_stats import HubStats
    from penstock.pools._pool import Pool
    from penstock.pools._pool_stats import PoolReport, PoolStats
    from penstock.pools._redis import RedisPool, redis_pool
    from penstock.pools._sqlite_lease import SqliteConnection
    from penstock.pools._sqlite_pool import SqlitePool
    from penstock.pools._sqlite_stats import SqlitePoolStats
    from penstock.pools._sqlite_work import SqliteResult

__all__ = [
    "HostStats",
    "HttpPool",
    "HttpPoolStats",
    "HubClient",
    "HubSocket",
    "HubStats",
    "Pool",
    "PoolReport",
    "PoolStats",
    "RedisPool",
    "SqliteConnection",
    "SqlitePool",
    "SqlitePoolStats",
    "SqliteResult",
    "WebSocketHub",
    "redis_pool",
]

# Where each name is; a module is imported when its first name is asked for.
_HOMES = {
    "HostStats": "penstock.pools._http_stats",
    "HttpPool": "penstock.pools._http",
    "HttpPoolStats": "penstock.pools._http_stats",
    "HubClient": "penstock.pools._hub_client",
    "HubSocket": "penstock.pools._hub_sockets",
    "HubStats": "penstock.pools._hub_stats",
    "Pool": "penstock.pools._pool",
    "PoolReport": "penstock.pools._pool_stats",
    "PoolStats": "penstock.pools._pool_stats",
    "RedisPool": "penstock.pools._redis",
    "SqliteConnection": "penstock.pools._sqlite_lease",
    "SqlitePool": "penstock.pools._sqlite_pool",
    "SqlitePoolStats": "penstock.pools._sqlite_stats",
    "SqliteResult": "penstock.pools._sqlite_work",
    "WebSocketHub": "penstock.pools._hub",
    "redis_pool": "penstock.pools._redis",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
