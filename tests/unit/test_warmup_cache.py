"""`TieredCache.warmup`: keys are read from the stores, the others loaded, by nobody twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run, steps_of

from penstock import SqliteStore, TieredCache
from penstock.caching import WarmupReport

if TYPE_CHECKING:
    from pathlib import Path


class Loader:
    """Loads keys, but for those that begin with "bad"."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def __call__(self, key: str) -> str:
        self.keys.append(key)
        await asyncio.sleep(1)
        if key.startswith("bad"):
            raise OSError(key)
        return key.upper()


def test_keys_are_loaded_and_each_once() -> None:
    async def main() -> None:
        cache, load = TieredCache(ttl=60), Loader()
        await cache.set("there", "before")
        told: list[tuple[int, int, str]] = []
        report = await cache.warmup(
            ["a", "b", "there", "a", "bad"], load, progress=lambda *args: told.append(args)
        )
        assert sorted(report.loaded) == ["a", "b", "there"]
        assert [str(error) for error in report.failed.values()] == ["bad"]
        assert (report.total, report.ok) == (4, False)
        assert [done for done, _, _ in told] == [1, 2, 3, 4]
        assert told[0] == (1, 4, "there")
        assert load.keys == ["a", "b", "bad"]
        assert await cache.get_many(["a", "b", "there", "bad"]) == {
            "a": "A",
            "b": "B",
            "there": "before",
        }

    run(main())


def test_who_asks_meanwhile_shares_the_loads() -> None:
    async def main() -> None:
        cache, held = TieredCache(ttl=60), HeldLoader()
        task = cache.warmup(["a", "b", "c"], held, concurrency=1, background=True)
        assert isinstance(task, asyncio.Task)
        await settle(30)
        assert held.calls == ["a"]
        # One that is being loaded, and one whose turn has not come.
        asked = [asyncio.create_task(cache.get_or_load(key, held)) for key in ("a", "c")]
        await settle(30)
        assert held.calls == ["a", "c"]
        while not task.done():
            held.release()
            await settle(30)
        report = await task
        assert report.ok
        assert held.calls == ["a", "c", "b"]
        assert await asyncio.gather(*asked) == ["a 1", "c 2"]
        assert await cache.get("b") == "b 3"

    run(main())


def test_it_begins_when_it_is_awaited_unless_in_the_background() -> None:
    async def main() -> None:
        cache, load = TieredCache(ttl=60), Loader()
        warming = cache.warmup(["a"], load)
        await asyncio.sleep(5)
        assert load.keys == []
        assert (await warming).ok

    run(main())


def test_options_are_those_of_a_load() -> None:
    async def main() -> None:
        cache, load = TieredCache(ttl=60), Loader()
        await cache.warmup(["a", "b"], load, tags=["x"])
        await cache.invalidate_tags("x")
        assert await cache.get_many(["a", "b"]) == {}

    run(main())


def test_what_the_stores_have_is_not_loaded(tmp_path: Path) -> None:
    async def main() -> None:
        def make() -> TieredCache:
            return TieredCache(SqliteStore(tmp_path / "l2.db"), ttl=60, store_timeout=10)

        keys = [f"k{number}" for number in range(1200)]
        async with make() as cache:
            assert await cache.set_many(dict.fromkeys(keys, 1))
        async with make() as cache:
            report = await cache.warmup([*keys, "new"], lambda key: 2)
            assert (report.ok, report.total) == (True, 1201)
            stats = cache.stats()
            assert (stats.loads, stats.tiers[0].hits) == (1, 1200)
            assert stats.tiers[0].reads <= 5
            assert await cache.get("k7") == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keys": "abc"}, "keys must be an iterable of str, got a str"),
        ({"keys": [1]}, "keys must be str, got int"),
        ({"loader": 5}, "loader must be callable, got int"),
        ({"progress": 5}, "progress must be callable, got int"),
        ({"progress": Loader()}, "progress must be a plain function, got a coroutine function"),
        ({"concurrency": None}, "concurrency must be an int, got NoneType"),
        ({"tll": 5}, "there is no option 'tll'"),
        ({"ttl": "5"}, "ttl"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"keys": ["a"], "loader": Loader()}
    with pytest.raises(TypeError, match=message):
        TieredCache(ttl=60).warmup(**(usual | arguments))


def test_a_load_that_is_cancelled_has_failed() -> None:
    async def main() -> None:
        async def load(key: str) -> str:
            if key == "bad":
                raise asyncio.CancelledError
            return key

        report = await TieredCache(ttl=60).warmup(["bad", "good"], load, concurrency=1)
        assert (list(report.loaded), list(report.failed)) == (["good"], ["bad"])

    run(main())


def test_options_out_of_range_are_refused_at_once() -> None:
    for background in (False, True):
        with pytest.raises(ValueError, match="ttl must be > 0"):
            TieredCache(ttl=60).warmup(["a"], Loader(), background=background, ttl=-1)


def test_cancelled_at_any_step_it_leaves_nothing_behind() -> None:
    async def program() -> WarmupReport:
        return await TieredCache(ttl=60).warmup(["a", "b", "bad", "c"], Loader(), concurrency=2)

    ended = [task.cancelled() for _, task in steps_of(program)]
    assert any(ended)
    assert not ended[-1]
