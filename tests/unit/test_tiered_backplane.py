"""`TieredCache` and what other processes change: it is not served any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import now, run
from tests.stores import Tiers

from penstock import TieredCache
from penstock.stores import Message

HOW: dict[str, Callable[[TieredCache], Awaitable[bool]]] = {
    "set": lambda cache: cache.set("key", "new"),
    "delete": lambda cache: cache.delete("key"),
    "tags": lambda cache: cache.invalidate_tags("tag"),
    "prefix": lambda cache: cache.invalidate_prefix("k"),
    "clear": lambda cache: cache.clear(),
}


def two(one: Tiers, **options: object) -> Tiers:
    """Another process over the same stores."""
    return Tiers(shared=one.shared, backplane=True, **options)


@pytest.mark.parametrize("how", HOW)
def test_what_another_process_changes_is_not_served_any_more(how: str) -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one, two(one) as other:
            await one.cache.set("key", "old", tags=["tag"])
            assert await other.cache.get("key") == "old"
            await HOW[how](one.cache)
            await settle()
            expected = "new" if how == "set" else None
            assert await other.cache.get("key") == expected
            assert other.cache.stats().messages == 1

    run(main())


@pytest.mark.parametrize("how", HOW)
def test_what_another_process_changes_during_a_load_wins(how: str) -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one, two(one) as other:
            load = HeldLoader()
            await one.cache.get("other")
            call = one.cache.get_or_load("key", load, tags=["tag"])
            await settle()
            await HOW[how](other.cache)
            await settle()
            late = one.cache.get_or_load("key", load, tags=["tag"])
            await settle()
            load.release()
            assert await call == "key 1"
            assert await late == ("new" if how == "set" else "key 2")
            await settle()
            assert one.stored("key") == (["new"] if how == "set" else ["key 2"])

    run(main())


def test_without_a_backplane_memory_lives_on() -> None:
    async def main() -> None:
        async with Tiers(l1_ttl=5) as one, Tiers(shared=one.shared) as other:
            await one.cache.set("key", "old")
            await other.cache.set("key", "new")
            await settle()
            assert await one.cache.get("key") == "old"
            await asyncio.sleep(6)
            assert await one.cache.get("key") == "new"

    run(main())


def test_lost_connection_flushes_memory() -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one, two(one) as other:
            await one.cache.set("key", "old")
            assert await other.cache.get("key") == "old"
            store = other.stores[0]
            store.disconnect()
            assert await other.cache.get("key") == "old"  # from the store
            assert len(store.asked("get")) == 2
            await one.cache.set("key", "new")
            await settle()
            assert await other.cache.get("key") == "old"  # nobody told
            store.reconnect()
            assert await other.cache.get("key") == "new"
            assert other.cache.stats().lost == 2

    run(main())


def test_what_was_flushed_may_still_serve_when_loading_fails() -> None:
    async def main() -> None:
        async with Tiers(backplane=True, stale_for=100) as one:
            await one.cache.set("key", "old")
            one.stores[0].disconnect()
            one.stores[0].fail()

            def fails(key: str) -> str:
                raise KeyError(key)

            assert await one.cache.get("key") is None
            assert await one.cache.get_or_load("key", fails) == "old"

    run(main())


def test_what_is_loaded_while_the_connection_is_lost_is_not_served_from_memory() -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one:
            load = HeldLoader()
            call = one.cache.get_or_load("key", load)
            await settle()
            one.stores[0].disconnect()
            load.release(1)
            assert await call == "key 1"
            await settle()
            one.shared[0].records.clear()  # somebody has deleted it, before it was loaded
            assert await one.cache.get("key") is None

    run(main())


def test_first_reads_wait_until_somebody_listens() -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one:
            store = one.stores[0]
            listen = store.listen

            async def slow(*args: object) -> None:
                await asyncio.sleep(0.05)
                await listen(*args)  # type: ignore[arg-type]

            store.listen = slow  # type: ignore[method-assign, assignment]
            load = HeldLoader()
            start = now()
            calls = [one.cache.get_or_load("key", load) for _ in range(3)]
            await asyncio.sleep(0.1)
            assert store.calls[:2] == [("listen", ()), ("get", ("key",))]
            calls.append(one.cache.get_or_load("key", load))
            load.release()
            assert await asyncio.gather(*calls) == ["key 1"] * 4
            assert now() - start == pytest.approx(0.1)
            assert one.in_memory("key") == "key 1"
            assert await one.cache.get("key") == "key 1"

    run(main())


def test_nobody_waits_for_long_until_somebody_listens() -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one:
            store = one.stores[0]
            gate = asyncio.Event()
            listen = store.listen

            async def hangs(*args: object) -> None:
                await gate.wait()
                await listen(*args)  # type: ignore[arg-type]

            store.listen = hangs  # type: ignore[method-assign, assignment]
            start = now()
            assert await one.cache.get_or_load("key", str) == "key"
            assert now() - start == pytest.approx(0.1)
            assert await one.cache.get("key") == "key"
            gate.set()
            await settle()
            # It may be old: nobody has listened since it was there.
            store.fail()
            assert await one.cache.get("key") is None

    run(main())


def test_listening_is_tried_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one, two(one) as other:
            store = other.stores[0]
            store.fail()
            assert await other.cache.get_or_load("key", str) == "key"
            await asyncio.sleep(30)
            assert 5 < len(store.asked("listen")) < 60
            store.mend()
            await asyncio.sleep(6)
            assert await other.cache.get_or_load("key", str) == "key"
            await one.cache.set("key", "new")
            await settle()
            assert await other.cache.get("key") == "new"

    run(main())
    said = [each.message for each in caplog.records if "cannot listen" in each.message]
    assert said == ["a TieredCache cannot listen to its store: no connection"]


def test_nearer_tiers_learn_of_what_others_changed_in_a_deeper_one() -> None:
    async def main() -> None:
        async with Tiers(2) as probe:
            far = probe.shared[1]
        async with Tiers(2, backplane=True) as one:
            one.shared[1], one.stores[1].shared = far, far
            far.stores.append(one.stores[1])
            async with Tiers(shared=[far]) as other:
                await one.cache.get("nothing")
                await settle(30)
                await one.cache.set("key", "old", tags=["tag"])
                for how in HOW.values():
                    await one.cache.set("key", "old", tags=["tag"])
                    await how(other.cache)
                    await settle(30)
                    assert await one.cache.get("key") in {None, "new"}
                    near = one.shared[0].valid("key")
                    assert near is None or near.value == "new"

    run(main())


def test_what_is_set_after_a_message_stays_in_the_nearer_tiers() -> None:
    async def main() -> None:
        async with Tiers(2, backplane=True) as one:
            near, far = one.stores
            await one.cache.get("nothing")
            await settle(30)
            near.before.clear()
            other = one.cache.set("other", 1)
            await settle()
            setting = one.cache.set("key", "new")
            assert far.receive is not None
            far.receive(Message("delete", ("key",), 1))
            await settle()
            near.before.set()
            assert [await other, await setting] == [True, True]
            await settle(30)
            assert one.stored("key") == ["new"] * 2

    run(main())


def test_closing_ends_listening() -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one:
            await one.cache.get("key")
            assert one.stores[0].receive is not None
        assert one.stores[0].receive is None

    run(main())
