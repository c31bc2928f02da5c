"""What tests of `RedisStore` over a real server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from penstock.errors import StoreUnavailable

if TYPE_CHECKING:
    from penstock.stores import RedisStore

__all__ = ["again", "run", "until"]

LIMIT = 15.0


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run *main*, which is not to take long."""
    asyncio.run(asyncio.wait_for(main, LIMIT))


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a server does."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110  # it has no event of the loop
            await asyncio.sleep(0.001)


async def again(store: RedisStore) -> None:
    """Use a store until it is there again."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                return await store.ping()
            except StoreUnavailable:
                await asyncio.sleep(store._join().session.link.pause())
