"""One load at a time for each key, whoever asks and whatever happens to them."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.loading import HeldLoader, settle

from penstock import cached


def test_a_thousand_concurrent_misses_make_one_load() -> None:
    calls = []

    @cached
    async def load(key: str) -> object:
        calls.append(key)
        await asyncio.sleep(0)
        return object()

    async def main() -> None:
        results = await asyncio.gather(*[load("a") for _ in range(1000)])
        assert len(set(results)) == 1

    asyncio.run(main())
    assert calls == ["a"]
    assert load.cache_info() == (0, 1000, 1024, 1)
    assert load.stats().loads == 1


def test_keys_are_loaded_side_by_side() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        waiters = [asyncio.ensure_future(load(key)) for key in "abab"]
        await settle()
        assert held.calls == ["a", "b"]
        held.release()
        assert await asyncio.gather(*waiters) == ["a 1", "b 2", "a 1", "b 2"]

    asyncio.run(main())


def test_whoever_comes_while_it_loads_gets_the_same_result() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        waiters = []
        for _ in range(5):
            waiters.append(asyncio.ensure_future(load("a")))
            await settle(2)
        held.release()
        assert await asyncio.gather(*waiters) == ["a 1"] * 5
        assert await load("a") == "a 1"
        assert held.calls == ["a"]

    asyncio.run(main())


def test_calls_with_and_without_waiting_between_them_load_every_key_once() -> None:
    calls: Counter[int] = Counter()

    @cached(maxsize=None)
    async def load(key: int) -> int:
        calls[key] += 1
        await settle(key % 4)
        return key

    async def ask(start: int) -> None:
        for key in range(start, start + 30):
            assert await load(key % 40) == key % 40

    async def main() -> None:
        await asyncio.gather(*[ask(7 * start) for start in range(20)])

    asyncio.run(main())
    assert calls == Counter(range(40))


def test_load_that_never_waits_is_shared_too() -> None:
    calls = []

    @cached
    async def load(key: str) -> str:
        calls.append(key)
        return key

    async def main() -> None:
        assert await asyncio.gather(*[load("a") for _ in range(10)]) == ["a"] * 10

    asyncio.run(main())
    assert calls == ["a"]


def test_failed_load_is_followed_by_one_new_load() -> None:
    async def main() -> None:
        calls = []

        @cached
        async def load(key: str) -> str:
            calls.append(key)
            await asyncio.sleep(0)
            if len(calls) == 1:
                raise ValueError
            return key

        first = await asyncio.gather(*[load("a") for _ in range(3)], return_exceptions=True)
        second = await asyncio.gather(*[load("a") for _ in range(3)], return_exceptions=True)
        assert [type(result) for result in first] == [ValueError] * 3
        assert second == ["a"] * 3
        assert calls == ["a", "a"]

    asyncio.run(main())


def test_waiter_that_asks_again_after_a_failure_starts_a_new_load() -> None:
    async def main() -> None:
        calls = []

        @cached
        async def load(key: str) -> str:
            calls.append(key)
            await asyncio.sleep(0)
            if len(calls) < 3:
                raise ValueError
            return key

        async def persistent() -> str:
            while True:
                try:
                    return await load("a")
                except ValueError:
                    continue

        assert await asyncio.gather(*[persistent() for _ in range(5)]) == ["a"] * 5
        assert calls == ["a"] * 3

    asyncio.run(main())


def test_loader_cancelled_from_inside_cancels_the_waiters_and_caches_nothing() -> None:
    async def main() -> None:
        calls = []

        @cached
        async def load(key: str) -> str:
            calls.append(key)
            await asyncio.sleep(0)
            if len(calls) == 1:
                raise asyncio.CancelledError
            return key

        results = await asyncio.gather(*[load("a") for _ in range(3)], return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3
        assert await load("a") == "a"
        assert calls == ["a", "a"]

    asyncio.run(main())


def test_loader_that_times_out_is_a_failure_like_any_other() -> None:
    async def main() -> None:
        @cached
        async def load(key: str) -> str:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
            return key

        results = await asyncio.gather(*[load("a") for _ in range(3)], return_exceptions=True)
        assert [type(result) for result in results] == [TimeoutError] * 3
        with pytest.raises(TimeoutError):
            await load("a")
        assert load.stats().load_failures == 2

    asyncio.run(main())


def test_loader_that_raises_a_base_exception_fails_for_everybody() -> None:
    class Quit(BaseException):
        pass

    async def main() -> None:
        @cached
        async def load(key: str) -> str:
            await asyncio.sleep(0)
            raise Quit

        async def ask() -> str:
            try:
                return await load("a")
            except Quit:
                return "quit"

        assert await asyncio.gather(*[ask() for _ in range(3)]) == ["quit"] * 3
        assert len(load.cache) == 0

    asyncio.run(main())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_load_ends_the_loop_and_leaves_the_key_free(error: type[BaseException]) -> None:
    errors = [error]

    @cached
    async def load(key: str) -> str:
        await asyncio.sleep(0)
        if errors:
            raise errors.pop()
        return key

    with pytest.raises(error):
        asyncio.run(load("a"))
    assert asyncio.run(load("a")) == "a"


def test_stop_iteration_of_a_loader_becomes_a_runtime_error_as_in_any_coroutine() -> None:
    @cached
    async def load(key: str) -> str:
        raise StopIteration(key)

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        asyncio.run(load("a"))


def test_functions_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        one, other = HeldLoader(), HeldLoader()
        first, second = cached(one), cached(other)
        waiters = [asyncio.ensure_future(load("a")) for load in (first, second)]
        await settle()
        other.release()
        assert await waiters[1] == "a 1"
        assert not waiters[0].done()
        one.release()
        assert await waiters[0] == "a 1"

    asyncio.run(main())


def test_methods_share_a_load_for_each_instance() -> None:
    class Service:
        def __init__(self) -> None:
            self.calls: list[str] = []

        @cached
        async def load(self, key: str) -> str:
            self.calls.append(key)
            await asyncio.sleep(0)
            return key

    async def main() -> None:
        one, other = Service(), Service()
        await asyncio.gather(*[service.load("a") for service in (one, other) * 5])
        assert one.calls == other.calls == ["a"]

    asyncio.run(main())


def test_load_of_an_entry_too_heavy_to_be_stored_is_shared_all_the_same() -> None:
    calls = []

    @cached(maxsize=1, weigher=lambda key, value: 2)
    async def load(key: str) -> str:
        calls.append(key)
        await asyncio.sleep(0)
        return key

    async def main() -> None:
        assert await asyncio.gather(load("a"), load("a")) == ["a", "a"]
        assert calls == ["a"]
        assert await load("a") == "a"
        assert calls == ["a", "a"]

    asyncio.run(main())
