"""An awaited load that would wait for itself is an error and not a hang."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.loading import settle
from tests.threads import LIMIT

from penstock import RecursiveLoad, cached


def test_function_that_awaits_its_own_result() -> None:
    @cached
    async def load(key: str) -> str:
        await asyncio.sleep(0)
        return await load(key)

    for _ in range(2):
        with pytest.raises(RecursiveLoad, match="'a'"):
            asyncio.run(load("a"))
    assert len(load.cache) == 0


def test_function_that_awaits_itself_before_anything_else() -> None:
    @cached
    async def load(key: str) -> str:
        return await load(key)

    with pytest.raises(RecursiveLoad):
        asyncio.run(load("a"))


@pytest.mark.parametrize("way", ["gather", "task", "wait_for", "shield", "group", "nested"])
def test_own_result_awaited_in_another_task(way: str) -> None:
    async def nested() -> str:
        return await asyncio.create_task(load("a"))

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load("a"))

    @cached
    async def load(key: str) -> object:
        ways = {
            "gather": lambda: asyncio.gather(asyncio.sleep(0), load(key)),
            "task": lambda: asyncio.create_task(load(key)),
            "wait_for": lambda: asyncio.wait_for(load(key), LIMIT),
            "shield": lambda: asyncio.shield(load(key)),
            "group": group,
            "nested": nested,
        }
        return await ways[way]()

    with pytest.raises((RecursiveLoad, ExceptionGroup)) as raised:
        asyncio.run(load("a"))
    error = raised.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, RecursiveLoad)


def test_functions_that_await_each_other_in_either_order() -> None:
    @cached
    async def one(key: str) -> str:
        await asyncio.sleep(0)
        return await other(key)

    @cached
    async def other(key: str) -> str:
        await asyncio.sleep(0)
        return await one(key)

    for first in (one, other):
        with pytest.raises(RecursiveLoad):
            asyncio.run(first("a"))


@pytest.mark.parametrize("steps", range(4))
def test_functions_that_meet_half_way(steps: int) -> None:
    @cached
    async def one(key: str) -> str:
        await settle(2)
        return await other(key)

    @cached
    async def other(key: str) -> str:
        await settle(steps)
        return await one(key)

    async def main() -> None:
        results = await asyncio.gather(one("a"), other("a"), return_exceptions=True)
        assert [type(result) for result in results] == [RecursiveLoad, RecursiveLoad]

    asyncio.run(main())


def test_three_functions_in_a_ring_begun_at_once() -> None:
    async def ring(number: int) -> str:
        await settle(2)
        return await functions[(number + 1) % 3]((number + 1) % 3)

    functions = [cached(ring) for _ in range(3)]

    async def main() -> None:
        calls = [functions[number](number) for number in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [RecursiveLoad] * 3

    asyncio.run(main())


def test_refresh_of_oneself() -> None:
    @cached
    async def load(key: str) -> str:
        return await load.refresh(key)

    with pytest.raises(RecursiveLoad):
        asyncio.run(load("a"))


def test_own_result_after_an_invalidation() -> None:
    @cached
    async def load(key: str) -> str:
        load.invalidate(key)
        return await load(key)

    with pytest.raises(RecursiveLoad):
        asyncio.run(load("a"))


def test_error_can_be_handled_inside() -> None:
    @cached
    async def load(key: str) -> str:
        try:
            return await load(key)
        except RecursiveLoad:
            return "the base of it"

    assert asyncio.run(load("a")) == "the base of it"


def test_recursion_to_other_keys_is_fine() -> None:
    @cached
    async def fibonacci(number: int) -> int:
        if number < 2:
            return number
        return sum(await asyncio.gather(fibonacci(number - 1), fibonacci(number - 2)))

    assert asyncio.run(fibonacci(30)) == 832040
    assert fibonacci.stats().loads == 31


def test_load_that_others_wait_for_may_be_awaited_by_them_again() -> None:
    @cached
    async def leaf(key: str) -> str:
        await settle(3)
        return key

    @cached
    async def branch(key: str) -> list[str]:
        return [*(await asyncio.gather(leaf("x"), leaf("x"))), await leaf("x"), key]

    async def main() -> None:
        results = await asyncio.gather(branch("a"), branch("b"), leaf("x"), branch("a"))
        assert results == [["x"] * 3 + ["a"], ["x"] * 3 + ["b"], "x", ["x"] * 3 + ["a"]]

    asyncio.run(main())
    assert leaf.stats().loads == 1


def test_task_that_outlives_the_load_that_began_it_may_ask_for_its_key() -> None:
    tasks = []

    @cached
    async def load(key: str) -> str:
        async def later() -> str:
            await began.wait()
            load.invalidate(key)
            return await load(key)

        if not tasks:
            tasks.append(asyncio.create_task(later()))
        return f"{key} {len(tasks)}"

    async def main() -> None:
        nonlocal began
        began = asyncio.Event()
        assert await load("a") == "a 1"
        await settle()
        began.set()
        assert await tasks[0] == "a 1"

    began = asyncio.Event()
    asyncio.run(main())
    assert load.stats().loads == 2


def test_waiter_cancelled_in_a_chain_breaks_no_later_load() -> None:
    async def main() -> None:
        @cached
        async def inner(key: str) -> str:
            await settle(5)
            return key

        @cached
        async def outer(key: str) -> str:
            return await inner(key)

        for steps in range(8):
            chain = asyncio.ensure_future(outer("a"))
            await settle(steps)
            chain.cancel()
            assert await inner("a") == "a"
            assert await outer("a") == "a"
            inner.cache_clear()
            outer.cache_clear()

    asyncio.run(main())


def test_load_that_has_given_up_waiting_may_be_waited_for() -> None:
    async def main() -> None:
        gave_up, go = asyncio.Event(), asyncio.Event()

        @cached
        async def impatient(key: str) -> str:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await slow(key)
            gave_up.set()
            await go.wait()
            return "impatient"

        @cached
        async def slow(key: str) -> str:
            await gave_up.wait()
            return await impatient(key)

        waiters = [asyncio.ensure_future(slow("a")), asyncio.ensure_future(impatient("a"))]
        await gave_up.wait()
        await settle()
        go.set()
        assert await asyncio.gather(*waiters) == ["impatient", "impatient"]

    asyncio.run(main())
