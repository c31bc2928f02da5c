"""`cached` on coroutine functions: what a hit is, and what takes it for a coroutine."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Coroutine

import pytest
from tests.clock import Clock
from tests.loading import settle
from tests.threads import spawn

from penstock import CacheStats, cached


@cached
async def upper(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


@pytest.fixture(autouse=True)
def _warm() -> None:
    """Have one result in the cache."""
    upper.cache_clear()
    asyncio.run(upper("a"))


def finish(awaitable: Coroutine[object, object, str]) -> str:
    """Run a coroutine that never waits, without an event loop."""
    with pytest.raises(StopIteration) as stop:
        awaitable.send(None)
    return stop.value.value


def test_function_is_awaited_once_for_equal_arguments() -> None:
    calls = []

    @cached
    async def load(key: str) -> str:
        calls.append(key)
        return key

    async def main() -> None:
        assert [await load("a"), await load("b"), await load("a")] == ["a", "b", "a"]

    asyncio.run(main())
    assert calls == ["a", "b"]
    assert load.cache_info() == (1, 2, 1024, 2)


def test_none_is_a_value() -> None:
    calls = []

    @cached
    async def find(key: str) -> None:
        calls.append(key)

    assert [asyncio.run(find("a")) for _ in range(3)] == [None] * 3
    assert calls == ["a"]


def test_hit_never_touches_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    assert finish(upper("a")) == "A"

    async def through_an_await() -> str:
        return await upper("a")

    assert finish(through_an_await()) == "A"


def test_hit_does_not_let_other_tasks_in() -> None:
    async def main() -> None:
        order = []
        asyncio.get_running_loop().call_soon(order.append, "another task")
        await upper("a")
        order.append("the awaiting task")
        await asyncio.sleep(0)
        assert order == ["the awaiting task", "another task"]

    asyncio.run(main())


def test_hit_is_a_coroutine_by_its_methods() -> None:
    hit = upper("a")
    assert isinstance(hit, Awaitable)
    assert isinstance(hit, Coroutine)
    assert asyncio.iscoroutine(hit)
    assert inspect.isawaitable(hit)


def test_hit_is_accepted_wherever_a_coroutine_is() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await upper("a") == "A"
        assert await asyncio.create_task(upper("a")) == "A"
        assert await asyncio.create_task(upper("a"), name="named") == "A"
        assert await loop.create_task(upper("a")) == "A"
        assert await asyncio.ensure_future(upper("a")) == "A"
        assert await asyncio.gather(upper("a"), upper("a")) == ["A", "A"]
        assert await asyncio.wait_for(upper("a"), 10) == "A"
        assert await asyncio.wait_for(upper("a"), None) == "A"
        assert await asyncio.shield(upper("a")) == "A"
        assert [await done for done in asyncio.as_completed([upper("a")])] == ["A"]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(upper("a")) for _ in range(3)]
        assert [task.result() for task in tasks] == ["A"] * 3
        async with asyncio.timeout(10):
            assert await upper("a") == "A"
        thread = spawn(lambda: asyncio.run_coroutine_threadsafe(upper("a"), loop).result(10))
        await asyncio.to_thread(thread.wait)
        assert thread.result() == "A"

    asyncio.run(main())
    hits = upper.cache_info().hits
    asyncio.run(main(), debug=True)
    assert upper.cache_info().misses == 1
    assert upper.cache_info().hits == 2 * hits


def test_hit_can_be_run_as_the_main_coroutine() -> None:
    assert asyncio.run(upper("a")) == "A"
    with asyncio.Runner() as runner:
        assert runner.run(upper("a")) == "A"
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(upper("a")) == "A"
    loop.close()


def test_task_over_a_hit_can_be_shown_and_cancelled() -> None:
    async def main() -> None:
        task = asyncio.create_task(upper("a"))
        assert "Task pending" in repr(task)
        assert task.get_coro() is not None
        task.get_stack()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("key", ["a", "b"])
def test_awaiting_twice_is_an_error_as_for_a_coroutine(key: str) -> None:
    async def main() -> None:
        awaitable = upper(key)
        assert await awaitable == key.upper()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await awaitable

    asyncio.run(main())


def test_every_call_returns_an_awaitable_of_its_own() -> None:
    assert upper("a") is not upper("a")


def test_hit_that_is_never_awaited_is_no_warning() -> None:
    upper("a")  # warnings are errors here


def test_miss_is_a_coroutine() -> None:
    miss = upper("b")
    assert asyncio.iscoroutine(miss)
    miss.close()
    assert "b" not in upper.cache


def test_value_is_looked_up_at_the_call_and_not_at_the_await() -> None:
    async def main() -> None:
        hit = upper("a")
        upper.invalidate("a")
        assert await hit == "A"

    asyncio.run(main())


def test_miss_awaited_after_the_value_has_come_starts_no_load() -> None:
    calls = []

    @cached
    async def load(key: str) -> str:
        calls.append(key)
        return key

    async def main() -> None:
        late = load("a")
        await load("a")
        assert await late == "a"

    asyncio.run(main())
    assert calls == ["a"]


def test_failure_is_raised_unchanged_and_not_cached() -> None:
    errors = [ValueError("first"), LookupError("second")]
    expected = list(errors)

    @cached
    async def load(key: str) -> str:
        await asyncio.sleep(0)
        if errors:
            raise errors.pop(0)
        return key

    async def main() -> None:
        with pytest.raises(ValueError, match="first") as first:
            await load("a")
        with pytest.raises(LookupError, match="second") as second:
            await load("a")
        assert [first.value, second.value] == expected
        assert await load("a") == "a"

    asyncio.run(main())
    assert load.stats().load_failures == 2


def test_failure_reaches_every_waiter() -> None:
    calls = []

    @cached
    async def load(key: str) -> str:
        calls.append(key)
        await asyncio.sleep(0)
        raise ValueError(key)

    async def main() -> None:
        results = await asyncio.gather(*[load("a") for _ in range(5)], return_exceptions=True)
        assert [repr(result) for result in results] == ["ValueError('a')"] * 5

    asyncio.run(main())
    assert calls == ["a"]


def test_failure_that_somebody_saw_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    @cached
    async def load(key: str, *, steps: int) -> str:
        await settle(steps)
        raise ValueError(key)

    async def main() -> None:
        for steps in range(3):
            with pytest.raises(ValueError, match="a"):
                await load("a", steps=steps)
        await settle()

    asyncio.run(main())
    assert caplog.records == []


def test_load_runs_in_the_context_of_the_call() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @cached
    async def load(key: str) -> str:
        return variable.get()

    async def main() -> None:
        variable.set("set by the caller")
        assert await load("a") == "set by the caller"

    asyncio.run(main())


def test_result_expires() -> None:
    clock = Clock()
    calls = []

    @cached(ttl=10, timer=clock)
    async def load(key: str) -> None:
        calls.append(key)

    async def main() -> None:
        await load("a")
        clock.advance(9)
        await load("a")
        assert calls == ["a"]
        clock.advance(1)
        await load("a")
        assert calls == ["a", "a"]

    asyncio.run(main())


def test_statistics_count_hits_misses_and_loads() -> None:
    @cached
    async def load(key: str) -> str:
        await asyncio.sleep(0)
        if key == "bad":
            raise ValueError
        return key

    async def main() -> None:
        await asyncio.gather(*[load("a") for _ in range(3)])
        await load("a")
        with pytest.raises(ValueError):
            await load("bad")

    asyncio.run(main())
    stats = load.stats()
    assert stats.load_seconds > 0
    expected = CacheStats(
        hits=1, misses=4, loads=1, load_failures=1, size=1, weight=1, maxsize=1024
    )
    for name in ("hits", "misses", "loads", "load_failures", "size", "weight", "maxsize"):
        assert getattr(stats, name) == getattr(expected, name), name


def test_error_of_on_evict_reaches_the_waiters_with_the_value_stored() -> None:
    def on_evict(*_: object) -> None:
        raise LookupError("told")

    @cached(maxsize=1, on_evict=on_evict)
    async def load(key: str) -> str:
        return key

    async def main() -> None:
        await load("a")
        with pytest.raises(LookupError, match="told"):
            await load("b")
        assert await load("b") == "b"

    asyncio.run(main())
    assert list(load.cache) == ["b"]


def test_unhashable_argument_is_a_type_error_at_the_call() -> None:
    @cached
    async def load(rows: list[int]) -> int:
        return sum(rows)

    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        load([1])


def test_arguments_reach_the_function_as_they_were_given() -> None:
    @cached
    async def echo(*args: object, **kwargs: object) -> object:
        return args, kwargs

    async def main() -> None:
        for _ in range(2):
            assert await echo() == ((), {})
            assert await echo(1, 2, a=3) == ((1, 2), {"a": 3})
            assert await echo(self=1, key=2, func=3) == ((), {"self": 1, "key": 2, "func": 3})

    asyncio.run(main())
