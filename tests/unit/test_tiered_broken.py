"""`TieredCache`: nobody waits for ever since a clock, a listener or a store fails."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, NoReturn

import pytest
from tests.loading import settle
from tests.steps import now, run
from tests.stores import MemoryStore, Tiers

from penstock import Cache, TieredCache, deadline
from penstock.caching._tier_recovery import Recovery
from penstock.stores._store import Reading, Record


def complain(key: object, value: object, cause: object) -> NoReturn:
    raise ValueError("a listener")


async def soon(awaitable: Any) -> Any:
    """What comes of it, which must not take long."""
    return await asyncio.wait_for(awaitable, 100)


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("stores", [1, 2])
def test_answers_for_fewer_keys_are_none(stores: int, prompt: bool) -> None:
    async def main() -> None:
        async with Tiers(stores, prompt=prompt) as tiers:
            store, cache = tiers.stores[0], tiers.cache

            async def get_many(keys: list[str]) -> Reading:
                reading = await MemoryStore.get_many(store, keys)
                return Reading(reading.records[:-1], reading.base)

            store.get_many = get_many  # type: ignore[method-assign,assignment]
            assert await soon(cache.get("k")) is None
            assert await soon(cache.get_or_load("k", lambda _: 1)) == 1
            assert await soon(cache.get_or_load_many(["a", "b"], lambda keys: [1, 2])) == {
                "a": 1, "b": 2,
            }  # fmt: skip
            last_error = cache.stats().tiers[0].last_error
            assert last_error is not None
            assert "for 1 keys" in last_error or "for 2 keys" in last_error

    run(main())


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("stores", [1, 2])
def test_a_clock_that_fails_while_an_answer_is_handed_out(
    stores: int, prompt: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Tiers(stores, prompt=prompt) as tiers:
            cache = tiers.cache
            core, is_broken = cache._core, False

            def clock() -> float:
                nonlocal is_broken
                if is_broken:
                    is_broken = False
                    raise OSError("no clock")
                return now()

            core.clock = clock
            is_broken = True
            assert await soon(cache.get("k")) is None
            is_broken = True
            assert await soon(cache.get_or_load("k", lambda _: 1)) == 1
            tiers.forget()
            is_broken = True
            loaded = await soon(cache.get_or_load_many(["a", "b"], lambda keys: [1, 2]))
            assert loaded == {"a": 1, "b": 2}
            assert await soon(cache.get("k")) in {1, None}
            assert not cache._loads.flights

    run(main())
    assert "reading the stores of a TieredCache failed" in caplog.text


@pytest.mark.parametrize("stores", [0, 1, 2])
def test_a_listener_of_the_first_tier_that_fails(stores: int) -> None:
    async def main() -> None:
        l1: Cache[str, Any] = Cache(1, timer=asyncio.get_running_loop().time, on_evict=complain)
        async with Tiers(stores, l1=l1) as tiers:
            cache = tiers.cache
            for shared in tiers.shared:
                for key in "abc":
                    shared.put(key, Record(key, now(), 60.0), None)
            if stores:
                for key in "abcabc":
                    assert await soon(cache.get(key)) == key
            assert await soon(cache.get_or_load("new", lambda _: 1)) == 1
            assert await soon(cache.set("b", 1))
            assert await soon(cache.set_many({"b": 1, "c": 2}))
            assert await soon(cache.delete("b"))
            assert await soon(cache.invalidate_tags("tag"))
            assert await soon(cache.set("c", 1))
            assert await soon(cache.invalidate_prefix("c"))
            assert await soon(cache.set("c", 1))
            assert await soon(cache.clear())
            assert tiers.stored("b") == ["nothing"] * stores
            assert tiers.stored("c") == ["nothing"] * stores
            assert await soon(cache.get("c")) is None

    run(main())


def test_what_others_have_put_into_the_first_tier_is_not_there(tmp_path: Any) -> None:
    async def main() -> None:
        l1: Cache[str, Any] = Cache(100, timer=asyncio.get_running_loop().time)
        async with Tiers(l1=l1, stale_for=10) as tiers:
            cache = tiers.cache
            l1.set("k", 5)
            invalidating = cache.invalidate_tags("t")
            setting = cache.set("k", 1)
            l1.set("k", 5)
            assert await soon(invalidating)
            assert await soon(setting)
            assert await soon(cache.get("k")) == 1
            l1.set("other", 5)
            assert await cache.save(tmp_path / "saved") == 1
            loading = asyncio.create_task(cache.get_or_load("other", lambda _: 2))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            cache._local.flush()
            assert await soon(loading) == 2

    run(main())


def test_a_write_whose_end_fails_is_told_all_the_same(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache = tiers.cache
            await cache.set("other", 1)
            setting, invalidating = cache.set("k", 1), cache.invalidate_tags("t")
            again = cache.set("k", 2)
            core = cache._core
            monkeypatch.setattr(cache._local, "timer", lambda: 1 / 0)
            for writing in (setting, invalidating, again):
                assert await soon(writing)
            monkeypatch.undo()
            assert core.unwritten.is_empty()
            assert await soon(cache.get("k")) == 2
            assert cache._writes.is_idle()

    run(main())
    assert "it is cleared" in caplog.text


@pytest.mark.parametrize("what", ["unlisten", "aclose"])
@pytest.mark.parametrize("how", ["hangs", "ignores", "fails"])
def test_a_store_that_cannot_be_left_keeps_no_cache_open(what: str, how: str) -> None:
    async def main() -> None:
        tiers = Tiers(2, backplane=True)
        await tiers.cache.get("k")
        await settle()
        is_over = asyncio.Event()

        async def stay() -> None:
            while not is_over.is_set():
                if how == "fails":
                    raise OSError("no")
                try:
                    await is_over.wait()
                except asyncio.CancelledError:
                    if how == "hangs":
                        raise

        for store in tiers.stores:
            setattr(store, what, stay)
        begin = now()
        await tiers.cache.aclose(timeout=5)
        assert now() - begin <= 9
        if what == "unlisten":
            assert all(store.closed for store in tiers.stores)
        is_over.set()
        await settle()

    run(main())


def test_a_tier_that_cannot_be_ended_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> NoReturn:
        raise OSError("no")

    async def main() -> None:
        tiers = Tiers(2)
        monkeypatch.setattr(Recovery, "stop", fail)
        await tiers.cache.aclose()
        assert all(store.closed for store in tiers.stores)

    run(main())


def test_errors_of_writes_that_nobody_awaits_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[Any] = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        tiers = Tiers()
        tiers.stores[0].hang()
        with deadline(0.01):
            writes = [tiers.cache.set("a", 1), tiers.cache.set_many({"b": 1})]
            writes += [tiers.cache.delete("c"), tiers.cache.invalidate_tags("d")]
        await asyncio.sleep(0.02)
        with pytest.raises(TimeoutError):
            await writes[0]
        del writes
        tiers.cache.set("a", 1)
        await tiers.cache.aclose(timeout=0.001)
        gc.collect()
        await settle()
        assert told == []

    run(main())
    assert "never retrieved" not in caplog.text


def test_what_lives_for_centuries_is_kept() -> None:
    async def main() -> None:
        async with Tiers(ttl=9e9, stale_for=9e9) as tiers:
            assert await tiers.cache.set("k", 1)
            tiers.stores[0].fail()
            assert await tiers.cache.get("k") == 1

    run(main())


def test_the_shorter_ttl_is_never_longer() -> None:
    async def main() -> None:
        async with Tiers(ttl=1, negative_ttl=1000, negative_errors=KeyError) as tiers:
            calls: list[str] = []

            def load(key: str) -> None:
                calls.append(key)
                if key == "error":
                    raise KeyError(key)

            for _ in range(2):
                assert await tiers.cache.get_or_load("none", load) is None
                with pytest.raises(KeyError):
                    await tiers.cache.get_or_load("error", load)
                await asyncio.sleep(1.5)
            assert calls == ["none", "error"] * 2

    run(main())


def test_the_name_says_whether_there_is_a_first_tier() -> None:
    assert repr(TieredCache(ttl=1, l1=None, name="x")) == "<TieredCache name='x'>"
