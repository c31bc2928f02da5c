"""`Executor` and event loops: `run`, futures that are awaited, cancellation, loops that close."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.threads import LIMIT, spawn

from penstock.flow._executor import Executor


class Gate:
    """A task that tells that it runs, and waits until it is let go."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.go = threading.Event()

    def __call__(self, value: object = None) -> object:
        self.running.set()
        assert self.go.wait(LIMIT)
        return value


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(4) as made:
        yield made


@pytest.fixture
def single() -> Iterator[Executor]:
    """One with a single worker."""
    with Executor(1) as made:
        yield made


def fail(error: BaseException) -> None:
    raise error


async def by_run(executor: Executor, function: Callable[..., Any], *args: Any) -> Any:
    return await executor.run(function, *args)


async def by_await(executor: Executor, function: Callable[..., Any], *args: Any) -> Any:
    return await executor.submit(function, *args)


async def by_wrapping(executor: Executor, function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.wrap_future(executor.submit(function, *args))


async def by_loop(executor: Executor, function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(executor, function, *args)


WAYS = [by_run, by_await, by_wrapping, by_loop]
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
def test_result_reaches_the_loop(executor: Executor, way: Any) -> None:
    assert asyncio.run(way(executor, divmod, 7, 2)) == (3, 1)


@every_way
def test_error_reaches_the_loop(executor: Executor, way: Any) -> None:
    error = LookupError()
    with pytest.raises(LookupError) as caught:
        asyncio.run(way(executor, fail, error))
    assert caught.value is error


@pytest.mark.parametrize("way", [by_run, by_await])
def test_stop_iteration_is_an_error_and_not_an_end(executor: Executor, way: Any) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(way(executor, next, iter(())))


@every_way
def test_many_at_once(executor: Executor, way: Any) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(way(executor, abs, -number) for number in range(500)))

    assert asyncio.run(main()) == list(range(500))


def test_burst_of_ends_wakes_the_loop_once(executor: Executor) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        calls = 0
        plain = loop.call_soon_threadsafe

        def count(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            return plain(*args, **kwargs)

        loop.call_soon_threadsafe = count  # type: ignore[method-assign]
        runs = [asyncio.ensure_future(executor.run(abs, -number)) for number in range(100)]
        await asyncio.sleep(0)
        executor.barrier().result(LIMIT)  # the loop does nothing meanwhile
        assert not any(run.done() for run in runs)
        assert await asyncio.gather(*runs) == list(range(100))
        assert calls == 1

    asyncio.run(main())


@pytest.mark.parametrize("way", [by_run, by_await])
def test_cancelled_wait_cancels_a_task_that_does_not_run(single: Executor, way: Any) -> None:
    async def main() -> None:
        gate = Gate()
        held = single.submit(gate)
        pending = asyncio.create_task(way(single, fail, AssertionError()))
        await asyncio.sleep(0)
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        assert single.stats().cancelled == 1
        gate.go.set()
        await held

    asyncio.run(main())


@pytest.mark.parametrize("way", [by_run, by_await])
def test_cancelled_wait_leaves_a_task_that_runs(single: Executor, way: Any) -> None:
    async def main() -> None:
        gate = Gate()
        running = asyncio.create_task(way(single, gate))
        await asyncio.sleep(0)
        assert gate.running.wait(LIMIT)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        gate.go.set()
        await single.barrier()
        assert (single.stats().completed, single.stats().cancelled) == (1, 0)

    asyncio.run(main())


@pytest.mark.parametrize("way", [by_run, by_await])
def test_cancelling_at_every_step_loses_nothing(single: Executor, way: Any) -> None:
    async def main() -> None:
        for step in range(6):
            ran: list[int] = []
            task = asyncio.create_task(way(single, ran.append, 1))
            for _ in range(step):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=LIMIT)
            assert task.done()
            await single.barrier()
            now = single.stats()
            assert now.pending == now.busy == 0
            assert len(ran) <= 1
        assert await way(single, abs, -1) == 1
        now = single.stats()
        assert now.submitted == now.completed + now.cancelled

    asyncio.run(main())


def test_shutdown_cancels_what_a_loop_waits_for(single: Executor) -> None:
    async def main() -> None:
        gate = Gate()
        held = asyncio.create_task(single.run(gate, 1))
        await asyncio.sleep(0)
        assert gate.running.wait(LIMIT)
        pending = [asyncio.create_task(way(single, int)) for way in (by_run, by_await)]
        await asyncio.sleep(0)
        single.shutdown(wait=False, cancel_futures=True)
        for task in pending:
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.go.set()
        assert await held == 1
        with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
            await single.run(int)

    asyncio.run(main())


@pytest.mark.parametrize("way", [by_run, by_await])
def test_loop_that_closes_while_tasks_run_harms_nobody(
    single: Executor, way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(way(single, gate)) for _ in range(3)]
    loop.run_until_complete(asyncio.sleep(0))
    assert gate.running.wait(LIMIT)
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    gate.go.set()
    single.barrier().result(LIMIT)
    assert asyncio.run(way(single, abs, -1)) == 1
    assert caplog.records == []


def test_several_loops_share_an_executor(executor: Executor) -> None:
    async def main(offset: int) -> int:
        total = 0
        for number in range(50):
            total += await executor.run(abs, -number - offset)
            total += sum(await asyncio.gather(*(executor.run(abs, 1) for _ in range(5))))
        return total

    threads = [spawn(asyncio.run, main(offset)) for offset in range(4)]
    base = sum(range(50)) + 250
    assert [thread.result() for thread in threads] == [base + 50 * each for each in range(4)]


def test_one_future_is_awaited_in_several_loops(single: Executor) -> None:
    gate = Gate()
    held = single.submit(gate, 5)

    async def main() -> list[object]:
        async def wait() -> object:
            return await held

        return await asyncio.gather(wait(), wait())

    threads = [spawn(asyncio.run, main()) for _ in range(3)]
    gate.go.set()
    assert [thread.result() for thread in threads] == [[5, 5]] * 3

    async def once_more() -> object:
        return await held

    assert asyncio.run(once_more()) == 5


def test_barrier_and_gathering_can_be_awaited(executor: Executor) -> None:
    async def main() -> list[int]:
        tasks = [executor.submit(abs, -number) for number in range(10)]
        await executor.barrier()
        assert all(task.done() for task in tasks)
        return await executor.gather(*tasks)

    assert asyncio.run(main()) == list(range(10))


def test_async_with_waits_for_the_tasks_and_blocks_no_loop() -> None:
    async def main() -> None:
        gate = Gate()
        async with Executor(2) as executor:
            held = executor.submit(gate)
            asyncio.get_running_loop().call_soon(gate.go.set)
        assert held.done()
        with pytest.raises(RuntimeError):
            executor.submit(int)

    asyncio.run(main())
