"""`TieredCache`: values that are loaded anew or serve past their time, and loads that take long."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import HeldLoader, Source, SourceError, settle
from tests.steps import run
from tests.stores import MemoryStore, Tiers

# refreshing


def test_old_value_is_served_while_it_is_loaded_anew() -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10) as tiers:
            source = Source()
            get = tiers.cache.get_or_load
            assert await get("k", source) == "k 1"
            await asyncio.sleep(9)
            assert await get("k", source) == "k 1"
            assert source.calls == ["k"]
            await asyncio.sleep(2)
            assert await asyncio.gather(*[get("k", source) for _ in range(3)]) == ["k 1"] * 3
            assert await get("k", source) == "k 1"
            await settle(20)
            assert await get("k", source) == "k 2"
            assert source.calls == ["k", "k"]
            assert tiers.stored("k") == ["k 2"]
            stats = tiers.cache.stats()
            assert (stats.refreshes, stats.loads) == (1, 2)

    run(main())


def test_get_serves_what_is_to_be_loaded_anew() -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10) as tiers:
            await tiers.cache.set("k", 1)
            await asyncio.sleep(11)
            assert await tiers.cache.get("k") == 1
            assert tiers.stores[0].asked("get") == []

    run(main())


def test_old_value_of_a_store_is_served_and_loaded_anew() -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10) as tiers:
            source = Source()
            await tiers.cache.set("k", "old")
            await asyncio.sleep(11)
            tiers.forget()
            assert await tiers.cache.get_or_load("k", source) == "old"
            await settle(20)
            assert await tiers.cache.get_or_load("k", source) == "k 1"

    run(main())


def test_what_another_process_has_loaded_anew_is_not_loaded_again() -> None:
    async def main() -> None:
        async with (
            Tiers(refresh_after=10) as one,
            Tiers(shared=one.shared, refresh_after=10) as two,
        ):
            source = Source()
            for tiers in (one, two):
                assert await tiers.cache.get_or_load("k", source) == "k 1"
                await settle(20)
            await asyncio.sleep(11)
            for tiers in (one, two):
                assert await tiers.cache.get_or_load("k", source) == "k 1"
                await settle(20)
                assert await tiers.cache.get_or_load("k", source) == "k 2"
            assert source.calls == ["k", "k"]

    run(main())


def test_so_many_are_loaded_anew_at_once_and_no_more() -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10) as tiers:
            keys = [str(number) for number in range(150)]
            await tiers.cache.set_many(dict.fromkeys(keys, 1))
            await asyncio.sleep(11)
            load = HeldLoader()
            for key in keys:
                assert await tiers.cache.get_or_load(key, load) == 1
            await settle(20)
            assert len(load.calls) == 100
            load.release()
            await settle(20)
            assert await tiers.cache.get_or_load(keys[120], load) == 1
            await settle(20)
            assert load.calls[100:] == [keys[120]]
            load.release()

    run(main())


def test_value_is_kept_when_loading_it_anew_fails_and_not_tried_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10, throttle=5) as tiers:
            source = Source()
            get = tiers.cache.get_or_load
            await get("k", source)
            source.fails = True
            await asyncio.sleep(11)
            for _ in range(3):
                assert await get("k", source) == "k 1"
                await settle(20)
            assert len(source.calls) == 2
            await asyncio.sleep(5)
            assert await get("k", source) == "k 1"
            await settle(20)
            assert len(source.calls) == 3
            await asyncio.sleep(50)
            with pytest.raises(SourceError):
                await get("k", source)

    run(main())
    assert "loading 'k' failed, its old value is served" in caplog.text


def test_call_that_comes_when_the_value_has_expired_waits_for_the_refresh() -> None:
    async def main() -> None:
        async with Tiers(ttl=12, refresh_after=10) as tiers:
            source = Source(5)
            assert await tiers.cache.get_or_load("k", source) == "k 1"
            await asyncio.sleep(11)
            assert await tiers.cache.get_or_load("k", source) == "k 1"
            await asyncio.sleep(2)
            assert await tiers.cache.get_or_load("k", source) == "k 2"
            assert len(source.calls) == 2

    run(main())


def test_what_is_set_meanwhile_is_not_undone_by_a_refresh() -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10) as tiers:
            load = HeldLoader()
            await tiers.cache.set("k", "old")
            await asyncio.sleep(11)
            await tiers.cache.get_or_load("k", load)
            await settle()
            await tiers.cache.set("k", "new")
            load.release()
            await settle(20)
            assert tiers.in_memory("k") == "new"
            assert tiers.stored("k") == ["new"]

    run(main())


def test_values_that_take_long_to_load_are_loaded_anew_early() -> None:
    async def main() -> None:
        async with Tiers(ttl=100, early_refresh=1.0) as tiers:
            source = Source(10)
            keys = [str(number) for number in range(300)]
            await asyncio.gather(*[tiers.cache.get_or_load(key, source) for key in keys])
            for _ in range(10):
                for key in keys:
                    await tiers.cache.get_or_load(key, source)
                await settle(20)
                await asyncio.sleep(9.9)
            early = len(source.calls) - 300
            # After 89 seconds: the time before the end is drawn with a mean of ten seconds.
            assert 50 < early < 150

    run(main())


def test_refresh_that_takes_too_long_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10, completion_timeout=20) as tiers:
            load = HeldLoader()
            await tiers.cache.set("k", "old")
            await asyncio.sleep(11)
            await tiers.cache.get_or_load("k", load)
            await asyncio.sleep(19)
            assert load.cancelled == []
            await asyncio.sleep(2)
            assert load.cancelled == [1]

    run(main())
    assert "took over 20 s" in caplog.text


# fail-safe


def test_value_past_its_time_serves_when_loading_fails() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale=100, throttle=30) as tiers:
            source = Source()
            get = tiers.cache.get_or_load
            assert await get("k", source) == "k 1"
            source.fails = True
            await asyncio.sleep(20)
            assert await tiers.cache.get("k") is None
            assert await asyncio.gather(*[get("k", source) for _ in range(3)]) == ["k 1"] * 3
            assert len(source.calls) == 2
            for _ in range(3):  # served on for a while
                await asyncio.sleep(9)
                assert await get("k", source) == "k 1"
            assert len(source.calls) == 2
            await asyncio.sleep(9)
            assert await get("k", source) == "k 1"
            assert len(source.calls) == 3
            source.fails = False
            await asyncio.sleep(31)
            assert await get("k", source) == "k 4"
            assert tiers.cache.stats().stale_served == 4

    run(main())


def test_value_is_not_served_for_ever() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100) as tiers:
            source = Source()
            await tiers.cache.get_or_load("k", source)
            source.fails = True
            await asyncio.sleep(100)
            assert await tiers.cache.get_or_load("k", source) == "k 1"
            await asyncio.sleep(11)
            with pytest.raises(SourceError):
                await tiers.cache.get_or_load("k", source)

    run(main())


def test_value_of_a_store_serves_too() -> None:
    async def main() -> None:
        async with Tiers(2, ttl=10, stale_for=100) as tiers:
            source = Source()
            await tiers.cache.get_or_load("k", source)
            await settle()
            tiers.forget()
            tiers.shared[0].records.clear()
            source.fails = True
            await asyncio.sleep(20)
            assert await tiers.cache.get("k", "none") == "none"
            assert await tiers.cache.get_or_load("k", source) == "k 1"
            assert tiers.in_memory("k") == "k 1"

    run(main())


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("how", ["delete", "tag", "prefix", "clear"])
def test_what_was_invalidated_serves_no_more(when: str, how: str) -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100) as tiers:
            cache, load = tiers.cache, HeldLoader()

            async def fails(key: str) -> str:
                await load(key)
                raise SourceError(key)

            async def invalidate() -> None:
                await {
                    "delete": lambda: cache.delete("key"),
                    "tag": lambda: cache.invalidate_tags("t"),
                    "prefix": lambda: cache.invalidate_prefix("ke"),
                    "clear": cache.clear,
                }[how]()

            await cache.set("key", 1, tags=["t"])
            await asyncio.sleep(20)
            if when == "before":
                await invalidate()
            call = asyncio.ensure_future(cache.get_or_load("key", fails))
            await settle()
            if when == "during":
                await invalidate()
            load.release()
            with pytest.raises(SourceError):
                await call

    run(main())


def test_error_that_is_an_answer_is_no_failure() -> None:
    async def main() -> None:
        async with Tiers(
            ttl=10, stale_for=100, negative_ttl=5, negative_errors=SourceError
        ) as tiers:
            source = Source()
            await tiers.cache.get_or_load("k", source)
            source.fails = True
            await asyncio.sleep(20)
            with pytest.raises(SourceError):
                await tiers.cache.get_or_load("k", source)

    run(main())


def test_without_a_throttle_every_call_asks_the_loader() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100, throttle=0) as tiers:
            source = Source()
            await tiers.cache.get_or_load("k", source)
            source.fails = True
            await asyncio.sleep(20)
            for _ in range(3):
                assert await tiers.cache.get_or_load("k", source) == "k 1"
            assert len(source.calls) == 4

    run(main())


# clocks


def test_clock_that_is_set_back_lets_nothing_live_longer() -> None:
    async def main() -> None:
        async with Tiers(ttl=10) as tiers:
            loop = asyncio.get_running_loop()
            wall = [5000.0]
            cache = type(tiers.cache)(
                MemoryStore(), ttl=10, timer=loop.time, clock=lambda: wall[0], backplane=False
            )
            await cache.set("k", 1)
            wall[0] = 0.0
            await asyncio.sleep(9)
            assert await cache.get("k") == 1
            await asyncio.sleep(2)
            cache._local.cache.clear()
            await cache.aclose()

    run(main())
