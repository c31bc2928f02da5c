"""`TieredCache` and leases: of several processes that miss a key, one loads it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import now, run
from tests.stores import Shared, Tiers

from penstock.errors import StoreUnavailable


class Oops(Exception):
    pass


class Processes:
    """Caches over one store, as several processes would have them."""

    def __init__(self, number: int, **options: object) -> None:
        self.number = number
        self.options = {"lease": 10, **options}
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> list[Tiers]:
        shared = [Shared(asyncio.get_running_loop().time)]
        return [
            await self.stack.enter_async_context(Tiers(shared=shared, **self.options))
            for _ in range(self.number)
        ]

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()


def test_one_process_loads_and_the_others_get_what_it_found() -> None:
    async def main() -> None:
        async with Processes(4) as tiers:
            load = HeldLoader()
            calls = [each.cache.get_or_load("k", load) for each in tiers for _ in range(3)]
            await settle(30)
            assert load.calls == ["k"]
            start = now()
            load.release()
            assert await asyncio.gather(*calls) == ["k 1"] * 12
            assert now() == start  # they were woken
            await settle(30)
            assert [each.in_memory("k") for each in tiers] == ["k 1"] * 4
            assert [each.cache.stats().leases_waited for each in tiers] == [0, 1, 1, 1]
            assert tiers[0].shared[0].leases == {}

    run(main())


def test_what_was_loaded_between_the_reading_and_the_lease_is_not_loaded_again() -> None:
    async def main() -> None:
        async with Processes(2) as (one, two):
            two.stores[0].after.clear()
            late = two.cache.get_or_load("k", HeldLoader())
            await settle()
            assert await one.cache.get_or_load("k", str) == "k"
            await settle(30)
            two.stores[0].after.set()
            assert await late == "k"
            await settle(30)
            assert one.shared[0].leases == {}

    run(main())


def test_when_one_fails_the_next_one_loads() -> None:
    async def main() -> None:
        async with Processes(3) as tiers:
            load = HeldLoader()

            async def fails(key: str) -> str:
                await load(key)
                raise Oops

            calls = [
                asyncio.ensure_future(each.cache.get_or_load("k", how))
                for each, how in zip(tiers, (fails, fails, str), strict=True)
            ]
            await settle(30)
            load.release(1)
            await settle(30)
            load.release(2)
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [str(result) for result in results[2:]] == ["k"]
            assert isinstance(results[0], Oops)

    run(main())


def test_lease_of_a_process_that_died_ends_by_itself() -> None:
    async def main() -> None:
        async with Processes(1) as (tiers,):
            await tiers.stores[0].acquire("k", 5)
            start = now()
            assert await tiers.cache.get_or_load("k", str) == "k"
            assert now() - start == pytest.approx(5)

    run(main())


def test_nobody_waits_longer_than_a_lease_lasts() -> None:
    async def main() -> None:
        async with Processes(1) as (tiers,):
            await tiers.stores[0].acquire("k", 500)
            start = now()
            assert await tiers.cache.get_or_load("k", str) == "k"
            assert now() - start == pytest.approx(10)
            assert await tiers.cache.get_or_load("k", str, lease=None) == "k"

    run(main())


def test_value_that_comes_after_its_lease_was_given_to_another_one_is_not_kept() -> None:
    async def main() -> None:
        async with Processes(2) as (one, two):
            load = HeldLoader()
            slow = one.cache.get_or_load("k", load)
            await settle(30)
            await asyncio.sleep(11)
            fast = two.cache.get_or_load("k", load)
            await settle(30)
            load.release(2)
            assert await fast == "k 2"
            await settle(30)
            load.release(1)
            assert await slow == "k 1"
            await settle(30)
            assert one.stored("k") == ["k 2"]
            # He was told before he had it: without this it would be served here for its whole ttl.
            assert [await each.cache.get("k") for each in (one, two)] == ["k 2"] * 2

    run(main())


def test_delete_in_another_process_during_a_load_wins() -> None:
    async def main() -> None:
        async with Processes(2) as (one, two):
            load = HeldLoader()
            call = one.cache.get_or_load("k", load)
            await settle(30)
            assert await two.cache.delete("k")
            load.release()
            assert await call == "k 1"
            await settle(30)
            assert one.stored("k") == ["nothing"]

    run(main())


def test_value_that_was_loaded_after_a_delete_is_kept() -> None:
    async def main() -> None:
        async with Processes(1) as (tiers,):
            store = tiers.stores[0]
            acquire = store.acquire

            async def deletes(key: str, seconds: float) -> object:
                store.shared.remove(key)
                return await acquire(key, seconds)

            store.acquire = deletes  # type: ignore[assignment, method-assign]
            assert await tiers.cache.get_or_load("k", str) == "k"
            await settle(30)
            assert tiers.stored("k") == ["k"]

    run(main())


def test_store_that_fails_has_no_leases() -> None:
    async def main() -> None:
        async with Processes(1) as (tiers,):
            store = tiers.stores[0]
            load = HeldLoader()
            store.fail()
            call = tiers.cache.get_or_load("k", load)
            await settle(30)
            assert load.calls == ["k"]
            assert store.asked("acquire") == []
            load.release()
            assert await call == "k 1"

    run(main())


def test_store_that_stops_answering_keeps_nobody_waiting() -> None:
    async def main() -> None:
        async with Processes(1) as (tiers,):
            store = tiers.stores[0]
            acquire = store.acquire

            async def hangs(key: str, seconds: float) -> object:
                store.hang()
                return await acquire(key, seconds)

            store.acquire = hangs  # type: ignore[assignment, method-assign]
            start = now()
            assert await tiers.cache.get_or_load("k", str) == "k"
            assert now() - start == pytest.approx(0.25)

    run(main())


def test_lease_is_given_back_when_who_loads_leaves() -> None:
    async def main() -> None:
        async with Processes(2) as (one, two):
            load = HeldLoader()
            first = asyncio.ensure_future(one.cache.get_or_load("k", load))
            await settle(30)
            second = two.cache.get_or_load("k", load)
            await settle(30)
            assert load.calls == ["k"]
            first.cancel()
            await settle(30)
            assert load.calls == ["k", "k"]
            load.release()
            assert await second == "k 2"

    run(main())


def test_value_is_loaded_anew_by_one_process() -> None:
    async def main() -> None:
        async with Processes(3, refresh_after=10) as tiers:
            for each in tiers:
                await each.cache.get_or_load("k", lambda _: "old")
                await settle(30)
            await asyncio.sleep(11)
            load = HeldLoader()
            for each in tiers:
                assert await each.cache.get_or_load("k", load) == "old"
            await settle(30)
            load.release()
            await settle(50)
            assert load.calls == ["k"]
            for each in tiers:
                assert await each.cache.get_or_load("k", load) == "k 1"

    run(main())


def test_old_value_serves_while_another_process_loads() -> None:
    async def main() -> None:
        async with Processes(2, ttl=10, stale_for=100, soft_timeout=1) as (one, two):
            await one.cache.set("k", "old")
            await asyncio.sleep(20)
            load = HeldLoader()
            calls = [each.cache.get_or_load("k", load) for each in (one, two)]
            start = now()
            assert await asyncio.gather(*calls) == ["old"] * 2
            assert now() - start == pytest.approx(1)
            load.release()
            await settle(50)
            assert [each.in_memory("k") for each in (one, two)] == ["k 1"] * 2
            assert load.calls == ["k"]

    run(main())


@pytest.mark.parametrize("how", ["at once", "fails"])
def test_who_is_woken_for_nothing_does_not_ask_again_and_again(how: str) -> None:
    async def main() -> None:
        async with Processes(2) as (one, two):
            load = HeldLoader()
            first = asyncio.ensure_future(one.cache.get_or_load("k", load))
            await settle(30)

            async def released(key: str, timeout: float) -> None:  # noqa: ASYNC109
                if how == "fails":
                    raise StoreUnavailable("no pub/sub")

            two.stores[0].released = released  # type: ignore[method-assign]
            second = asyncio.ensure_future(two.cache.get_or_load("k", load))
            await asyncio.sleep(9)
            assert load.calls == ["k"]
            assert len(two.stores[0].asked("acquire")) < 15
            load.release()
            assert await first == await second == "k 1"
            assert two.cache.stats().leases_waited == 1

    run(main())


def test_who_is_woken_asks_at_once() -> None:
    async def main() -> None:
        async with Processes(3) as (one, *others):
            started = now()

            async def fails(_: str) -> str:
                await asyncio.sleep(1)
                raise Oops

            first = asyncio.ensure_future(one.cache.get_or_load("k", fails))
            await settle(30)
            second = asyncio.ensure_future(others[0].cache.get_or_load("k", str))
            with pytest.raises(Oops):
                await first
            assert await second == "k"
            assert now() - started == pytest.approx(1)

    run(main())


@pytest.mark.parametrize("how", ["fails", "is not kept"])
def test_what_is_not_to_be_had_is_waited_for_once(how: str) -> None:
    async def main() -> None:
        async with Processes(16, cache_if=lambda value: value is not None) as tiers:
            calls = []

            async def load(_: str) -> None:
                calls.append(now())
                await asyncio.sleep(0.05)
                if how == "fails":
                    raise Oops

            started = now()
            asked = [each.cache.get_or_load("k", load) for each in tiers]
            results = await asyncio.gather(*asked, return_exceptions=True)
            assert all(result is None or isinstance(result, Oops) for result in results)
            assert now() - started == pytest.approx(0.1)
            assert calls == [started] + [pytest.approx(started + 0.05)] * 15

    run(main())


def test_what_is_loaded_after_a_lease_that_has_ended_by_itself_is_waited_for() -> None:
    async def main() -> None:
        async with Processes(4) as tiers:
            await tiers[0].stores[0].acquire("k", 5)  # by a process that has died since
            calls = []

            async def load(key: str) -> str:
                calls.append(key)
                await asyncio.sleep(1)
                return key

            assert [await each for each in [t.cache.get_or_load("k", load) for t in tiers]] == [
                "k"
            ] * 4
            assert calls == ["k"]

    run(main())


def test_what_somebody_has_deleted_since_is_no_reason_to_forget_what_was_loaded() -> None:
    async def main() -> None:
        async with Processes(1) as (one,):
            load = HeldLoader()
            call = one.cache.get_or_load("k", load)
            await settle(30)
            one.shared[0].remove("k")  # unheard
            load.release()
            assert await call == "k 1"
            await settle(30)
            assert (one.in_memory("k"), one.stored("k")) == ("k 1", ["nothing"])

    run(main())
