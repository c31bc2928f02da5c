"""The Redis of the demo: looked at first, and left as it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("redis")

from tests.redis_servers import RedisServer, needs_redis

from penstock.demo import DemoError
from penstock.demo._l2 import SecondTier, open_store

if TYPE_CHECKING:
    from pathlib import Path


def test_redis_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    # Port 9 (discard) of the loopback interface: nobody listens there.
    second = SecondTier(tmp_path, "redis://127.0.0.1:9/0")
    with pytest.raises(DemoError, match="--redis: "):
        asyncio.run(second.check())
    asyncio.run(second.forget())  # what is not there has nothing to be deleted


def test_address_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="--redis: "):
        asyncio.run(SecondTier(tmp_path, "redis://127.0.0.1:many").check())


@needs_redis
def test_redis_is_left_as_it_was(tmp_path: Path) -> None:
    from redis.asyncio import Redis

    async def main(url: str) -> None:
        second = SecondTier(tmp_path, url)
        await second.check()
        _, address, _, namespace = second.service_args
        store = open_store(address, namespace)
        async with Redis.from_url(url) as client:
            await client.set("somebody", "else's")
            for number in range(3):
                await store.set(f"k{number}", b"x")  # type: ignore[attr-defined]
            await store.aclose()
            assert len(await client.keys()) > 3
            await second.forget()
            assert await client.keys() == [b"somebody"]
        assert second.name == "Redis"

    with RedisServer() as server:
        asyncio.run(main(server.url))
