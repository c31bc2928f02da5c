"""`SqliteStore` does what every store does."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.store_contract import StoreContract

from penstock.stores import SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class TestSqliteStore(StoreContract):
    """The contract."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "cache.db"

    def open(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._opened(options)

    @asynccontextmanager
    async def _opened(self, options: dict[str, Any]) -> AsyncIterator[SqliteStore]:
        async with SqliteStore(self.path, **options) as store:
            await store.ping()
            # It has been there for an hour: writes from before a file began are not made up for.
            with closing(sqlite3.connect(self.path)) as db:
                db.execute("UPDATE penstock_spaces SET floor = floor - 3600000000")
                db.commit()
            yield store

    async def plant(self, store: Any, key: str, data: bytes) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            sql = "UPDATE penstock_entries SET value = ? WHERE key = ?"
            assert db.execute(sql, (data, key.encode())).rowcount == 1
            db.commit()

    async def stored(self, store: Any, key: str) -> bytes:
        with closing(sqlite3.connect(self.path)) as db:
            sql = "SELECT value FROM penstock_entries WHERE key = ?"
            data: bytes = db.execute(sql, (key.encode(),)).fetchone()[0]
            return data
