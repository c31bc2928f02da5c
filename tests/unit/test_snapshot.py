"""`TieredCache.save` and `restore`: what is in the file, and what comes back."""

from __future__ import annotations

import asyncio
import os
import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest
from tests.clock import Clock
from tests.steps import run, steps_of

from penstock import Cache, SnapshotError, SqliteStore, TieredCache
from penstock.caching import _snapshot

if TYPE_CHECKING:
    from pathlib import Path

SECRET = b"0123456789abcdef"
VALUES: dict[str, object] = {
    "a": 1,
    "b": "text",
    "c": b"\x00bytes",
    "d": [1, {"x": None}],
    "e": None,
}


def make(**options: Any) -> TieredCache:
    return TieredCache(**{"ttl": 60, **options})


async def filled(values: dict[str, object] = VALUES, **options: Any) -> TieredCache:
    cache = make(**options)
    for key, value in values.items():
        await cache.set(key, value)
    return cache


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1.snapshot"
        assert await (await filled()).save(path) == 5
        cache = make()
        assert await cache.restore(path) == 5
        missing = object()
        assert {key: await cache.get(key, missing) for key in VALUES} == VALUES
        assert cache.stats().l1_hits == 5

    asyncio.run(main())


def test_the_hottest_come_first(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1.snapshot"
        cache = await filled({f"k{n}": n for n in range(5)})
        await cache.get("k1")
        await cache.get("k0")
        assert await cache.save(path, limit=3) == 3
        small = make(l1=2)
        assert await small.restore(path) == 2
        assert await small.get_many([f"k{n}" for n in range(5)]) == {"k0": 0, "k1": 1}
        # The order among them is kept: the next to leave is the colder one.
        again = make(l1=3)
        assert await again.restore(path) == 3
        await again.set("new", 1)
        assert await again.get("k4") is None
        assert await again.get("k1") == 1

    asyncio.run(main())


def test_lives_go_on_while_nobody_runs(tmp_path: Path) -> None:
    async def main() -> None:
        path, wall, timer = tmp_path / "l1", Clock(1e9), Clock()
        cache = make(ttl=10, clock=wall, timer=timer)
        await cache.set("short", 1)
        await cache.set("long", 2, ttl=100)
        await cache.set("endless", 3, ttl=None)
        assert await cache.save(path) == 3
        wall.advance(11)
        later = Clock(5000.0)
        cache = make(ttl=10, clock=wall, timer=later)
        assert await cache.restore(path) == 2
        later.advance(88)
        wall.advance(88)
        assert await cache.get_many(["short", "long", "endless"]) == {"long": 2, "endless": 3}
        later.advance(2)
        wall.advance(2)
        assert await cache.get_many(["short", "long", "endless"]) == {"endless": 3}

    asyncio.run(main())


def test_tags_go_on_to_work(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        cache = make()
        await cache.set("a", 1, tags=["x"])
        await cache.set("b", 1)
        await cache.save(path)
        cache = make()
        await cache.restore(path)
        await cache.invalidate_tags("x")
        assert await cache.get_many(["a", "b"]) == {"b": 1}

    asyncio.run(main())


@pytest.mark.parametrize("forget", ["tag", "prefix", "delete", "clear"])
def test_what_was_invalidated_before_does_not_come_back(tmp_path: Path, forget: str) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        cache = make()
        await cache.set("a", 1, tags=["x"])
        await cache.save(path)
        cache = make()
        await {
            "tag": lambda: cache.invalidate_tags("x"),
            "prefix": lambda: cache.invalidate_prefix("a"),
            "delete": lambda: cache.delete("a"),
            "clear": cache.clear,
        }[forget]()
        assert await cache.restore(path) == 0
        assert await cache.get("a") is None

    asyncio.run(main())


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        await (await filled()).save(path)
        cache = make()
        await cache.set("a", "set")
        await cache.get_or_load("b", lambda key: "loaded")
        assert await cache.restore(path) == 3
        assert await cache.get_many([*"ab"]) == {"a": "set", "b": "loaded"}

    asyncio.run(main())


def test_what_is_no_longer_valid_is_not_saved(tmp_path: Path) -> None:
    async def main() -> None:
        path, timer = tmp_path / "l1", Clock()
        cache = make(ttl=10, stale_for=100, timer=timer)
        await cache.set("stale", 1)
        await cache.set("tagged", 1, tags=["x"])
        timer.advance(11)
        await cache.set("fresh", 1)
        await cache.invalidate_tags("x")
        assert await cache.save(path) == 1
        cache = make()
        await cache.restore(path)
        assert await cache.get_many(["stale", "tagged", "fresh"]) == {"fresh": 1}

    asyncio.run(main())


def test_what_stands_in_while_its_loader_fails_is_not_saved(tmp_path: Path) -> None:
    async def fail(key: str) -> None:
        raise LookupError(key)

    async def main() -> None:
        path, timer = tmp_path / "l1", Clock()
        cache = make(ttl=10, stale_for=100, throttle=30, timer=timer, clock=timer)
        await cache.set("stale", 1)
        timer.advance(11)
        assert await cache.get_or_load("stale", fail) == 1
        assert await cache.get("stale") == 1  # for 30 s
        assert await cache.save(path) == 0

    asyncio.run(main())


def test_what_got_stale_meanwhile_may_stand_in_and_does_not_count(tmp_path: Path) -> None:
    async def fail(key: str) -> None:
        raise LookupError(key)

    async def main() -> None:
        path, clock = tmp_path / "l1", Clock()
        cache = make(ttl=10, stale_for=100, clock=clock)
        await cache.set("short", 1)
        await cache.set("long", 2, ttl=100)
        assert await cache.save(path) == 2
        clock.advance(11)
        cache = make(ttl=10, stale_for=100, clock=clock)
        assert await cache.restore(path) == 1
        assert await cache.get_many(["short", "long"]) == {"long": 2}
        assert await cache.get_or_load("short", fail) == 1

    asyncio.run(main())


def test_cached_errors_are_not_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(key: str) -> None:
        raise LookupError(key)

    async def main() -> None:
        cache = make(negative_ttl=5, negative_errors=(LookupError,))
        for _ in range(2):
            with pytest.raises(LookupError):
                await cache.get_or_load("a", fail)
        assert await cache.save(tmp_path / "l1") == 0
        assert caplog.text == ""

    asyncio.run(main())


def test_what_the_codec_cannot_write_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        cache = await filled({"a": 1, "b": object(), "c": {1, 2}})
        assert await cache.save(path) == 1
        assert "2 of 3 entries are not in" in caplog.text
        assert await make().restore(path) == 1
        cache = await filled({"a": 1, "b": {1, 2}, "c": (1,)})
        assert await cache.save(path, codec="pickle", secret=SECRET) == 3
        cache = make()
        assert await cache.restore(path, secret=SECRET) == 3
        assert await cache.get_many([*"abc"]) == {"a": 1, "b": {1, 2}, "c": (1,)}

    asyncio.run(main())


def test_what_is_signed_by_nobody_or_somebody_else_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        await (await filled({"a": (1,)})).save(path, codec="pickle", secret=SECRET)
        assert await make().restore(path) == 0
        assert await make().restore(path, secret=SECRET[::-1]) == 0
        assert "1 of 1 entries of" in caplog.text
        await (await filled({"a": 1})).save(path)
        assert await make().restore(path, secret=SECRET) == 0
        with pytest.raises(ValueError, match="needs a secret"):
            await make().save(path, codec="pickle")

    asyncio.run(main())


def test_every_cut_and_every_changed_byte_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        await (await filled({"a": 1, "b": "text"})).save(path)
        whole = path.read_bytes()
        cache = make()
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            with pytest.raises(SnapshotError):
                await cache.restore(path)
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(SnapshotError):
                await cache.restore(path)
        path.write_bytes(whole + b"x")
        with pytest.raises(SnapshotError):
            await cache.restore(path)
        assert len(cache._local.cache) == 0

    asyncio.run(main())


def sealed(content: bytes) -> bytes:
    return content + blake2b(content, digest_size=32).digest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no snapshot of a cache"),
        (b"SQLite format 3\x00" * 100, "is no snapshot of a cache"),
        (_snapshot._MAGIC, "is cut off"),
        (
            sealed(_snapshot._HEAD.pack(_snapshot._MAGIC, 2, 0)),
            "has format 2, this version reads 1",
        ),
        (sealed(_snapshot._HEAD.pack(_snapshot._MAGIC, 1, 5)), "is damaged"),
        (
            sealed(
                _snapshot._HEAD.pack(_snapshot._MAGIC, 1, 1) + struct.pack(">IQ", 1, 0) + b"\xff"
            ),
            "is damaged",
        ),
        (
            sealed(_snapshot._HEAD.pack(_snapshot._MAGIC, 1, 1) + struct.pack(">IQ", 9, 9) + b"a"),
            "is damaged",
        ),
        (
            sealed(_snapshot._HEAD.pack(_snapshot._MAGIC, 1, 0) + b"more"),
            "is damaged",
        ),
    ],
)
def test_what_is_no_snapshot_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "l1"
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match=f"l1 {message}"):
        asyncio.run(make().restore(path))


def test_no_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(make().restore(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):
        asyncio.run(make().save(tmp_path / "nowhere" / "l1"))


@pytest.mark.parametrize("limit", [-1, 1.5])
def test_wrong_limits_are_refused(tmp_path: Path, limit: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="limit must be"):
        asyncio.run(make().save(tmp_path / "l1", limit=limit))


def test_with_stores_the_keys_are_read_from_them(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        async with make_over(tmp_path) as cache:
            for number in range(4):
                assert await cache.set(f"k{number}", number)
            assert await cache.save(path) == 4
        async with make_over(tmp_path, l1=None) as other:
            assert await other.set("k1", "changed")
            assert await other.delete("k2")
        async with make_over(tmp_path) as cache:
            assert await cache.restore(path) == 3
            (tier,) = cache.stats().tiers
            assert await cache.get_many([f"k{n}" for n in range(4)]) == {
                "k0": 0,
                "k1": "changed",
                "k3": 3,
            }
            assert cache.stats().l1_hits == 3
            assert tier.hits == 3

    asyncio.run(main())


def make_over(directory: Path, **options: Any) -> TieredCache:
    return TieredCache(SqliteStore(directory / "l2.db"), ttl=60, store_timeout=10, **options)


def test_without_a_first_tier_there_is_nothing_to_save(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        assert await (await filled(l1=None)).save(path) == 0
        await (await filled()).save(path)
        cache = make(l1=None)
        assert await cache.restore(path) == 0
        assert await cache.get("a") is None

    asyncio.run(main())


def test_weights_count(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "l1"
        await (await filled({"a": "x" * 6, "b": "x" * 6, "c": "x" * 6})).save(path)
        l1: Cache[Any, Any] = Cache(10, weigher=lambda key, entry: len(entry.value))
        cache = make(l1=l1)
        await cache.restore(path)
        assert await cache.get_many([*"abc"]) == {"c": "x" * 6}

    asyncio.run(main())


def test_cancelled_at_any_step_the_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "l1"

    async def program() -> int:
        cache = await filled()
        saved = await cache.save(path)
        other = make()
        return saved - await other.restore(path)

    for step, task in steps_of(program):
        if path.exists():
            assert run(make().restore(path)) == 5, step
        assert os.listdir(tmp_path) in ([], ["l1"])
        if not task.cancelled():
            assert task.result() == 0
