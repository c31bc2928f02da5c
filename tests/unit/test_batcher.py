"""`Batcher`: what goes together, when, and who gets which result."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced, echo
from tests.loading import settle
from tests.steps import now, run

from penstock import Batcher, BatcherStats, _components
from penstock.flow import deadline, remaining


def timed(handler: Any, **options: Any) -> Batcher[int, int]:
    """A batcher on the clock of the running loop."""
    return Batcher(handler, timer=asyncio.get_running_loop().time, **options)


def test_submit_and_put_nowait_are_those_of_the_backend() -> None:
    for name in ("submit", "submit_nowait", "put_nowait", "pending", "pending_weight"):
        owner = next(cls for cls in Batcher.__mro__ if name in vars(cls))
        assert owner.__name__ == "Ring", name


def test_each_item_gets_its_own_result() -> None:
    async def main() -> None:
        handler = Handler()
        async with timed(handler, max_items=10) as batcher:
            results = await asyncio.gather(*map(batcher.submit, range(35)))
        assert results == [2 * number for number in range(35)]
        assert [len(batch) for batch in handler.batches] == [10, 10, 10, 5]
        assert [item for batch in handler.batches for item in batch] == list(range(35))
        assert_balanced(batcher)

    run(main())


def test_submit_returns_a_future_of_the_loop() -> None:
    async def main() -> None:
        async with timed(echo) as batcher:
            future = batcher.submit(1)
            assert isinstance(future, asyncio.Future)
            assert future.get_loop() is asyncio.get_running_loop()
            assert isinstance(batcher.submit_nowait(2), asyncio.Future)
            assert await asyncio.wait_for(future, 1) == 1
            assert await asyncio.shield(batcher.submit(3)) == 3

    run(main())


def test_full_batch_does_not_wait() -> None:
    async def main() -> None:
        batcher = timed(echo, max_items=3, linger=10)
        start = now()
        assert await asyncio.gather(*map(batcher.submit, range(3))) == [0, 1, 2]
        assert now() == start
        assert batcher.stats().flushes_full == 1
        await batcher.aclose()

    run(main())


def test_linger_is_measured_from_the_oldest_item() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = timed(handler, linger=1.0)
        start = now()
        first = batcher.submit(1)
        await asyncio.sleep(0.9)
        second = batcher.submit(2)
        assert await first == 2
        assert second.done()
        assert now() == pytest.approx(start + 1.0)
        assert handler.batches == [[1, 2]]
        assert batcher.stats().flushes_linger == 1
        await batcher.aclose()

    run(main())


def test_linger_over_is_over_whatever_the_clock_says() -> None:
    async def main() -> None:
        batcher = Batcher(echo, linger=1.0, timer=lambda: 0.0)
        start = now()
        assert await batcher.submit(1) == 1
        assert now() == pytest.approx(start + 1.0)
        await batcher.aclose()

    run(main())


def test_linger_of_what_is_left_over_is_its_own() -> None:
    async def main() -> None:
        batcher = Batcher(echo, linger=1.0, max_items=2, max_concurrency=2, timer=lambda: 0.0)
        start = now()
        first = batcher.submit(1)
        await asyncio.sleep(0.5)
        second, third = batcher.submit(2), batcher.submit(3)
        await asyncio.gather(first, second)
        assert now() == pytest.approx(start + 0.5)
        await third
        assert now() == pytest.approx(start + 1.5)
        await batcher.aclose()

    run(main())


def test_linger_of_a_cancelled_item_is_not_that_of_the_next() -> None:
    async def main() -> None:
        batcher = timed(echo, linger=1.0)
        start = now()
        first = batcher.submit(1)
        await asyncio.sleep(0.5)
        second = batcher.submit(2)
        first.cancel()
        await second
        assert now() == pytest.approx(start + 1.5)
        assert batcher.stats().cancelled == 1
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_without_linger_one_tick_goes_together() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = timed(handler, linger=0)
        start = now()
        assert await asyncio.gather(*map(batcher.submit, range(5))) == [0, 2, 4, 6, 8]
        assert (now(), handler.batches) == (start, [[0, 1, 2, 3, 4]])
        assert batcher.stats().flushes_idle == 1
        handler.held = True
        futures = [batcher.submit(5)]
        await settle()
        futures += [batcher.submit(6), batcher.submit(7)]
        await settle()
        assert handler.batches[1:] == [[5]]
        handler.release()
        assert await asyncio.gather(*futures) == [10, 12, 14]
        assert handler.batches[2:] == [[6, 7]]
        await batcher.aclose()

    run(main())


def test_weight_fills_a_batch() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = timed(handler, max_weight=10, weigher=lambda item: item, linger=10)
        futures = [batcher.submit(weight) for weight in (4, 4, 4, 25, 1, 9)]
        await settle()
        assert batcher.stats().flushes_weight == 4
        assert handler.batches == [[4, 4], [4], [25], [1, 9]]
        assert await asyncio.gather(*futures) == [8, 8, 8, 50, 2, 18]
        await batcher.aclose()

    run(main())


def test_weight_without_a_weigher_is_the_number_of_items() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = timed(handler, max_weight=2, linger=10)
        await asyncio.gather(*map(batcher.submit, range(4)))
        assert handler.batches == [[0, 1], [2, 3]]
        await batcher.aclose()

    run(main())


def test_item_that_cannot_be_weighed_is_refused_alone() -> None:
    async def main() -> None:
        batcher: Batcher[Any, Any] = timed(echo, weigher=len)
        before = batcher.submit("one")
        with pytest.raises(TypeError, match="has no len"):
            batcher.submit(1)
        with pytest.raises(TypeError, match="has no len"):
            batcher.put_nowait(1)
        with pytest.raises(TypeError, match="has no len"):
            batcher.submit_threadsafe(1)
        after = batcher.submit("two")
        assert await asyncio.gather(before, after) == ["one", "two"]
        await batcher.aclose()
        assert batcher.stats().submitted == 2
        assert_balanced(batcher)

    run(main())


def test_as_many_batches_run_as_may() -> None:
    async def main(most: int | None, seen: int) -> None:
        handler = Handler(held=True)
        batcher = timed(handler, max_items=1, max_concurrency=most)
        futures = list(map(batcher.submit, range(5)))
        await settle()
        assert (handler.most, batcher.stats().in_flight) == (seen, seen)
        handler.release()
        assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8]
        await batcher.aclose()

    run(main(1, 1))
    run(main(3, 3))
    run(main(None, 5))


def test_cancelled_items_do_not_fill_a_batch() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = timed(handler, max_items=4, linger=1.0)
        start = now()
        futures = list(map(batcher.submit, range(3)))
        await settle()
        futures[0].cancel()
        futures[1].cancel()
        futures.append(batcher.submit(3))
        assert await asyncio.gather(*futures[2:]) == [4, 6]
        assert now() == pytest.approx(start + 1.0)
        assert handler.batches == [[2, 3]]
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_nothing_runs_while_there_is_nothing_to_do() -> None:
    async def main() -> None:
        batcher = timed(echo, linger=1.0)
        await batcher.submit(1)
        loop: Any = asyncio.get_running_loop()
        assert loop._scheduled == []
        batcher.submit(2)
        await settle()
        assert len(loop._scheduled) == 1
        await batcher.flush()
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []
        await batcher.aclose()

    run(main())


def test_flush_dispatches_at_once_and_waits_for_all() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = timed(handler, linger=10, max_items=2)
        futures = list(map(batcher.submit, range(3)))
        await settle()
        flushing = asyncio.ensure_future(batcher.flush())
        await settle()
        assert handler.batches == [[0, 1]]
        assert not flushing.done()
        handler.release()
        start = now()
        await flushing
        assert now() == start
        assert all(future.done() for future in futures)
        assert batcher.stats().flushes_flush == 1
        assert handler.batches == [[0, 1], [2]]
        await batcher.flush()
        await batcher.aclose()

    run(main())


def test_flush_does_not_wait_for_what_comes_later() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = timed(handler, linger=0, max_items=1, max_concurrency=2)
        first = batcher.submit(1)
        flushing = asyncio.ensure_future(batcher.flush())
        await settle()
        second = batcher.submit(2)
        await settle()
        handler._gates[0].set()
        await flushing
        assert (first.done(), second.done()) == (True, False)
        handler.release()
        await batcher.aclose()

    run(main())


def test_flush_of_cancelled_items_ends() -> None:
    async def main() -> None:
        batcher = timed(Handler(), linger=10)
        batcher.submit(1).cancel()
        await batcher.flush()
        assert batcher.stats().batches == 0
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_put_items_are_handled_and_counted() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = timed(handler, linger=1.0)
        for number in range(3):
            assert batcher.put_nowait(number) is None  # type: ignore[func-returns-value]
        assert await batcher.submit(3) == 6
        assert handler.batches == [[0, 1, 2, 3]]
        assert batcher.stats().completed == 4
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_ordinary_function_is_a_handler() -> None:
    async def main() -> None:
        async with Batcher(lambda items: [item + 1 for item in items], linger=0) as batcher:
            assert await batcher.submit(1) == 2

    run(main())


def test_handler_runs_in_the_context_of_the_batcher_and_under_no_deadline() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="nobody's")
    seen = []

    async def handler(items: list[int]) -> list[int]:
        seen.append((variable.get(), remaining()))
        variable.set("handler's")
        return items

    async def main() -> None:
        variable.set("maker's")
        with deadline(5):
            batcher = Batcher(handler, linger=0)
        variable.set("caller's")
        with deadline(5):
            await batcher.submit(1)
        await batcher.submit(2)
        assert seen == [("maker's", None)] * 2
        assert variable.get() == "caller's"
        await batcher.aclose()

    run(main())


def test_batcher_that_is_let_go_of_does_its_work_and_is_collected() -> None:
    async def main() -> weakref.ref[object]:
        batcher = Batcher(echo, linger=1.0)
        future = batcher.submit(1)
        gone = weakref.ref(batcher)
        del batcher
        gc.collect()
        assert await future == 1
        return gone

    gone = run(main())
    gc.collect()
    assert gone() is None


def test_statistics_and_what_shows_the_state() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = timed(handler, max_items=2, linger=1.0, max_pending=3, name="rows")
        assert (batcher.name, batcher.closed, batcher.batch_limit) == ("rows", False, 2)
        futures = list(map(batcher.submit, range(7)))
        await settle()
        stats = batcher.stats()
        assert isinstance(stats, BatcherStats)
        assert (stats.pending, stats.waiting, stats.in_flight, stats.items) == (5, 2, 1, 2)
        assert "pending=5, in_flight=1, name='rows'" in repr(batcher)
        await asyncio.sleep(2)
        handler.release()
        await asyncio.gather(*futures)
        stats = batcher.stats()
        assert stats.wait_seconds == pytest.approx(2.0 * 5)
        assert stats.run_seconds == pytest.approx(2.0)
        kind, _ = _components.stats_of(batcher)
        shown = {field.attribute for field in kind.fields}
        assert (kind.name, shown) == ("batcher", set(BatcherStats.__slots__))
        await batcher.aclose()
        assert "closed" in repr(batcher)
        assert_balanced(batcher)

    run(main())
