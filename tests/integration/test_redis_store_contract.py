"""What every store has to do, done by Redis: a real server, with each way to tell of changes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import pytest
from tests.redis_servers import RedisServer
from tests.store_contract import StoreContract

from penstock.stores import RedisStore

pytest.importorskip("hiredis")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


class _OverRedis(StoreContract):
    options: ClassVar[dict[str, Any]] = {}
    # As long as the server may take to say what time it is.
    uncertain = 0.02

    @pytest.fixture(autouse=True)
    def _empty(self, server: RedisServer) -> None:
        self.server = server
        server.cli("FLUSHALL")

    def open(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._opened({**self.options, "timeout": 5.0, **options})

    @asynccontextmanager
    async def _opened(self, options: dict[str, Any]) -> AsyncIterator[RedisStore]:
        async with RedisStore(self.server.url, **options) as store:
            # It has been there for an hour: writes from before a store began are not made up for.
            names = store._join().session.options.names
            begun = int((time.time() - 3600) * 1e6)
            if self.server.cli("SET", names.state, f"{begun} 0 {begun} {begun} 0", "NX"):
                self.server.cli("HSET", names.tags[0], "#", begun)
            yield store

    async def plant(self, store: Any, key: str, data: bytes) -> None:
        self.server.cli("SET", f"penstock:e:{key}", data)

    async def stored(self, store: Any, key: str) -> bytes:
        wire = await store._join().session.link.connected()
        name = f"penstock:e:{key}"
        data = await wire.ask(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(name), name.encode()))
        assert isinstance(data, bytes)
        return data


class TestRedisStore(_OverRedis):
    pass


class TestRedisStoreWithTracking(_OverRedis):
    options: ClassVar[dict[str, Any]] = {"backplane": "tracking"}
    examples = 5


del StoreContract
