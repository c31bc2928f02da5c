"""What type checkers make of batching, SQLite, the recorder and files; checked, never run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

from penstock import (
    Batcher,
    BatcherStats,
    FileCache,
    FileWriter,
    ItemError,
    Loader,
    Recorder,
    SqlitePool,
    batched,
    json,
)
from penstock.batching import CloseReport


async def lengths(words: list[str]) -> list[int]:
    return [len(word) for word in words]


async def some(words: list[str]) -> Sequence[int | ItemError]:
    return [ItemError(ValueError(word)) for word in words]


async def nothing(words: list[str]) -> None:
    assert words


async def by_key(words: Sequence[str]) -> Mapping[str, int]:
    return dict.fromkeys(words, 0)


async def batchers() -> None:
    async with Batcher(lengths, max_items=10, linger=0) as batcher:
        assert_type(batcher, Batcher[str, int])
        assert_type(batcher.submit("a"), asyncio.Future[int])
        assert_type(await batcher.submit("a"), int)
        assert_type(await batcher.submit_nowait("a"), int)
        assert_type(batcher.submit_threadsafe("a"), concurrent.futures.Future[int])
        assert_type(batcher.stats(), BatcherStats)
        batcher.put_nowait("a")
        batcher.put_nowait(1)  # type: ignore[arg-type]
        assert_type(await batcher.aclose(drain=False, timeout=None), CloseReport)
        await batcher.flush()
    assert_type(Batcher(some), Batcher[str, int])
    Batcher(nothing).put_nowait("a")
    Batcher(lengths, on_full="never")  # type: ignore[call-overload,arg-type,unused-ignore]


@batched(max_items=10)
async def length(words: list[str]) -> list[int]:
    return [len(word) for word in words]


async def decorated() -> None:
    assert_type(await length("a"), int)


async def loaders() -> None:
    loader = Loader(by_key)
    assert_type(await loader.load("a"), int)
    assert_type(await loader.load_many(["a", "b"]), list[int])


def count(connection: sqlite3.Connection, least: int) -> int:
    return least


async def databases(path: Path) -> None:
    async with SqlitePool(path, readers=2) as pool:
        assert_type(await pool.run(count, 1, write=True), int)
        assert_type(await pool.fetchone("select 1"), Any)
        assert_type(await pool.fetchall("select 1"), list[Any])
        async with pool.write() as writer:
            assert_type((await writer.execute("delete from t")).rowcount, int)
    async with Recorder(path, "rows", {"ts": "REAL"}) as recorder:
        recorder.put_nowait((1.0,))
        await recorder.record({"ts": 1.0})
        assert_type(await recorder.recent(days=7), list[dict[str, object]])


async def files(path: Path) -> None:
    async with FileWriter() as writer:
        await writer.write(path, {"a": 1})
    cache = FileCache(parse=bytes.decode)
    assert_type(await cache.get(path), str)
    assert_type(json.dumps({"a": 1}), bytes)
    assert_type(json.loads("1"), Any)
