"""`TieredCache`: a process sees what it has written at once, whatever its stores have by then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import run
from tests.stores import MemoryStore, Tiers

from penstock import TieredCache
from penstock.stores._store import Record

#: How to remove the key "key" with the tag "tag".
HOW: dict[str, Callable[[TieredCache], Awaitable[bool]]] = {
    "delete": lambda cache: cache.delete("key"),
    "tags": lambda cache: cache.invalidate_tags("tag"),
    "prefix": lambda cache: cache.invalidate_prefix("ke"),
    "glob": lambda cache: cache.invalidate_glob("?[aeiou]y"),
    "clear": lambda cache: cache.clear(),
}


def hold(store: MemoryStore) -> asyncio.Event:
    """Let writes wait, but no reads, and return what lets them go on."""
    begin, event = store._begin, asyncio.Event()

    async def wait(method: str, names: Any) -> None:
        if method in {"set", "delete", "invalidate"}:
            await event.wait()
        await begin(method, names)

    store._begin = wait  # type: ignore[method-assign]
    return event


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("how", HOW)
def test_what_is_being_removed_is_not_there_any_more(how: str, prompt: bool) -> None:
    async def main() -> None:
        async with Tiers(2, prompt=prompt) as tiers:
            cache = tiers.cache
            await cache.set("key", "old", tags=["tag"])
            await cache.set("other", "stays", tags=["stays"])
            event = hold(tiers.stores[1])
            removing = HOW[how](cache)
            for _ in range(2):
                assert await cache.get("key") is None
                await settle()
            assert tiers.stored("key") == ["old"] * 2
            assert await cache.get("other") == (None if how == "clear" else "stays")
            assert await cache.get_or_load("key", lambda _: "new") == "new"
            event.set()
            assert await removing
            assert await cache.get("key") in {None, "new"}

    run(main())


@pytest.mark.parametrize("how", HOW)
def test_an_answer_that_comes_after_the_removal_is_from_before(how: str) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, store = tiers.cache, tiers.stores[0]
            await cache.set("key", "old", tags=["tag"])
            tiers.forget()
            event = hold(store)
            store.read.clear()
            before = cache.get("key")
            await settle()
            removing = HOW[how](cache)
            after = cache.get("key")
            await settle()
            event.set()
            assert await removing
            store.read.set()
            assert await before == "old"  # asked before
            assert await after is None
            await settle()
            assert await cache.get("key") is None
            assert cache._core.unwritten.is_empty()

    run(main())


@pytest.mark.parametrize("l1", [None, 1])
def test_what_is_being_set_is_there(l1: int | None) -> None:
    async def main() -> None:
        async with Tiers(l1=l1) as tiers:
            cache = tiers.cache
            await cache.set("key", "old")
            event = hold(tiers.stores[0])
            setting = cache.set("key", "new", tags=["tag"])
            await settle()
            cache.set("another", 1)  # for which L1 has to make room
            assert await cache.get("key") == "new"
            assert await cache.get_or_load("key", lambda _: "loaded") == "new"
            assert await cache.get_or_load_many(["key"], lambda keys: []) == {"key": "new"}
            again = cache.set("key", "newer")
            cache.set("another", 2)
            assert await cache.get("key") == "newer"
            removing = cache.invalidate_tags("tag")
            assert await cache.get("key") == "newer"
            event.set()
            assert await asyncio.gather(setting, again, removing) == [True] * 3
            assert await cache.get("key") == "newer"

    run(main())


@pytest.mark.parametrize("how", HOW)
def test_what_is_being_set_may_be_removed_again_and_set(how: str) -> None:
    async def main() -> None:
        async with Tiers(l1=None) as tiers:
            cache = tiers.cache
            event = hold(tiers.stores[0])
            cache.set("key", 1, tags=["tag"])
            await settle()
            HOW[how](cache)
            assert await cache.get("key") is None
            last = cache.set("key", 2, tags=["tag"])
            assert await cache.get("key") == 2
            event.set()
            assert await last
            assert await cache.get("key") == 2

    run(main())


def test_what_another_process_has_set_since_is_newer() -> None:
    async def main() -> None:
        async with Tiers(2, l1=None, backplane=True) as tiers:
            cache, near = tiers.cache, tiers.stores[0]
            await cache.get("other")
            event = hold(near)
            setting = cache.set("key", "mine")  # the far one has it
            await settle()
            other, now = MemoryStore(tiers.shared[1]), asyncio.get_running_loop().time()
            await other.set_many([("key", Record("theirs", now, 60.0))])
            await settle()
            assert await cache.get("key") != "mine"
            event.set()
            assert await setting
            await settle()
            assert await cache.get("key") == "theirs"
            await settle()
            assert tiers.stored("key") == ["theirs"] * 2

    run(main())


@pytest.mark.parametrize("kind", ["delete", "tags", "patterns"])
def test_what_others_have_removed_is_hidden_in_front_until_it_is_gone_there(kind: str) -> None:
    async def main() -> None:
        async with Tiers(2, backplane=True) as tiers:
            cache, near = tiers.cache, tiers.stores[0]
            await cache.set("key", "old", tags=["tag"])
            await settle()
            event = hold(near)
            other = MemoryStore(tiers.shared[1])
            if kind == "delete":
                await other.delete_many(["key"])
            elif kind == "tags":
                await other.invalidate(tags=["tag"])
            else:
                await other.invalidate(patterns=["k*"])
            await settle()
            assert tiers.stored("key") == ["old", "nothing"]
            assert await cache.get("key") is None
            event.set()
            await settle()
            assert await cache.get("key") is None
            assert tiers.stored("key") == ["nothing"] * 2
            assert cache._core.unwritten.is_empty()

    run(main())


def test_many_messages_are_few_calls_and_do_not_hold_up_what_is_written_here() -> None:
    async def main() -> None:
        async with Tiers(2, backplane=True) as tiers:
            near = tiers.stores[0]
            await tiers.cache.get("k")
            await settle()
            event = hold(near)
            other, now = MemoryStore(tiers.shared[1]), asyncio.get_running_loop().time()
            for number in range(100):
                await other.set_many([(f"x{number}", Record(number, now, 60.0))])
                await asyncio.sleep(0)
            setting = tiers.cache.set("mine", 1)
            event.set()

            async def chatter() -> None:
                while True:
                    await other.delete_many(["y"])
                    await asyncio.sleep(0)

            others = asyncio.create_task(chatter())
            assert await asyncio.wait_for(setting, 60)
            others.cancel()
            await settle()  # what is written here may overtake them
            assert len(near.asked("delete")) < 10
            assert {key for keys in near.asked("delete") for key in keys} >= {
                f"x{number}" for number in range(100)
            }

    run(main())


def test_more_keys_of_others_than_are_remembered_are_all() -> None:
    async def main() -> None:
        async with Tiers(2, backplane=True) as tiers:
            near = tiers.stores[0]
            await tiers.cache.get("k")
            await settle()
            near.calls.clear()
            event = hold(near)
            tiers.cache._backplane._writes.forward(1, keys=["first"])
            await settle()
            tiers.cache._backplane._writes.forward(1, keys=[str(key) for key in range(6000)])
            event.set()
            await settle()
            assert near.asked("invalidate") == [("*",)]
            assert near.asked("delete") == [("first",)]

    run(main())


@pytest.mark.parametrize("stores", [1, 2])
def test_a_lost_connection_leaves_what_there_was_as_a_fallback(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores, backplane=True, stale_for=1000) as tiers:
            await tiers.cache.get("warm")
            await settle()
            await tiers.cache.set("key", "old")
            for store in tiers.stores:
                store.fail()
            tiers.stores[-1].disconnect()
            await asyncio.sleep(1)

            async def load(key: str) -> None:
                raise ValueError(key)

            assert await tiers.cache.get_or_load("key", load) == "old"

    run(main())


def test_a_refresh_does_not_find_what_is_being_removed() -> None:
    async def main() -> None:
        async with Tiers(lease=10) as tiers:
            cache, store = tiers.cache, tiers.stores[0]
            await cache.set("key", "old")
            event = hold(store)
            removing = cache.delete("key")
            assert await cache._reload("key", lambda _: "new") == "new"
            assert await cache.get_or_load("key", lambda _: "again") == "new"
            cache._local.drop(["key"])
            assert await cache.get_or_load("key", lambda _: "again") == "again"
            event.set()
            assert await removing

    run(main())
