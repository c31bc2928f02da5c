"""A batcher and threads: futures of theirs, bursts, and how they cancel."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections import Counter
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced, echo
from tests.loading import settle
from tests.steps import now, run
from tests.threads import LIMIT, spawn

from penstock import Batcher, ClosedError, ItemTimeout, LimitExceeded
from penstock.bench._virtual_loop import VirtualLoop


def test_threads_get_their_own_results() -> None:
    async def main() -> None:
        handler = Handler()
        loop = asyncio.get_running_loop()
        async with Batcher(handler, max_items=16, linger=0.001) as batcher:

            def work(number: int) -> list[int]:
                futures = [batcher.submit_threadsafe(number * 100 + n) for n in range(100)]
                return [future.result(LIMIT) for future in futures]

            calls = [loop.run_in_executor(None, work, number) for number in range(4)]
            for number, results in enumerate(await asyncio.gather(*calls)):
                assert results == [2 * (number * 100 + n) for n in range(100)]
        assert sorted(handler.items) == list(range(400))
        assert_balanced(batcher)

    asyncio.run(main())


def test_burst_of_a_thread_wakes_the_loop_once() -> None:
    async def main() -> None:
        handler = Handler()
        loop: Any = asyncio.get_running_loop()
        async with Batcher(handler, max_items=10_000, linger=0) as batcher:
            wakes = []
            call_soon_threadsafe = loop.call_soon_threadsafe

            def counted(*args: Any, **options: Any) -> Any:
                wakes.append(args)
                return call_soon_threadsafe(*args, **options)

            loop.call_soon_threadsafe = counted
            try:
                # The loop does not go on before the threads are done.
                threads = [
                    spawn(lambda: [batcher.put_nowait(n) for n in range(1000)]) for _ in range(4)
                ]
                for thread in threads:
                    thread.result()
            finally:
                del loop.call_soon_threadsafe
            assert len(wakes) == 1
            await batcher.flush()
            assert [len(batch) for batch in handler.batches] == [4000]
        assert_balanced(batcher)

    asyncio.run(main())


def test_nothing_that_threads_put_is_lost_or_doubled_while_batches_run() -> None:
    async def main() -> None:
        handler = Handler()
        loop = asyncio.get_running_loop()
        async with Batcher(handler, max_items=7, linger=0, max_concurrency=3) as batcher:

            def work(number: int) -> None:
                for n in range(1000):
                    batcher.put_nowait((number, n))

            await asyncio.gather(*[loop.run_in_executor(None, work, n) for n in range(4)])
        seen = handler.items
        assert len(seen) == len(set(seen)) == 4000
        for number in range(4):
            assert [n for owner, n in seen if owner == number] == list(range(1000))
        assert_balanced(batcher)

    asyncio.run(main())


def test_cancel_works_until_the_batch_runs() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        running = batcher.submit_threadsafe(1)
        await settle()
        waiting = batcher.submit_threadsafe(2)
        assert running.running()
        assert not running.cancel()
        assert waiting.cancel()
        assert waiting.cancel()
        done, _ = concurrent.futures.wait([waiting], timeout=0)
        assert done == {waiting}
        handler.release()
        await batcher.aclose()
        assert running.result(0) == 2
        assert handler.batches == [[1]]
        assert batcher.stats().cancelled == 1
        assert_balanced(batcher)

    run(main())


def test_waiter_in_another_loop_may_leave() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        wrapped = asyncio.wrap_future(batcher.submit_threadsafe(1))
        await settle()
        wrapped.cancel()
        await settle()
        assert handler.cancelled == []
        handler.release()
        await batcher.aclose()
        assert batcher.stats().completed == 1
        assert_balanced(batcher)

    run(main())


def test_thread_cancels_while_its_batch_is_made() -> None:
    async def main() -> None:
        handler = Handler()

        class Late(Batcher[int, int]):
            def _take(self, items: int, weight: int | None) -> Any:
                found = super()._take(items, weight)
                if found is not None:
                    found[1][0].cancel()
                return found

        batcher = Late(handler, linger=0)
        futures = [batcher.submit_threadsafe(n) for n in range(3)]
        await batcher.flush()
        assert futures[0].cancelled()
        assert [future.result(0) for future in futures[1:]] == [2, 4]
        batcher.submit_threadsafe(7)
        await batcher.aclose()
        assert handler.batches == [[1, 2]]
        assert batcher.stats().cancelled == 2
        assert_balanced(batcher)

    run(main())


def test_submit_without_a_loop_says_what_to_use() -> None:
    batcher = Batcher(echo)
    for submit in (batcher.submit, batcher.submit_nowait):
        with pytest.raises(RuntimeError, match="submit_threadsafe"):
            submit(1)


def test_threads_may_begin_before_the_loop() -> None:
    handler = Handler()
    batcher = Batcher(handler, linger=0, item_timeout=5)
    future = batcher.submit_threadsafe(1)
    batcher.put_nowait(2)

    async def main() -> None:
        async with batcher:
            assert await asyncio.wrap_future(future) == 2
        assert_balanced(batcher)

    run(main())
    assert handler.batches == [[1, 2]]


def test_items_that_came_before_the_loop_time_out_in_it() -> None:
    batcher = Batcher(Handler(held=True), linger=0, item_timeout=5)
    futures = [batcher.submit_threadsafe(1), batcher.submit_threadsafe(2)]

    async def main() -> None:
        await asyncio.sleep(50)
        batcher.put_nowait(3)
        start = now()
        for future in futures:
            with pytest.raises(ItemTimeout):
                await asyncio.wrap_future(future)
        assert now() == pytest.approx(start + 5)
        await batcher.aclose(drain=False)
        assert_balanced(batcher)

    run(main())


def test_producers_during_a_close_lose_nothing() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = Batcher(handler, max_items=10, linger=0, max_pending=100, on_full="raise")
        await batcher.flush()  # there is a loop from now on
        loop = asyncio.get_running_loop()
        begun = threading.Barrier(5)

        def produce(number: int) -> list[Any]:
            futures: list[Any] = []
            begun.wait(LIMIT)
            while True:
                try:
                    futures.append(batcher.submit_threadsafe(number))
                    batcher.put_nowait(number)
                except LimitExceeded:
                    continue
                except ClosedError:
                    return futures

        calls = [loop.run_in_executor(None, produce, number) for number in range(4)]
        await loop.run_in_executor(None, begun.wait, LIMIT)
        while batcher.stats().completed < 100:
            await settle(1)
        await batcher.aclose()
        futures = [future for made in await asyncio.gather(*calls) for future in made]
        assert all(future.done() and future.exception() is None for future in futures)
        assert_balanced(batcher)
        assert batcher.stats().items == len(handler.items)

    asyncio.run(main())


def test_drop_oldest_from_a_thread_reaches_the_waiter_in_the_loop() -> None:
    told: list[object] = []

    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, max_items=1, max_pending=1, on_full="drop_oldest")
        first = batcher.submit(0)
        await settle()
        second = batcher.submit(1)
        second.add_done_callback(told.append)
        await asyncio.get_running_loop().run_in_executor(None, batcher.put_nowait, 2)
        with pytest.raises(RuntimeError, match="dropped"):
            await second
        handler.release()
        await batcher.aclose()
        assert await first == 0
        assert handler.batches == [[0], [2]]
        assert told == [second]
        assert_balanced(batcher)

    # In debug mode the loop complains of what another thread does to its futures.
    asyncio.run(main(), debug=True)


class Stop(BaseException):
    """What ends programs."""


async def fail(items: list[int]) -> list[int]:
    raise ValueError


@pytest.mark.parametrize("how", ["deliver", "fail", "time out", "abandon"])
def test_callback_that_ends_the_program_gets_in_the_way_of_nobody(how: str) -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: reports.append(each))
        handler: Any = {"deliver": echo, "fail": fail}.get(how, Handler(held=True))
        batcher = Batcher(handler, linger=0, item_timeout=1, max_concurrency=2, max_items=2)
        called: list[object] = []

        def stop(future: object) -> None:
            called.append(future)
            raise Stop

        futures = [batcher.submit_threadsafe(number) for number in range(5)]
        for future in futures:
            future.add_done_callback(stop)
            future.add_done_callback(called.append)
        waiter = batcher.submit(9)
        await settle()
        if how == "abandon":
            await batcher.aclose(drain=False)
        await asyncio.wait([waiter])
        await settle()
        assert Counter(called) == dict.fromkeys(futures, 2)
        assert [type(each["exception"]) for each in reports] == [Stop] * 5
        if how != "deliver":
            assert waiter.exception() is not None
        await batcher.aclose(drain=False)
        assert_balanced(batcher)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_interrupt_in_a_callback_goes_on_out_of_the_loop() -> None:
    futures: list[Any] = []

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        batcher = Batcher(echo, linger=0)
        futures.extend(map(batcher.submit_threadsafe, range(3)))
        futures[0].add_done_callback(interrupt)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert [future.result(0) for future in futures] == [0, 1, 2]


def test_what_a_callback_sets_in_its_context_stays_there() -> None:
    place = contextvars.ContextVar("place", default="nowhere")
    seen: list[str] = []

    async def main() -> None:
        gate = asyncio.Event()

        async def handler(items: list[int]) -> list[int]:
            seen.append(place.get())
            await gate.wait()
            return items

        batcher = Batcher(handler, linger=0, item_timeout=1)
        future = batcher.submit_threadsafe(0)
        future.add_done_callback(lambda _: place.set("in a callback") and None)
        with pytest.raises(ItemTimeout):
            await asyncio.wrap_future(future)
        gate.set()
        await batcher.submit(1)
        await batcher.aclose()

    run(main())
    assert seen == ["nowhere", "nowhere"]
