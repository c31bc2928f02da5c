"""Stores that caches share: Redis and SQLite behind one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._lazy import lazy

if TYPE_CHECKING:
    from penstock.stores._redis import RedisStore
    from penstock.stores._redis_stats import RedisStoreStats
    from penstock.stores._sqlite import SqliteStore
    from penstock.stores._sqlite_stats import SqliteStoreStats
    from penstock.stores._store import (
        Change,
        Grant,
        Leasing,
        Message,
        Notifying,
        Prompt,
        Reading,
        Record,
        Store,
    )

__all__ = [
    "Change",
    "Grant",
    "Leasing",
    "Message",
    "Notifying",
    "Prompt",
    "Reading",
    "Record",
    "RedisStore",
    "RedisStoreStats",
    "SqliteStore",
    "SqliteStoreStats",
    "Store",
]

# Where each name is; a module is imported when its first name is asked for.
_HOMES = {
    "Change": "penstock.stores._store",
    "Grant": "penstock.stores._store",
    "Leasing": "penstock.stores._store",
    "Message": "penstock.stores._store",
    "Notifying": "penstock.stores._store",
    "Prompt": "penstock.stores._store",
    "Reading": "penstock.stores._store",
    "Record": "penstock.stores._store",
    "RedisStore": "penstock.stores._redis",
    "RedisStoreStats": "penstock.stores._redis_stats",
    "SqliteStore": "penstock.stores._sqlite",
    "SqliteStoreStats": "penstock.stores._sqlite_stats",
    "Store": "penstock.stores._store",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
