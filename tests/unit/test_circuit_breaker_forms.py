"""What is taken for a coroutine function by `CircuitBreaker`, and how its blocks are told apart."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from tests.loading import HeldLoader

from penstock.bench._virtual_loop import run
from penstock.errors import CircuitOpen
from penstock.flow._breaker import CircuitBreaker


async def succeed() -> str:
    await asyncio.sleep(0)
    return "done"


def test_a_decorated_coroutine_function_is_one() -> None:
    @CircuitBreaker()
    async def get(key: str, *, times: int = 1) -> str:
        """Get it."""
        return key * times

    assert inspect.iscoroutinefunction(get)
    assert (get.__name__, get.__doc__) == ("get", "Get it.")
    assert run(get("a", times=3)) == "aaa"
    assert run(get("a")) == "a"


def test_partial_functions_and_callable_objects_too() -> None:
    class Getter:
        async def __call__(self, key: str) -> str:
            return key

    async def get(key: str) -> str:
        return key

    for function in (partial(get, "x"), partial(Getter(), "x")):
        breaker = CircuitBreaker()
        assert run(breaker(function)()) == "x"
        assert run(breaker.call(function)) == "x"
        assert breaker.stats().calls == 2


def test_call_hands_arguments_on() -> None:
    async def get(*args: int, **kwargs: int) -> object:
        return args, kwargs

    breaker = CircuitBreaker()
    assert run(breaker.call(get, 1, 2, a=3)) == ((1, 2), {"a": 3})


def test_futures_can_be_called_for() -> None:
    async def main() -> None:
        breaker = CircuitBreaker()
        future = asyncio.get_running_loop().create_future()
        future.set_result(7)
        assert await breaker.call(lambda: future) == 7
        breaker.trip()
        with pytest.raises(CircuitOpen):
            await breaker.call(lambda: future)

    run(main())


def test_a_refused_coroutine_is_closed() -> None:
    async def main() -> None:
        breaker = CircuitBreaker()
        late = breaker.call(lambda: succeed())  # noqa: PLW0108
        breaker.trip()
        with pytest.raises(CircuitOpen):
            await late  # and nobody complains that succeed() was never awaited

    run(main())


async def enter(breaker: CircuitBreaker, function: Callable[[], Awaitable[str]]) -> str:
    async with breaker:
        return await function()


def test_blocks_of_tasks_are_told_apart() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        breaker = CircuitBreaker(
            trial_calls=2, trial_timeout=30, open_for=10, jitter=0.0, timer=loop.time
        )
        gate = asyncio.Event()

        async def fail() -> str:
            await gate.wait()
            raise OSError

        breaker.trip()
        await asyncio.sleep(10)
        late = asyncio.ensure_future(enter(breaker, fail))
        await asyncio.sleep(20)
        held = HeldLoader()
        timely = asyncio.ensure_future(enter(breaker, held))
        await asyncio.sleep(15)
        # The first one has lost its place, the second has not.
        assert await enter(breaker, succeed) == "done"
        gate.set()
        with pytest.raises(OSError):
            await late
        assert breaker.state == "half_open"
        held.release()
        await timely
        assert breaker.stats().calls == 2
        assert breaker.state == "closed"

    run(main())
