"""Tier: what a store has missed is not served, and made up for when it answers again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.clock import Clock
from tests.loading import settle
from tests.model_store import ModelStore
from tests.model_tiers import (
    WALL,
    end_of_outage,
    outage,
    record,
    store_directly,
    tier_of,
    values,
)
from tests.steps import run

from penstock.bench._virtual_loop import VirtualLoop
from penstock.caching._tier import Tier

if TYPE_CHECKING:
    pass


def test_what_was_missed_is_not_served_and_made_up_for() -> None:
    async def main() -> None:
        tier, store = tier_of(failures=100, min_calls=100)
        await outage(store, *"abcdef")
        assert await tier.delete(["a", "b"]) is False
        assert await tier.set([("c", record("new c"))]) == [False]
        assert await tier.invalidate((), ["d*"]) is False
        store.mode = "ok"
        # It answers again; nothing was replayed yet.
        assert [tier.pending(key) for key in "abcde"] == [True, True, True, True, False]
        assert values(await tier.read(list("abcde"))) == [None, None, None, None, "old e"]
        assert "replay" not in store.calls
        stats = tier.stats()
        assert (stats.pending, stats.queued, stats.hidden, stats.replayed) == (4, 4, 4, 0)
        await end_of_outage(tier, store)
        assert [change.kind for change in store.replayed] == ["delete", "delete", "set", "patterns"]
        assert values(await tier.read(list("abcde"))) == [None, None, "new c", None, "old e"]
        stats = tier.stats()
        assert (stats.pending, stats.replayed, stats.hidden) == (0, 4, 4)

    run(main())


def test_records_with_a_tag_that_was_missed_are_not_served() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, "a")
        await store_directly(store, "b")
        assert await tier.invalidate(["tag"]) is False
        store.mode = "ok"
        assert tier.pending("a", ("x", "tag"))
        assert not tier.pending("a")
        assert values(await tier.read(["a", "b"])) == [None, "direct"]
        await end_of_outage(tier, store)
        assert values(await tier.read(["a", "b"])) == [None, "direct"]
        assert store.valid("a") is None

    run(main())


def test_what_was_missed_is_not_filled() -> None:
    """The load may have begun before what was missed."""

    async def main() -> None:
        tier, store = tier_of()
        await outage(store)
        await tier.delete(["a"])
        await tier.invalidate(["tag"])
        store.mode = "ok"
        items = [("a", record()), ("b", record(tags=("tag",))), ("c", record())]
        await tier.fill(items, store.clock + 10**9)
        assert sorted(store.data) == ["c"]
        await end_of_outage(tier, store)

    run(main())


def test_a_failed_fill_is_not_made_up_for() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.mode = "down"
        await tier.fill([("a", record())], 5)
        assert tier.stats().pending == 0

    run(main())


def test_what_is_changed_while_the_store_is_left_alone_is_missed() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, *"abc")
        while tier.stats().state == "closed":
            await tier.read(["x"])
        calls = len(store.calls)
        await tier.delete(["a"])
        await tier.set([("b", record("new"))])
        await tier.invalidate((), ["c"])
        assert (len(store.calls), tier.stats().pending) == (calls, 3)
        await end_of_outage(tier, store)
        assert values(await tier.read(list("abc"))) == [None, "new", None]

    run(main())


def test_it_goes_on_when_a_loop_was_closed_under_it() -> None:
    loop = VirtualLoop()
    loop.set_exception_handler(lambda loop, context: None)
    store = ModelStore()
    clock = Clock(1e6)  # above that of any loop, which the store goes by
    tier = Tier(store, timer=clock, clock=Clock(WALL))

    async def before() -> None:
        await outage(store, "a")
        await tier.delete(["a"])
        await settle()

    async def after() -> None:
        await tier.read(["b"])
        await end_of_outage(tier, store)
        assert store.valid("a") is None

    loop.run_until_complete(before())
    loop.close()
    store.mode = "ok"
    run(after())


def test_the_newest_change_of_a_key_is_all_that_is_replayed() -> None:
    async def main() -> None:
        tier, store = tier_of(failures=100, min_calls=100)
        await outage(store, "a")
        await tier.set([("a", record(1)), ("b", record(1))])
        await tier.delete(["a"])
        await tier.set([("a", record(2))])
        await tier.delete(["b"])
        await end_of_outage(tier, store)
        assert [(c.kind, c.names) for c in store.replayed] == [("set", ("a",)), ("delete", ("b",))]
        assert values(await tier.read(["a", "b"])) == [2, None]

    run(main())


def test_what_another_process_has_written_since_is_newer() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, "a", "b", "c")
        await tier.set([("a", record("missed"))])
        await tier.delete(["b"])
        await asyncio.sleep(0.001)
        await store_directly(store, "a")
        await store_directly(store, "b")
        await end_of_outage(tier, store)
        assert len(store.replayed) == 2
        assert values(await tier.read(["a", "b"])) == ["direct", "direct"]

    run(main())


def test_a_change_that_is_taken_makes_an_older_one_needless() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, "a", "b")
        await tier.set([("a", record("missed"))])
        await tier.delete(["b"])
        await tier.invalidate(["tag"], ["x*"])
        store.mode = "ok"
        assert await tier.set([("b", record("new"))]) == [True]
        assert tier.stats().pending == 3
        assert await tier.delete(["a"])
        assert await tier.invalidate(["tag"], ["x*"])
        assert tier.stats().pending == 0
        assert not tier.pending("xyz")
        await asyncio.sleep(10.0)
        assert store.replayed == []
        assert values(await tier.read(["a", "b"])) == [None, "new"]

    run(main())


# --- trying again ---


def test_the_store_is_tried_less_and_less_often() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, "a")
        await tier.delete(["a"])
        store.calls.clear()
        await asyncio.sleep(1.0)
        early = store.calls.count("ping")
        await asyncio.sleep(59.0)
        pings = store.calls.count("ping")
        assert early >= 1
        assert 12 <= pings < 100  # every 2.5 s on average, in the end
        assert "replay" not in store.calls
        await end_of_outage(tier, store)

    run(main())


def test_there_is_one_task_and_only_while_something_is_pending() -> None:
    async def main() -> None:
        tier, store = tier_of(failures=100, min_calls=100)
        before = len(asyncio.all_tasks())
        await outage(store)
        for number in range(10):
            await tier.delete([str(number)])
        assert len(asyncio.all_tasks()) == before + 1
        await end_of_outage(tier, store)
        await settle()
        assert len(asyncio.all_tasks()) == before

    run(main())


def test_a_store_that_took_all_is_asked_again_at_once() -> None:
    async def main() -> None:
        tier, store = tier_of(open_for=1000.0, max_open_for=1000.0)
        await outage(store, "a")
        for _ in range(5):
            await tier.delete(["a"])
        assert tier.stats().state == "open"
        await end_of_outage(tier, store)
        assert tier.stats().state == "closed"
        assert values(await tier.read(["a"])) == [None]

    run(main())


def test_a_store_that_takes_no_writes_is_read_all_the_same() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, "a", "b")
        store.mode = "refusing"
        for _ in range(20):
            assert await tier.delete(["a"]) is False
            assert await tier.set([("c", record())]) == [False]
        await asyncio.sleep(60.0)
        assert tier.stats().state == "closed"
        assert tier.stats().pending == 2
        assert values(await tier.read(["a", "b", "c"])) == [None, "old b", None]
        await end_of_outage(tier, store)
        assert store.valid("a") is None

    run(main())


def test_a_store_without_room_gets_the_deletes_and_later_the_values() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, "z")
        for number in range(10):
            await tier.set([(f"k{number}", record("new"))])
            await asyncio.sleep(0.001)
        await tier.delete(["z"])
        store.mode = "full"
        await asyncio.sleep(30.0)
        assert store.valid("z") is None
        assert tier.stats().pending == 10
        await end_of_outage(tier, store)
        assert [store.valid(f"k{number}").value for number in range(10)] == ["new"] * 10

    run(main())


@pytest.mark.parametrize("error", [TypeError("no"), ValueError("no"), RuntimeError("no")])
def test_one_value_that_is_not_taken_does_not_hold_up_the_others(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        tier, store = tier_of(failures=10**6, min_calls=10**6)
        await outage(store, "k50")
        for number in range(100):
            await tier.set([(f"k{number}", record("new"))])
        store.refused["k50"] = error
        await end_of_outage(tier, store)
        assert store.valid("k49").value == store.valid("k51").value == "new"
        assert store.valid("k50") is None
        assert tier.stats().replayed == 100

    run(main())
    told = "model does not take 'k50': no" in caplog.messages
    assert told is isinstance(error, TypeError | ValueError), "others may be taken later"
