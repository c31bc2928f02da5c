"""Whoever waits for an item may leave: before it is dispatched, after, and all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced
from tests.loading import settle
from tests.steps import run

from penstock import Batcher


def test_item_cancelled_before_dispatch_is_not_handled() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = Batcher(handler, linger=1)
        futures = list(map(batcher.submit, range(4)))
        futures[0].cancel()
        waiting = asyncio.ensure_future(asyncio.wait_for(futures[2], 0.5))
        await settle()
        with pytest.raises(TimeoutError):
            await waiting
        assert await asyncio.gather(futures[1], futures[3]) == [2, 6]
        assert handler.batches == [[1, 3]]
        stats = batcher.stats()
        assert (stats.cancelled, stats.discarded, stats.completed) == (2, 0, 2)
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_result_of_an_item_cancelled_after_dispatch_is_dropped() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        futures = list(map(batcher.submit, range(3)))
        await settle()
        futures[1].cancel()
        await settle()
        assert handler.cancelled == []
        handler.release()
        assert await asyncio.gather(futures[0], futures[2]) == [0, 4]
        assert handler.batches == [[0, 1, 2]]
        stats = batcher.stats()
        assert (stats.cancelled, stats.discarded, stats.completed) == (0, 1, 2)
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
def test_handler_is_cancelled_when_nobody_waits_any_more(order: list[int]) -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        futures = list(map(batcher.submit, range(3)))
        await settle()
        for index in order:
            assert handler.cancelled == []
            futures[index].cancel()
            await settle()
        assert handler.cancelled == [0]
        assert batcher.stats().discarded == 3
        handler.release()
        assert await batcher.submit(7) == 14
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_handler_goes_on_when_told_to() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, cancel_abandoned=False)
        future = batcher.submit(1)
        await settle()
        future.cancel()
        await settle()
        assert (handler.cancelled, handler.running) == ([], 1)
        handler.release()
        await batcher.aclose()
        assert batcher.stats().discarded == 1
        assert_balanced(batcher)

    run(main())


@pytest.mark.parametrize("put_at", [0, 1, 2])
def test_handler_goes_on_for_an_item_that_was_put(put_at: int) -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        futures = []
        for index in range(3):
            if index == put_at:
                batcher.put_nowait(index)
            else:
                futures.append(batcher.submit(index))
        await settle()
        for future in futures:
            future.cancel()
            await settle()
        assert handler.cancelled == []
        handler.release()
        await batcher.aclose()
        stats = batcher.stats()
        assert (stats.completed, stats.discarded) == (1, 2)
        assert_balanced(batcher)

    run(main())


def test_cancelled_handler_that_returns_all_the_same_does_no_harm() -> None:
    async def main() -> None:
        async def handler(items: list[int]) -> list[int]:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return items

        batcher = Batcher(handler, linger=0)
        future = batcher.submit(1)
        await settle()
        future.cancel()
        await settle()
        assert batcher.stats().in_flight == 1
        assert (await batcher.aclose()) == (0, 0, 0)
        assert batcher.stats().discarded == 1
        assert_balanced(batcher)

    run(main())


def test_error_of_a_handler_that_was_abandoned_reaches_nobody() -> None:
    async def main() -> None:
        async def handler(items: list[int]) -> list[int]:
            try:
                await asyncio.sleep(100)
            finally:
                raise ValueError

        batcher = Batcher(handler, linger=0)
        future = batcher.submit(1)
        await settle()
        future.cancel()
        await batcher.aclose()
        assert batcher.stats().discarded == 1
        assert_balanced(batcher)

    run(main())


def test_cancelled_waiter_reaches_no_other() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher: Batcher[int, int] = Batcher(handler, linger=0)

        async def ask(number: int) -> int:
            return await batcher.submit(number)

        tasks = [asyncio.create_task(ask(number)) for number in range(5)]
        await settle()
        tasks[0].cancel()
        tasks[3].cancel()
        await settle()
        handler.release()
        results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results].count(asyncio.CancelledError) == 2
        assert [result for result in results if isinstance(result, int)] == [2, 4, 8]
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_thousands_cancelled_in_the_queue_cost_one_pass() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, max_items=10)
        first = batcher.submit(0)
        await settle()
        futures = list(map(batcher.submit, range(1, 5001)))
        for future in futures[:-1]:
            future.cancel()
        handler.release()
        assert await futures[-1] == 10_000
        assert first.done()
        assert handler.batches == [[0], [5000]]
        assert batcher.stats().cancelled == 4999
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_future_that_its_owner_has_set_does_no_harm() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, max_items=2)
        futures = list(map(batcher.submit, range(4)))
        await settle()
        futures[0].set_result(-1)
        futures[2].set_exception(KeyError("own"))
        handler.release()
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert results[:2] == [-1, 2]
        assert isinstance(results[2], KeyError)
        assert results[3] == 6
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())
