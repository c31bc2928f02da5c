"""`TieredCache` over a store that is read without a task: what comes back serves all at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run, tasks_left
from tests.stores import PromptStore, Tiers

from penstock.errors import ClosedError
from penstock.stores import Reading


def test_reading_needs_no_task() -> None:
    async def main() -> None:
        async with Tiers(prompt=True) as tiers:
            store = tiers.stores[0]
            await tiers.cache.set_many({"a": 1, "b": 2})
            tiers.forget()
            asked: list[Any] = []

            def ask_many(*args: Any) -> bool:
                asked.append(args)
                return True

            tiers.cache._tiers[0]._ask_many = ask_many
            reads = [tiers.cache.get("a"), tiers.cache.get_or_load("b", str)]
            before = tasks_left()
            await settle()
            assert tasks_left() == before
            ((keys, answered),) = asked
            assert keys == ["a", "b"]
            records = [store.shared.records[key] for key in keys]
            answered(Reading(records, store.shared.now), None)
            # They are told at once.
            assert [read.result() for read in reads] == [1, 2]  # type: ignore[attr-defined]
            assert tiers.in_memory("a") == 1

    run(main())


@pytest.mark.parametrize("stores", [1, 2])
def test_what_is_missing_is_looked_for_in_the_other_tiers_and_loaded(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores, prompt=True) as tiers:
            await tiers.cache.set_many({"a": 1, "b": 2})
            tiers.forget()
            del tiers.shared[0].records["b"]
            load = HeldLoader()
            calls = [
                tiers.cache.get("a"),
                tiers.cache.get("b", "none"),
                tiers.cache.get("c", "none"),
                tiers.cache.get_or_load("d", load),
                tiers.cache.get_or_load("a", load),
            ]
            await settle()
            load.release()
            b = 2 if stores == 2 else "none"
            assert await asyncio.gather(*calls) == [1, b, "none", "d 1", 1]
            await settle()
            assert tiers.stored("d") == ["d 1"] * stores
            assert len(tiers.stores[0].asked("get")) == 1
            if stores == 2:
                assert tiers.stores[1].asked("get") == [("b", "c", "d")]
                assert tiers.stored("b") == [2, 2]

    run(main())


@pytest.mark.parametrize("stores", [1, 2])
def test_store_that_fails_or_hangs_is_none(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores, prompt=True) as tiers:
            await tiers.cache.set("a", 1)
            tiers.forget()
            expected = 1 if stores == 2 else None
            tiers.stores[0].fail()
            assert await tiers.cache.get("a") == expected
            tiers.forget()
            tiers.stores[0].mend()
            tiers.stores[0].hang()
            assert await tiers.cache.get("a") == expected
            assert await tiers.cache.get_or_load("b", str) == "b"

    run(main())


def test_store_that_cannot_be_asked_so_is_asked_otherwise() -> None:
    async def main() -> None:
        async with Tiers(prompt=True) as tiers:
            await tiers.cache.set("a", 1)
            tiers.forget()
            tiers.cache._tiers[0]._ask_many = lambda *_: False
            assert await tiers.cache.get("a") == 1

    run(main())


def test_reads_of_many_keys_are_split() -> None:
    async def main() -> None:
        async with Tiers(prompt=True) as tiers:
            keys = [str(number) for number in range(1201)]
            assert await tiers.cache.get_many(keys) == {}
            assert [len(names) for names in tiers.stores[0].asked("get")] == [500, 500, 201]

    run(main())


def test_closing_waits_for_the_answer() -> None:
    async def main() -> None:
        tiers = Tiers(prompt=True)
        await tiers.cache.set("a", 1)
        tiers.forget()
        reading = tiers.cache.get("a")
        await tiers.cache.aclose()
        assert await reading == 1

    run(main())


def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        tiers = Tiers(prompt=True)
        asked: list[Any] = []

        def never(*args: Any) -> bool:
            asked.append(args)
            return True

        tiers.cache._tiers[0]._ask_many = never
        reads = [tiers.cache.get("a"), tiers.cache.get_or_load("b", str)]
        await settle()
        await tiers.cache.aclose(timeout=0.01)
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(result) for result in results] == [ClosedError] * 2
        for keys, answered in asked:  # too late
            answered(Reading([None] * len(keys), 1), None)

    run(main())
    assert not caplog.records


def test_what_is_wrong_here_is_not_told_to_the_store(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Tiers(prompt=True) as tiers:
            store = tiers.stores[0]
            assert isinstance(store, PromptStore)
            asked: list[Any] = []

            def ask_many(*args: Any) -> bool:
                asked.append(args)
                return True

            tiers.cache._tiers[0]._ask_many = ask_many
            reading = tiers.cache.get("a")
            await settle()
            tiers.cache._core.clock = lambda: 1 / 0
            asked[0][1](Reading([None], 1), None)
            assert await reading is None

    run(main())
    assert "reading the stores of a TieredCache failed" in caplog.text
