"""A batcher that moves on to another event loop, or is to forget: what it must not hold on to."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced, echo
from tests.loading import settle
from tests.steps import run
from tests.threads import spawn

from penstock import BatchCancelled, Batcher, ItemTimeout, batched


def closed(*loops: asyncio.AbstractEventLoop) -> None:
    """Close loops without another word."""
    for loop in loops:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()


async def put(batcher: Batcher[Any, Any], item: object) -> None:
    batcher.put_nowait(item)
    await settle()


def test_put_is_enough_in_a_loop_that_was_there_before_the_first_was_closed() -> None:
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0)
    one, two = asyncio.new_event_loop(), asyncio.new_event_loop()
    one.run_until_complete(put(batcher, 1))
    two.run_until_complete(put(batcher, 2))
    closed(one)
    handler.held = False
    two.run_until_complete(put(batcher, 3))
    assert handler.batches == [[1], [2, 3]]
    two.run_until_complete(batcher.aclose())
    assert_balanced(batcher)
    closed(two)


def test_items_that_were_put_are_reported_if_they_are_lost_with_their_loop() -> None:
    batcher = Batcher(Handler(held=True), linger=0)
    reports: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, each: reports.append(each))
    loop.run_until_complete(put(batcher, 1))
    closed(loop)

    async def main() -> None:
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())
    assert [type(each["exception"]) for each in reports] == [BatchCancelled]


def test_no_callback_runs_while_others_are_kept_out() -> None:
    batcher = Batcher(Handler(held=True), linger=0, max_items=1)
    lock = batcher._pump.tally.lock
    free: list[bool] = []

    def look() -> bool:
        is_free = lock.acquire(blocking=False)
        if is_free:
            lock.release()
        return is_free

    def called(_: object) -> None:
        free.append(spawn(look).result())

    async def first() -> None:
        for number in range(2):
            batcher.submit_threadsafe(number).add_done_callback(called)
            await settle()
        asyncio.get_running_loop().create_task(batcher.aclose())
        await settle()

    async def second() -> None:
        await batcher.aclose()
        assert_balanced(batcher)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    closed(loop)
    asyncio.run(second())
    assert free == [True, True]  # of a batch that is lost, and of an item that was still waiting


def test_instance_whose_loop_was_closed_lives_until_the_next_one_is_used() -> None:
    class Service:
        @batched(linger=10)
        async def same(self, numbers: list[int]) -> list[int]:
            return numbers

    gone: list[weakref.ref[Service]] = []

    async def main() -> None:
        service = Service()
        gone.append(weakref.ref(service))
        service.same(1)

    for _ in range(3):
        run(main())
    gc.collect()
    assert [each() is None for each in gone] == [True, True, False]
    assert len(Service.same._owned) == 1


class Thing:
    """What can be seen to be gone."""


def test_tasks_that_a_handler_leaves_behind_keep_no_items_alive() -> None:
    async def main() -> None:
        things = [Thing() for _ in range(3)]
        gone = [weakref.ref(thing) for thing in things]
        tasks: list[asyncio.Task[None]] = []
        event = asyncio.Event()

        async def wait() -> None:
            await event.wait()

        async def handler(items: list[Thing]) -> list[Thing]:
            tasks.append(asyncio.create_task(wait()))
            return list(items)

        async with Batcher(handler, linger=0) as batcher:
            await asyncio.gather(*map(batcher.submit, things))
            things.clear()
            await settle()
            gc.collect()
            assert [each() for each in gone] == [None] * 3
            event.set()
            await tasks[0]

    run(main())


def test_results_behind_a_slow_item_are_let_go() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, max_items=1000, max_concurrency=2, item_timeout=1000)
        slow = batcher.submit(0)
        await settle()
        handler.held = False
        for _ in range(20):
            await asyncio.gather(*map(batcher.submit, range(1000)))
        assert len(batcher._timeouts._queue) <= 3000
        handler.release()
        assert await slow == 0
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_times_of_those_that_remain_are_kept_in_order() -> None:
    async def main() -> None:
        batcher = Batcher(echo, linger=10, max_items=5000, item_timeout=5)
        living = []
        for number in range(4000):
            future = batcher.submit(number)
            if number % 1000:
                future.cancel()
            else:
                living.append(future)
        queue = [future for _, future in batcher._timeouts._queue]
        assert len(queue) <= 1002
        assert [future for future in queue if not future.done()] == living
        for future in living:
            with pytest.raises(ItemTimeout):
                await future
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


@pytest.mark.parametrize("cancel_abandoned", [False, True])
def test_flush_does_not_wait_for_a_handler_that_nobody_waits_for(cancel_abandoned: bool) -> None:
    async def main() -> None:
        handler = Handler(held=True)
        release = asyncio.Event()

        async def stubborn(items: list[int]) -> list[int]:
            try:
                return await handler(items)
            finally:
                await release.wait()

        batcher = Batcher(stubborn, linger=0, item_timeout=5, cancel_abandoned=cancel_abandoned)
        futures = [batcher.submit(1), batcher.submit(2)]
        await settle()
        futures[0].cancel()
        flush = asyncio.create_task(batcher.flush())
        await asyncio.wait(futures)
        await settle()
        assert flush.done()
        assert isinstance(futures[1].exception(), TimeoutError)
        assert batcher.stats().in_flight == 1
        # What it does is done before the end, unless it is cancelled.
        closing = asyncio.create_task(batcher.aclose())
        await settle()
        assert not closing.done()
        assert handler.cancelled == ([0] if cancel_abandoned else [])
        release.set()
        handler.release()
        assert await closing == (0, 0, 0)
        assert handler.cancelled == ([0] if cancel_abandoned else [])
        stats = batcher.stats()
        assert (stats.discarded, stats.timeouts) == (1, 1)
        assert_balanced(batcher)

    run(main())
