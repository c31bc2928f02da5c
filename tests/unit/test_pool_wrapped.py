"""`Pool`: leases that asyncio wraps in a task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from tests.pooled import Conn, assert_adds_up, make_pool
from tests.steps import run

from penstock import Pool

WAYS: dict[str, Callable[[Awaitable[Conn]], Awaitable[Conn]]] = {
    "ensure_future": asyncio.ensure_future,
    "gather": lambda lease: _first(asyncio.gather(lease)),
    "shield": asyncio.shield,
    "wait_for": lambda lease: asyncio.wait_for(lease, 1),
}


async def _first(found: Awaitable[Sequence[Conn]]) -> Conn:
    (conn,) = await found
    return conn


@pytest.mark.parametrize("way", WAYS)
def test_a_lease_can_be_wrapped_whether_or_not_one_is_idle(way: str) -> None:
    async def main() -> None:
        pool: Pool[Conn] = make_pool(max_size=1)
        for _ in range(3):
            conn = await WAYS[way](pool.acquire())
            assert pool.stats().leased == 1
            pool.release(conn)
            assert_adds_up(pool)
        await pool.aclose()

    run(main())
