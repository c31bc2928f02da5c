"""The second tier of the restarted service: a file, or a Redis that is left as it was."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from penstock.demo._model import DemoError
from penstock.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.stores import Store

__all__ = ["SecondTier", "open_store"]

_BATCH: Final = 500


def open_store(address: str, namespace: str) -> Store:
    """
    Return the store of that address: a Redis URL, or else the path of a SQLite file.
    """
    if "://" in address:
        from penstock.stores import RedisStore

        return RedisStore(address, namespace=namespace)
    from penstock.stores import SqliteStore

    return SqliteStore(address, namespace=namespace)


class SecondTier:
    """
    Where the services keep what they have read, and the ones after them find it.

    Args:
        directory: That of the demo, where a file may be.
        redis: The URL of a Redis; None for a file.
    """

    __slots__ = ("_address", "_namespace", "_redis")

    def __init__(self, directory: Path, redis: str | None) -> None:
        self._redis = redis
        self._address = str(directory / "l2.sqlite") if redis is None else redis
        # Nobody else's: somebody may be using this Redis.
        self._namespace = f"penstock-demo-{secrets.token_hex(8)}"

    @property
    def name(self) -> str:
        """
        What it is called in the report.
        """
        return "SQLite" if self._redis is None else "Redis"

    @property
    def service_args(self) -> tuple[str, ...]:
        """
        What tells the service of it.
        """
        return ("--store", self._address, "--namespace", self._namespace)

    async def check(self) -> None:
        """
        See whether it can be used: without, the service would go on, and nothing be seen.

        Raises:
            DemoError: It cannot.
        """
        if self._redis is None:
            return
        try:
            store = open_store(self._address, self._namespace)
        except (ImportError, TypeError, ValueError) as error:
            raise DemoError(f"--redis: {error}") from error
        try:
            await store.ping()
        except StoreError as error:
            raise DemoError(f"--redis: {error}") from error
        finally:
            await store.aclose()

    async def forget(self) -> None:
        """
        Delete what the services have left in a Redis; a file goes with its directory.
        """
        if self._redis is None:
            return
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        try:
            async with Redis.from_url(self._redis) as client:
                # No KEYS: others may be waiting for this Redis.
                scan = client.scan_iter(match=f"{self._namespace}:*", count=_BATCH)
                found = [key async for key in scan]
                for start in range(0, len(found), _BATCH):
                    await client.unlink(*found[start : start + _BATCH])
        except (RedisError, OSError):
            return  # it all expires soon
