"""One cached coroutine function in several event loops, one after another and at once."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest
from tests.loading import HeldLoader, settle
from tests.threads import LIMIT, spawn

from penstock import cached


class LoopLoader:
    """A coroutine function that waits in every loop for an event that any thread may set."""

    def __init__(self) -> None:
        self.calls: list[asyncio.AbstractEventLoop] = []
        self._gates: list[asyncio.Event] = []
        self._begun = threading.Condition()

    async def __call__(self, key: str) -> str:
        gate = asyncio.Event()
        with self._begun:
            self.calls.append(asyncio.get_running_loop())
            self._gates.append(gate)
            number = len(self.calls)
            self._begun.notify_all()
        await gate.wait()
        return f"{key} {number}"

    def wait_for_calls(self, count: int) -> None:
        """Wait until that many calls have begun."""
        with self._begun:
            assert self._begun.wait_for(lambda: len(self.calls) >= count, LIMIT)

    def release(self, number: int) -> None:
        """Let a call return."""
        self.calls[number - 1].call_soon_threadsafe(self._gates[number - 1].set)


def test_value_cached_in_one_loop_is_a_hit_in_another() -> None:
    calls = []

    @cached
    async def load(key: str) -> str:
        await asyncio.sleep(0)
        calls.append(key)
        return key

    assert [asyncio.run(load("a")) for _ in range(5)] == ["a"] * 5
    assert calls == ["a"]


def test_loop_that_ends_with_a_load_in_flight_leaves_the_key_free() -> None:
    held = HeldLoader()
    load = cached(held)

    async def leave() -> None:
        waiter = asyncio.ensure_future(load("a"))
        await settle()
        assert not waiter.done()

    async def stay() -> None:
        waiter = asyncio.ensure_future(load("a"))
        await settle()
        held.release()
        assert await waiter == f"a {len(held.calls)}"

    asyncio.run(leave())
    assert held.cancelled == [1]
    asyncio.run(leave())
    asyncio.run(stay())
    assert held.calls == ["a"] * 3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # coroutines that never get to begin
@pytest.mark.parametrize("steps", range(5))
def test_loop_closed_with_a_load_in_flight_leaves_the_key_free(steps: int) -> None:
    held = HeldLoader()
    load = cached(held)

    async def leave() -> None:
        waiters.append(asyncio.ensure_future(load("a")))
        await settle(steps)

    async def stay() -> None:
        waiter = asyncio.ensure_future(load("a"))
        await settle()
        held.release(len(held.calls))
        assert await waiter == f"a {len(held.calls)}"
        assert await load("a") == f"a {len(held.calls)}"

    waiters: list[object] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # asyncio misses its tasks
    loop.run_until_complete(leave())
    loop.close()
    asyncio.run(stay())
    # Here, where what Python says about coroutines that never got to begin is ignored.
    closed = weakref.ref(loop)
    waiters.clear()
    held.forget()
    del loop
    gc.collect()
    assert closed() is None


def test_same_loop_run_again_finishes_its_load() -> None:
    held = HeldLoader()
    load = cached(held)

    async def start() -> asyncio.Task[str]:
        task = asyncio.ensure_future(load("a"))
        await settle()
        return task

    async def finish(task: asyncio.Task[str]) -> str:
        held.release()
        return await task

    with asyncio.Runner() as runner:
        task = runner.run(start())
        assert runner.run(finish(task)) == "a 1"
        assert runner.run(load("a")) == "a 1"


def test_two_loops_at_once_load_for_themselves_and_wait_for_nobody_else() -> None:
    loader = LoopLoader()
    load = cached(loader)
    first = spawn(asyncio.run, load("a"))
    loader.wait_for_calls(1)
    second = spawn(asyncio.run, load("a"))
    loader.wait_for_calls(2)
    assert loader.calls[0] is not loader.calls[1]
    loader.release(2)
    assert second.result() == "a 2"
    assert asyncio.run(load("a")) == "a 2"
    loader.release(1)
    assert first.result() == "a 1"
    assert load.stats().loads == 2


def test_invalidation_in_another_thread_reaches_the_loads_of_every_loop() -> None:
    loader = LoopLoader()
    load = cached(loader)
    waiters = []
    for number in (1, 2):
        waiters.append(spawn(asyncio.run, load("a")))
        loader.wait_for_calls(number)
    assert load.invalidate("a") is False
    for number in (1, 2):
        loader.release(number)
    assert [waiter.result() for waiter in waiters] == ["a 1", "a 2"]
    assert "a" not in load.cache


def test_cancellation_in_one_loop_does_not_reach_another() -> None:
    loader = LoopLoader()
    load = cached(loader)
    other = spawn(asyncio.run, load("a"))
    loader.wait_for_calls(1)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await load("a")
        await settle()

    asyncio.run(give_up())
    loader.release(1)
    assert other.result() == "a 1"
    assert asyncio.run(load("a")) == "a 1"


def test_many_loops_at_once_agree_on_every_value() -> None:
    @cached(maxsize=5)
    async def load(key: int) -> tuple[str, int]:
        await settle(key % 3)
        return ("loaded", key)

    async def work(offset: int) -> None:
        for number in range(offset, offset + 100):
            keys = [(number * 7) % 11, number % 11, number % 11]
            results = await asyncio.gather(*[load(key) for key in keys])
            assert results == [("loaded", key) for key in keys]

    barrier = threading.Barrier(8)

    def run(offset: int) -> None:
        barrier.wait(LIMIT)
        asyncio.run(work(offset))

    for thread in [spawn(run, offset) for offset in range(8)]:
        thread.result()


def test_ordinary_function_is_shared_by_loops_and_threads() -> None:
    calls = []

    @cached
    def compute(key: str) -> str:
        calls.append(key)
        return key

    async def main() -> list[str]:
        return [compute("a"), *await asyncio.gather(*[asyncio.to_thread(compute, "a")] * 1)]

    assert asyncio.run(main()) == asyncio.run(main()) == ["a", "a"]
    assert calls == ["a"]
