"""`Loader`: what is loaded together, in which order, and how often."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.keyed import HeldSource, Source
from tests.loading import settle
from tests.steps import now, run

from penstock import Loader

# what is loaded together


def test_a_key_is_loaded() -> None:
    async def main() -> None:
        source = Source()
        assert await Loader(source).load(1) == "value of 1"
        assert source.calls == [[1]]

    run(main())


def test_load_is_a_plain_function_that_returns_a_future() -> None:
    async def main() -> None:
        loader = Loader(Source())
        future = loader.load(1)
        assert type(future) is type(asyncio.get_running_loop().create_future())
        assert not future.done()
        assert await asyncio.wait_for(future, 1) == "value of 1"

    run(main())


def test_loads_of_one_tick_are_one_call_in_the_order_asked() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        found = await asyncio.gather(loader.load("b"), loader.load("c"), loader.load("a"))
        assert found == ["value of b", "value of c", "value of a"]
        assert source.calls == [["b", "c", "a"]]

    run(main())


def test_loads_by_tasks_that_were_made_in_the_same_tick_go_along() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)

        async def indirect(key: int) -> object:
            return await deeper(key)

        async def deeper(key: int) -> object:
            return await loader.load(key)

        found = await asyncio.gather(loader.load(1), indirect(2), loader.load_many([3, 1]))
        assert found == ["value of 1", "value of 2", ["value of 3", "value of 1"]]
        assert source.calls == [[1, 2, 3]]

    run(main())


def test_loads_of_different_ticks_are_different_calls() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        assert await loader.load(1) == "value of 1"
        assert await loader.load(2) == "value of 2"
        assert source.calls == [[1], [2]]

    run(main())


def test_a_key_that_is_asked_for_twice_is_loaded_once() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        first, second = loader.load(1), loader.load(1)
        assert first is not second
        assert await first == await second == "value of 1"
        assert source.calls == [[1]]

    run(main())


def test_a_key_that_is_being_loaded_is_joined() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        first = loader.load(1)
        await settle()
        second = loader.load(1)
        other = loader.load(2)
        await settle()
        assert source.calls == [[1], [2]]  # the second does not wait for the first
        source.release(2)
        assert await other == "2 2"
        source.release(1)
        assert (await first, await second) == ("1 1", "1 1")

    run(main())


def test_a_loader_may_load_from_another_and_its_loads_are_gathered_too() -> None:
    async def main() -> None:
        deep_source = Source()
        deep: Loader[object, object] = Loader(deep_source)
        calls: list[list[object]] = []

        async def load_many(keys: list[object]) -> list[object]:
            calls.append(keys)
            return await deep.load_many(keys)

        a, b = Loader(load_many), Loader(load_many)
        found = await asyncio.gather(a.load("a1"), b.load("b1"), a.load("a2"), b.load("b2"))
        assert found == [f"value of {key}" for key in ("a1", "b1", "a2", "b2")]
        assert calls == [["a1", "a2"], ["b1", "b2"]]
        assert deep_source.calls == [["a1", "a2", "b1", "b2"]]

    run(main())


def test_more_keys_than_a_call_may_have_are_split_in_their_order() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source, max_items=2)
        assert await loader.load_many(range(5)) == [f"value of {n}" for n in range(5)]
        assert source.calls == [[0, 1], [2, 3], [4]]

    run(main())


def test_one_key_at_a_time_is_possible() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source, max_items=1)
        assert await loader.load_many([1, 2, 1]) == ["value of 1", "value of 2", "value of 1"]
        assert source.calls == [[1], [2]]

    run(main())


def test_calls_run_at_once_unless_their_number_is_bounded() -> None:
    async def main() -> None:
        for bound, expected in ((None, [[1], [2], [3]]), (1, [[1]]), (2, [[1], [2]])):
            source = HeldSource()
            loader = Loader(source, max_items=1, max_concurrency=bound)
            task = asyncio.ensure_future(loader.load_many([1, 2, 3]))
            await settle()
            assert source.calls == expected
            assert loader.stats().in_flight == len(expected)
            for number in (1, 2, 3):
                source.release(number)
                await settle()
            assert await task == ["1 1", "2 2", "3 3"]

    run(main())


def test_keys_gather_while_all_calls_run() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source, max_concurrency=1)
        futures = []
        for key in range(4):
            futures.append(loader.load(key))
            await settle()
        assert source.calls == [[0]]
        source.release(1)
        await settle()
        assert source.calls == [[0], [1, 2, 3]]
        source.release(2)
        assert await asyncio.gather(*futures) == ["0 1", "1 2", "2 2", "3 2"]

    run(main())


@pytest.mark.parametrize("linger", [0.5, timedelta(seconds=0.5)])
def test_the_first_key_may_wait_for_others(linger: float | timedelta) -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source, linger=linger, max_items=3)
        begin = now()
        futures = [loader.load(1)]
        await asyncio.sleep(0.3)
        futures.append(loader.load(2))
        assert await asyncio.gather(*futures) == ["value of 1", "value of 2"]
        assert now() - begin == pytest.approx(0.5, abs=0.01)
        await loader.load_many([3, 4, 5])  # as many as a call may have: nothing to wait for
        assert now() - begin == pytest.approx(0.5, abs=0.01)
        assert source.calls == [[1, 2], [3, 4, 5]]

    run(main())


def test_thousands_of_keys_are_one_call() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        keys = [n % 5_000 for n in range(6_000)]
        assert await loader.load_many(keys) == [f"value of {n}" for n in keys]
        assert source.calls == [list(range(5_000))]

    run(main())


# load_many


def test_load_many_keeps_the_order_and_the_duplicates() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        assert await loader.load_many(iter("abca")) == [f"value of {key}" for key in "abca"]
        assert source.calls == [["a", "b", "c"]]
        assert await loader.load_many([]) == []
        assert len(source.calls) == 1

    run(main())


def test_load_many_needs_something_to_iterate_over() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="'int' object is not iterable"):
            await Loader(Source()).load_many(1)  # type: ignore[call-overload]

    run(main())
