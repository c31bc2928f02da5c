"""`TieredCache`: keys, tags and patterns that are no text harm nobody else."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

import pytest
from tests.model_tiers import outage, record, tier_of
from tests.steps import run
from tests.stores import Tiers

from penstock import SqliteStore, TieredCache
from penstock.caching import Loaded
from penstock.stores import Change

BAD = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("stores", [0, 1])
def test_what_is_no_text_is_refused(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores) as tiers:
            cache: Any = tiers.cache
            calls = [
                lambda: cache.get(BAD),
                lambda: cache.get_or_load(BAD, str),
                lambda: cache.get_or_load("k", str, tags=[BAD]),
                lambda: cache.set(BAD, 1),
                lambda: cache.set("k", 1, tags=["t", BAD]),
                lambda: cache.set_many({"k": 1, BAD: 2}),
                lambda: cache.delete(BAD),
                lambda: cache.delete_many(["k", BAD]),
                lambda: cache.invalidate_tags("t", BAD),
                lambda: cache.invalidate_prefix(BAD),
                lambda: cache.invalidate_glob(f"*{BAD}"),
                lambda: cache.warmup([BAD], str),
                lambda: cache.cached(str_of, prefix=BAD),
                lambda: Loaded(1, tags=[BAD]),
            ]
            for call in calls:
                with pytest.raises(ValueError, match=r"'caf\\udce9' is no text in UTF-8|udce9"):
                    call()
            for many in (cache.get_many([BAD]), cache.get_or_load_many(["k", BAD], list)):
                with pytest.raises(ValueError, match=r"key .* is no text"):
                    await many
            assert tiers.in_memory(BAD) == "nothing"
            assert [store.calls for store in tiers.stores] == [[]] * stores

    run(main())


async def str_of(value: object) -> str:
    return str(value)


def test_other_text_is_none_of_it() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            for key in ("caf\xe9", "\u732b\U0001f408", "", "\0\n"):
                assert await tiers.cache.set(key, 1, tags=[key]) is True
                tiers.forget()
                assert await tiers.cache.get(key) == 1
                assert await tiers.cache.invalidate_tags(key) is True
                assert await tiers.cache.get(key) is None

    run(main())


def test_others_of_the_same_tick_do_not_suffer() -> None:
    async def main(folder: str) -> None:
        async with TieredCache(SqliteStore(f"{folder}/cache.db"), ttl=60) as cache:
            assert await cache.set_many({"a": 1, "b": 2}) is True
            cache._local.clear()
            for method in (cache.get, cache.delete):
                other: Any = cache.get("a")
                with pytest.raises(ValueError, match="no text"):
                    method(BAD)
                assert await other == 1
                cache._local.clear()
            assert await cache.delete("b") is True
            (tier,) = cache.stats().tiers
            assert (tier.errors, tier.pending, tier.state) == (0, 0, "closed")

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))


@pytest.mark.parametrize("error", [TypeError("no"), ValueError("no")])
def test_missed_changes_that_the_store_cannot_take_hold_nothing_up(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        tier, store = tier_of(failures=10**6, min_calls=10**6)
        await outage(store, *"abcd")
        await tier.delete(["a", "poison", "b"])
        await tier.invalidate(["poisoned tag"], ["poisoned*", "c*"])
        await tier.set([("worse", record("new")), ("e", record("new"))])
        replay = store.replay

        async def refuse(changes: list[Change]) -> None:
            for change in changes:
                if change.names[0].startswith(("poison", "worse")):
                    raise error
            await replay(changes)

        store.replay = refuse  # type: ignore[method-assign]
        store.mode = "ok"
        await asyncio.sleep(10.0)
        stats = tier.stats()
        assert (stats.pending, stats.state) == (0, "closed")
        assert stats.replayed == 4
        assert [key for key in "abcde" if store.valid(key) is not None] == ["d", "e"]
        await tier.aclose()

    run(main())
    told = [message for message in caplog.messages if "does not take" in message]
    assert len(told) == 5  # a value, and then that it be deleted
