"""What other caches get wrong about loads, one test for each trap."""

# What is defined in a round is used up in it.
from __future__ import annotations

import asyncio
import weakref

from tests.stress.harness import collect, in_child
from tests.stress.hostile import Oops, error_of

from penstock import RecursiveLoad, cached


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


@in_child
def test_cancelling_the_first_waiter_does_not_cancel_the_others() -> None:
    async def main() -> None:
        go = asyncio.Event()

        @cached
        async def load(key: str) -> str:
            await go.wait()
            return key

        first, second, third = (asyncio.ensure_future(load("a")) for _ in range(3))
        await settle()
        first.cancel()
        await settle()
        go.set()
        assert await asyncio.gather(second, third) == ["a", "a"]
        assert first.cancelled()

    asyncio.run(main())


@in_child
def test_cancelled_waiter_does_not_poison_the_key() -> None:
    async def main() -> None:
        go, calls = asyncio.Event(), []

        @cached
        async def load(key: str) -> str:
            calls.append(key)
            await go.wait()
            return key

        waiters = [asyncio.ensure_future(load("a")) for _ in range(2)]
        await settle()
        for waiter in waiters:
            waiter.cancel()
        await settle()
        go.set()
        assert await load("a") == "a"
        assert calls == ["a", "a"]

    asyncio.run(main())


@in_child
def test_failed_load_is_not_cached() -> None:
    calls = []

    def fail(key: str) -> str:
        calls.append(key)
        raise Oops

    async def fail_later(key: str) -> str:
        return fail(key)

    now, later = cached(fail), cached(fail_later)
    for _ in range(3):
        assert isinstance(error_of(lambda: now("a")), Oops)
        assert isinstance(error_of(lambda: asyncio.run(later("b"))), Oops)
    assert calls == ["a", "b"] * 3


@in_child
def test_load_left_pending_by_a_closed_loop_does_not_reach_a_later_loop() -> None:
    go = []

    @cached
    async def load(key: str) -> str:
        if not go:
            await asyncio.get_running_loop().create_future()
        return key

    async def leave() -> None:
        waiters.append(asyncio.ensure_future(load("a")))
        await settle()

    waiters: list[object] = []

    loop = asyncio.new_event_loop()
    # What asyncio says about tasks that outlive their loop is not the subject.
    loop.set_exception_handler(lambda loop, context: None)
    loop.run_until_complete(leave())
    loop.close()
    closed = weakref.ref(loop)
    del loop, waiters[:]
    collect()
    assert closed() is None
    go.append(1)
    assert asyncio.run(load("a")) == "a"


@in_child
def test_result_of_a_hit_is_accepted_by_create_task() -> None:
    @cached
    async def load(key: str) -> str:
        return key

    async def main() -> None:
        await load("a")
        assert await asyncio.create_task(load("a")) == "a"
        assert load.cache_info().hits == 1

    asyncio.run(main())
    assert asyncio.run(load("a")) == "a"


@in_child
def test_load_that_asks_for_its_own_key_does_not_hang() -> None:
    @cached
    def now(key: str) -> str:
        return now(key)

    @cached
    async def later(key: str) -> str:
        return await later(key)

    for call in (lambda: now("a"), lambda: asyncio.run(later("a"))):
        assert isinstance(error_of(call), RecursiveLoad)


@in_child
def test_nested_decorators_do_not_hang() -> None:
    @cached
    @cached
    def now(key: str) -> str:
        return key

    @cached
    @cached
    async def later(key: str) -> str:
        return key

    assert [now("a"), now("a")] == ["a", "a"]
    assert [asyncio.run(later("a")), asyncio.run(later("a"))] == ["a", "a"]


@in_child
def test_key_error_of_a_loader_does_not_run_it_twice() -> None:
    calls = []

    @cached
    def load(key: str) -> str:
        calls.append(key)
        raise KeyError(key)

    assert repr(error_of(lambda: load("a"))) == "KeyError('a')"
    assert calls == ["a"]


@in_child
def test_slow_load_does_not_undo_an_invalidation() -> None:
    async def main() -> None:
        gates = [asyncio.Event(), asyncio.Event()]
        source = ["old"]

        @cached
        async def read(key: str) -> str:
            value = source[0]
            await gates[0 if value == "old" else 1].wait()
            return value

        first = asyncio.ensure_future(read("a"))
        await settle()
        source[0] = "new"
        read.invalidate("a")
        second = asyncio.ensure_future(read("a"))
        await settle()
        gates[1].set()
        assert await second == "new"
        gates[0].set()
        assert await first == "old"
        assert await read("a") == "new"

    asyncio.run(main())


@in_child
def test_what_is_cached_is_the_value_and_not_the_task() -> None:
    class Result:
        pass

    @cached
    async def load(key: str) -> Result:
        task.append(weakref.ref(asyncio.current_task()))
        return Result()

    task: list[weakref.ref[object]] = []
    asyncio.run(load("a"))
    collect()
    assert task[0]() is None
    assert isinstance(load.cache["a"], Result)
