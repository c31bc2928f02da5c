"""Pools of connections: SQLite databases."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
