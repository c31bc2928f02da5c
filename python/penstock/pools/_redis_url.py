"""What the URL of a Redis server says: for pools, and for stores."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import parse_url

__all__ = ["settings_of"]


def settings_of(url: str) -> dict[str, Any]:
    """
    Return what redis-py reads in *url*.

    Raises:
        ValueError: It is no such URL, or the database that it names is no number.
    """
    settings: dict[str, Any] = dict(parse_url(url))
    parts = urlsplit(url)
    # redis-py takes the slashes out of this, and takes what is no number then for database 0.
    path = "" if parts.scheme == "unix" else unquote(parts.path).strip("/")
    for database in (path or "0", str(settings.get("db", 0))):
        if not (database.isascii() and database.isdigit()):
            raise ValueError(f"the number of a database must be >= 0, got {database!r}")
    return settings
