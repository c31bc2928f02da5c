"""Pools of connections: SQLite databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._lazy import lazy

if TYPE_CHECKING:
    from penstock.pools._sqlite_lease import SqliteConnection
    from penstock.pools._sqlite_pool import SqlitePool
    from penstock.pools._sqlite_stats import SqlitePoolStats
    from penstock.pools._sqlite_work import SqliteResult

__all__ = ["SqliteConnection", "SqlitePool", "SqlitePoolStats", "SqliteResult"]

# Where each name is; a module is imported when its first name is asked for.
_HOMES = {
    "SqliteConnection": "penstock.pools._sqlite_lease",
    "SqlitePool": "penstock.pools._sqlite_pool",
    "SqlitePoolStats": "penstock.pools._sqlite_stats",
    "SqliteResult": "penstock.pools._sqlite_work",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
