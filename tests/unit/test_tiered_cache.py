"""`TieredCache`: what its tiers have, and how it gets from one to the other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import run
from tests.stores import MemoryStore, Tiers
from tests.threads import spawn

from penstock import Cache, TieredCache
from penstock._backend import Ready

# what is there


def test_what_is_set_is_there_in_all_tiers() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            assert await tiers.cache.get("k") is None
            assert await tiers.cache.get("k", "none") == "none"
            assert await tiers.cache.set("k", 1)
            assert await tiers.cache.get("k") == 1
            assert tiers.in_memory("k") == 1
            assert tiers.stored("k") == [1, 1]

    run(main())


def test_hit_in_memory_is_an_awaitable_that_is_done() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            await tiers.cache.set("k", 1)
            assert type(tiers.cache.get("k")) is Ready
            assert type(tiers.cache.get_or_load("k", str)) is Ready

    run(main())


def test_hit_in_memory_needs_no_event_loop() -> None:
    cache = TieredCache(ttl=60)
    assert isinstance(cache.set("k", 1), Ready)

    async def read() -> list[Any]:
        return [await cache.get("k"), await cache.get_or_load("k", str), await cache.get("a", 2)]

    for _ in range(2):
        with pytest.raises(StopIteration) as caught:
            read().send(None)
        assert caught.value.value == [1, 1, 2]
    assert spawn(lambda: asyncio.run(read())).result() == [1, 1, 2]
    assert isinstance(cache.delete("k"), Ready)
    assert isinstance(cache.get("k"), Ready)


def test_none_is_a_value() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            await tiers.cache.set("k", None)
            assert await tiers.cache.get("k", "default") is None
            tiers.forget()
            assert await tiers.cache.get("k", "default") is None
            assert await tiers.cache.get_or_load("k", str) is None

    run(main())


def test_reads_fall_through_the_tiers_and_fill_them() -> None:
    async def main() -> None:
        async with Tiers(3) as tiers:
            await tiers.cache.set("k", 1)
            for nearer in tiers.shared[:2]:
                nearer.records.clear()
            tiers.forget()
            assert await tiers.cache.get("k") == 1
            assert tiers.in_memory("k") == 1
            await settle()
            assert tiers.stored("k") == [1, 1, 1]
            assert [len(store.asked("get")) for store in tiers.stores] == [1, 1, 1]

    run(main())


def test_value_of_the_nearest_tier_is_the_one_that_counts() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            await tiers.cache.set("k", 1)
            tiers.forget()
            assert await tiers.cache.get("k") == 1
            assert tiers.stores[1].asked("get") == []

    run(main())


def test_fill_of_a_nearer_tier_does_not_undo_what_was_written_since() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            near, far = tiers.stores
            await tiers.cache.set("k", 1)
            near.shared.records.clear()
            tiers.forget()
            far.after.clear()
            reading = tiers.cache.get("k")
            await settle()
            near.shared.remove("k")  # by another process
            far.after.set()
            assert await reading == 1
            await settle()
            assert tiers.stored("k") == ["nothing", 1]

    run(main())


def test_expired_value_is_not_returned() -> None:
    async def main() -> None:
        async with Tiers(ttl=timedelta(seconds=10)) as tiers:
            await tiers.cache.set("a", 1)
            await tiers.cache.set("b", 2, ttl=20)
            await tiers.cache.set("c", 3, ttl=None)
            await asyncio.sleep(9.9)
            assert await tiers.cache.get_many([*"abc"]) == {"a": 1, "b": 2, "c": 3}
            await asyncio.sleep(0.2)
            assert await tiers.cache.get_many([*"abc"]) == {"b": 2, "c": 3}
            await asyncio.sleep(10)
            assert await tiers.cache.get_many([*"abc"]) == {"c": 3}

    run(main())


def test_memory_asks_the_stores_again_after_its_own_time() -> None:
    async def main() -> None:
        async with Tiers(l1_ttl=5) as tiers:
            await tiers.cache.set("k", 1)
            await tiers.cache.set("l", 1, l1_ttl=None)
            await asyncio.sleep(4)
            assert await tiers.cache.get("k") == 1
            assert tiers.stores[0].asked("get") == []
            await asyncio.sleep(2)
            assert await tiers.cache.get("k") == 1
            assert await tiers.cache.get("l") == 1
            assert tiers.stores[0].asked("get") == [("k",)]

    run(main())


def test_time_goes_on_while_a_value_is_in_a_store() -> None:
    async def main() -> None:
        async with Tiers(ttl=10) as tiers:
            await tiers.cache.set("k", 1)
            tiers.forget()
            await asyncio.sleep(8)
            assert await tiers.cache.get("k") == 1
            await asyncio.sleep(3)
            assert await tiers.cache.get("k") is None

    run(main())


def test_jitter_shortens_lives() -> None:
    async def main() -> None:
        async with Tiers(ttl=100, jitter=0.5) as tiers:
            await tiers.cache.set_many({str(number): number for number in range(100)})
            ttls = [record.ttl for record in tiers.shared[0].records.values()]
            assert all(ttl is not None and 50 <= ttl <= 100 for ttl in ttls)
            assert len(set(ttls)) > 50

    run(main())


# many keys


def test_many_keys() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache = tiers.cache
            assert await cache.set_many({"a": 1, "b": None}, tags=["t"])
            assert await cache.get_many(["b", "c", "a", "b"]) == {"b": None, "a": 1}
            assert await cache.get_many([]) == {}
            assert await cache.set_many({})
            assert await cache.delete_many(["a", "c"])
            assert await cache.delete_many([])
            assert await cache.get_many(["a", "b"]) == {"b": None}
            assert await cache.invalidate_tags("t")
            assert await cache.get_many(["a", "b"]) == {}

    run(main())


# without memory, without stores


def test_without_memory_every_read_asks_the_stores() -> None:
    async def main() -> None:
        async with Tiers(l1=None) as tiers:
            assert await tiers.cache.set("k", 1)
            assert [await tiers.cache.get("k"), await tiers.cache.get("k")] == [1, 1]
            assert await tiers.cache.get_or_load("k", str) == 1
            assert await tiers.cache.get_or_load("l", str) == "l"
            await settle()
            assert await tiers.cache.get("l") == "l"
            assert await tiers.cache.delete("l")
            assert await tiers.cache.get("l") is None
            assert len(tiers.cache._local.cache) == 0

    run(main())


def test_without_stores_there_is_memory() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=None)
        assert await cache.set("k", 1, tags=("t",))
        assert await cache.get("k") == 1
        assert await cache.get_or_load("l", str) == "l"
        assert await cache.get_many(["k", "l", "m"]) == {"k": 1, "l": "l"}
        assert await cache.invalidate_tags("t")
        assert await cache.get("k", 0) == 0
        assert await cache.clear()
        assert await cache.get("l") is None
        await cache.aclose()

    run(main())


def test_cache_of_ones_own_is_the_memory() -> None:
    async def main() -> None:
        own: Cache[str, Any] = Cache(2)
        cache = TieredCache(ttl=60, l1=own)
        for key in "abc":
            await cache.set(key, key)
        assert list(own) == ["b", "c"]
        assert [await cache.get(key) for key in "abc"] == [None, "b", "c"]

    run(main())


def test_what_the_memory_cannot_keep_is_read_from_the_stores(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def weigh(_: object, entry: Any) -> int:
        return len(entry.value)

    async def main() -> None:
        async with Tiers(
            l1=Cache(5, weigher=weigh, timer=asyncio.get_running_loop().time)
        ) as tiers:
            assert await tiers.cache.set("k", "a")
            assert await tiers.cache.set("k", "too long")
            assert tiers.in_memory("k") == "nothing"
            assert await tiers.cache.get("k") == "too long"
            assert await tiers.cache.get_or_load("l", lambda _: "long again") == "long again"

    run(main())
    assert "not stored in the first tier" in caplog.text


# what it is given


@pytest.mark.parametrize("call", ["get", "delete", "invalidate_glob", "invalidate_prefix"])
def test_keys_are_str(call: str) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            with pytest.raises(TypeError, match="must be a str, got int"):
                await getattr(tiers.cache, call)(1)

    run(main())


def test_wrong_arguments_of_calls_are_refused() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache: Any = tiers.cache
            for wrong, call in [
                ("key must be a str, got int", lambda: cache.set(1, 1)),
                ("key must be a str, got int", lambda: cache.set_many({1: 1})),
                ("key must be a str, got int", lambda: cache.get_or_load(1, str)),
                ("keys must be several str, got the str 'abc'", lambda: cache.delete_many("abc")),
                ("keys must be several str, got the str 'abc'", lambda: cache.get_many("abc")),
                ("keys must be several str", lambda: cache.get_or_load_many("abc", str)),
                ("loader must be callable, got int", lambda: cache.get_or_load("k", 1)),
                ("tags must be several str", lambda: cache.set("k", 1, tags="abc")),
                ("tags must be str, got int", lambda: cache.set("k", 1, tags=[1])),
                ("tag must be a str, got int", lambda: cache.invalidate_tags(1)),
                ("there is no option 'tll'", lambda: cache.set("k", 1, tll=1)),
                ("ttl must be a number of seconds", lambda: cache.set("k", 1, ttl="1")),
                ("cannot encode set", lambda: cache.set("k", {1})),
            ]:
                with pytest.raises(TypeError, match=wrong):
                    await call()
            with pytest.raises(ValueError, match="prefix must not be empty"):
                cache.invalidate_prefix("")
            with pytest.raises(ValueError, match="ttl must be > 0"):
                cache.set("k", 1, ttl=0)
            assert tiers.stored("k") == ["nothing"]
            assert tiers.in_memory("k") == "nothing"

    run(main())


def test_value_that_a_store_refuses_is_nowhere() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            tiers.stores[0].refuses = (list,)
            await tiers.cache.set("a", 1)
            with pytest.raises(TypeError, match="cannot encode list"):
                await tiers.cache.set_many({"b": 2, "a": []})
            assert await tiers.cache.get_many([*"ab"]) == {"a": 1}
            assert tiers.stored("b") == ["nothing", "nothing"]

    run(main())


def test_value_that_a_store_refuses_is_loaded_all_the_same() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            assert await tiers.cache.get_or_load("k", lambda key: {key}) == {"k"}
            assert await tiers.cache.get("k") == {"k"}
            await settle()
            assert tiers.stored("k") == ["nothing"]

    run(main())


def test_what_is_not_in_memory_can_stand_for_a_coroutine_too() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            await tiers.cache.set("k", 1)
            for _ in range(2):
                create: Any = asyncio.create_task
                assert await create(tiers.cache.get("k")) == 1
                assert await asyncio.wait_for(tiers.cache.get("k"), 1) == 1
                async with asyncio.TaskGroup() as group:
                    task: Any = group.create_task(tiers.cache.get("k"))  # type: ignore[arg-type]
                assert task.result() == 1
                tiers.forget()
            task = create(tiers.cache.get_or_load("x", str))
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    run(main())


def test_repr_names_the_tiers() -> None:
    cache = TieredCache(MemoryStore(name="redis"), ttl=1, name="users")
    assert repr(cache) == "<TieredCache l1, redis, name='users'>"
    assert repr(TieredCache(ttl=1)) == "<TieredCache l1>"
    assert cache.name == "users"
