"""`SqliteStore` key by key: what is past its time, what is no text, and a store that is closed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from tests.clock import Clock

from penstock.errors import ClosedError
from penstock.stores import Record, SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_past_its_ttl_is_not_got_though_it_is_there(tmp_path: Path) -> None:
    clock = Clock(time.time())

    async def main() -> None:
        async with SqliteStore(tmp_path / "cache.db", clock=clock) as store:
            await store.set_many([("k", Record("v", clock(), 10.0, stale_for=3600.0))])
            clock.advance(9.0)
            assert await store.get("k") == "v"
            clock.advance(1.0)
            assert await store.get("k", "default") == "default"
            assert (await store.get_many(["k"])).records[0] is not None, "a cache may want it"

    asyncio.run(main())


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_text_that_is_none_is_a_value_error_wherever_it_is(tmp_path: Path, codec: str) -> None:
    if codec == "msgpack":
        pytest.importorskip("msgpack")

    async def main() -> None:
        async with SqliteStore(tmp_path / "cache.db", codec=codec) as store:  # type: ignore[arg-type]
            for value in ("\ud800", {"a": "\ud800"}, {"\udfff": 1}, [["x", "a\ud800b"]]):
                with pytest.raises(ValueError, match="surrogate"):
                    await store.set("k", value)
            with pytest.raises(ValueError, match="surrogate"):
                await store.set("k", 1, tags=["\ud800"])
            with pytest.raises(TypeError):
                await store.set("k", {"a": object()})

    asyncio.run(main())


def test_a_store_that_is_closed_says_so_itself(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "cache.db")
        await store.set("k", 1)
        await store.aclose()
        for call in (
            store.get("k"), store.set("k", 1), store.delete("k"), store.get_many(["k"]),
            store.delete_many(["k"]), store.invalidate(tags=["t"]), store.replay([]),
        ):  # fmt: skip
            with pytest.raises(ClosedError, match=r"[Ss]tore.*(is closed|closed\).*nothing)"):
                await call

    asyncio.run(main())
