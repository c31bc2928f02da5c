"""Items that run out of time, and batches that are as large as time allows."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced, echo
from tests.loading import settle
from tests.steps import now, run

from penstock import Batcher, DeadlineExceeded, ItemTimeout, deadline


def test_item_times_out_in_the_queue_and_is_not_handled() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, item_timeout=timedelta(seconds=2))
        first = batcher.submit(0)
        await settle()
        start = now()
        second = batcher.submit(1)
        with pytest.raises(ItemTimeout, match="had no result within 2 s") as caught:
            await second
        assert caught.value.seconds == 2.0
        assert now() == pytest.approx(start + 2)
        with pytest.raises(ItemTimeout):
            await first
        # Nobody waits for the running one either.
        await settle()
        assert handler.cancelled == [0]
        assert handler.batches == [[0]]
        await batcher.aclose()
        assert batcher.stats().timeouts == 2
        assert_balanced(batcher)

    run(main())


def test_count_of_cancelled_items_never_falls() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, item_timeout=2)
        batcher.put_nowait(0)
        await settle()
        batcher.submit(1).cancel()
        assert batcher._sweep() == 1
        assert batcher.stats().cancelled == 1
        late = batcher.submit(2)
        with pytest.raises(ItemTimeout):
            await late
        assert (batcher.stats().cancelled, batcher.stats().timeouts) == (1, 1)
        handler.release()
        await batcher.aclose()
        assert batcher.stats().cancelled == 1
        assert_balanced(batcher)

    run(main())


def test_timeout_is_from_acceptance_and_for_each_item() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, item_timeout=3)
        start = now()
        ends: list[tuple[int, float]] = []

        async def ask(number: int) -> None:
            await asyncio.sleep(number)
            with pytest.raises(ItemTimeout):
                await batcher.submit(number)
            ends.append((number, now() - start))

        await asyncio.gather(*map(ask, range(3)))
        assert ends == [(0, pytest.approx(3)), (1, pytest.approx(4)), (2, pytest.approx(5))]
        handler.release()
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_one_that_times_out_in_a_batch_reaches_no_other() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=1, item_timeout=5)
        first = batcher.submit(1)
        await asyncio.sleep(0.5)
        second = batcher.submit(2)
        await asyncio.sleep(4.75)
        assert isinstance(first.exception(), ItemTimeout)
        handler.release()
        assert await second == 4
        stats = batcher.stats()
        assert (stats.timeouts, stats.completed, stats.discarded) == (1, 1, 0)
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_items_in_time_leave_no_timer_behind() -> None:
    async def main() -> None:
        batcher = Batcher(echo, linger=0, item_timeout=100)
        for number in range(50):
            assert await batcher.submit(number) == number
        assert len(batcher._timeouts._queue) <= 2
        await batcher.aclose()
        loop: Any = asyncio.get_running_loop()
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []

    run(main())


def test_put_items_do_not_time_out() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, item_timeout=1)
        batcher.put_nowait(1)
        await settle()
        batcher.put_nowait(2)
        await asyncio.sleep(5)
        handler.release()
        await batcher.aclose()
        assert handler.batches == [[1], [2]]
        assert_balanced(batcher)

    run(main())


def test_timeout_of_a_thread_s_item() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, item_timeout=1)
        batcher.put_nowait(0)
        await settle()
        running = batcher.submit_threadsafe(1)
        waiting = batcher.submit_threadsafe(2)
        with pytest.raises(ItemTimeout):
            await asyncio.wrap_future(waiting)
        assert isinstance(running.exception(0), ItemTimeout)
        handler.release()
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_ambient_deadline_ends_the_wait() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        start = now()
        with deadline(2):
            running = batcher.submit(1)
            await settle()
            waiting = batcher.submit(2)
        with deadline(9):
            other = batcher.submit(3)
        for future in (running, waiting):
            with pytest.raises(DeadlineExceeded, match="deadline of 2 s is over"):
                await future
        assert now() == pytest.approx(start + 2)
        await settle()
        assert handler.cancelled == [0]
        handler.release()
        assert await other == 6
        assert handler.batches == [[1], [3]]
        assert batcher.stats().timeouts == 2
        await batcher.aclose()
        assert_balanced(batcher)
        loop: Any = asyncio.get_running_loop()
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []

    run(main())


def test_nothing_is_accepted_after_the_ambient_deadline() -> None:
    async def main() -> None:
        batcher = Batcher(echo)
        with deadline(1):
            await asyncio.sleep(2)
            with pytest.raises(DeadlineExceeded):
                batcher.submit(1)
        assert batcher.stats().submitted == 0
        await batcher.aclose()

    run(main())


def test_ambient_deadline_ends_a_flush_and_shortens_a_close() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        future = batcher.submit(1)
        start = now()
        with deadline(2):
            with pytest.raises(DeadlineExceeded):
                await batcher.flush()
            assert now() == pytest.approx(start + 2)
        with deadline(3):
            assert (await batcher.aclose()) == (0, 0, 1)
        assert now() == pytest.approx(start + 5)
        assert future.exception() is not None
        assert_balanced(batcher)

    run(main())


def test_timer_that_fails_costs_nobody_an_item(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [1.0, ValueError("broken"), "text", float("nan"), None]

    def timer() -> float:
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def main() -> None:
        batcher = Batcher(echo, linger=1, timer=timer)
        for number in range(5):
            assert await batcher.submit(number) == number
        await batcher.aclose()
        assert_balanced(batcher)

    asked: list[Any] = []
    with caplog.at_level(logging.ERROR):
        run(main())
    assert len(caplog.records) == 1


class Service:
    """A handler that takes time for each item, and counts how many come at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []

    async def __call__(self, items: list[int]) -> list[int]:
        self.sizes.append(len(items))
        await asyncio.sleep(len(items) * self.seconds)
        return items


def test_batches_shrink_until_they_are_done_in_time() -> None:
    async def main() -> None:
        service = Service(0.01)
        loop = asyncio.get_running_loop()
        batcher = Batcher(
            service, max_items=64, linger=0, target_latency=0.5, timer=loop.time, max_pending=None
        )
        assert batcher.batch_limit == 64

        async def client() -> None:
            for number in range(60):
                await batcher.submit(number)

        await asyncio.gather(*[client() for _ in range(100)])
        # A batch waits for the one before: half of the target for each.
        assert 15 <= batcher.batch_limit <= 35
        assert batcher.stats().batch_limit == batcher.batch_limit
        service.seconds = 0.0001
        await asyncio.gather(*[client() for _ in range(80)])
        assert batcher.batch_limit == 64
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_batch_size_holds_while_batches_are_not_full() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        batcher = Batcher(Service(10), linger=0, target_latency=0.5, timer=loop.time)
        for number in range(40):
            await batcher.submit(number)
        assert batcher.batch_limit == 64
        await batcher.aclose()

    run(main())


def test_batch_size_stays_between_one_and_the_most() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        service = Service(10)
        batcher = Batcher(service, max_items=4, linger=0, target_latency=0.5, timer=loop.time)
        await asyncio.gather(*map(batcher.submit, range(200)))
        assert (batcher.batch_limit, min(service.sizes), max(service.sizes)) == (1, 1, 4)
        service.seconds = 0
        for number in range(400):
            await asyncio.gather(*[batcher.submit(number) for _ in range(4)])
        assert batcher.batch_limit == 4
        await batcher.aclose()

    run(main())


@pytest.mark.parametrize("late", [1e10, -1e300])
def test_timer_that_goes_too_far_costs_nobody_an_item(late: float) -> None:
    async def main() -> None:
        reading = 5.0
        batcher = Batcher(echo, linger=1, timer=lambda: reading)
        futures = list(map(batcher.submit, range(3)))
        await settle()
        reading = late
        assert await asyncio.gather(*futures) == [0, 1, 2]
        assert await batcher.submit(3) == 3
        reading = 6.0
        assert await batcher.submit(4) == 4
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


@pytest.mark.parametrize("broken", ["_take", "_age"])
def test_pump_goes_on_after_an_error(broken: str) -> None:
    errors: list[object] = []

    class Broken(Batcher[int, int]):
        """Fails once."""

        is_broken = True

        def _fail(self) -> None:
            if self.is_broken:
                self.is_broken = False
                errors.append(1)
                raise OverflowError

        def _take(self, items: int, weight: int | None) -> Any:
            if broken == "_take":
                self._fail()
            return super()._take(items, weight)

        def _age(self) -> float | None:
            if broken == "_age":
                self._fail()
            return super()._age()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, each: errors.append(each))
        batcher = Broken(echo, linger=1)
        assert await asyncio.gather(batcher.submit(0), batcher.submit(1)) == [0, 1]
        await batcher.aclose()
        assert len(errors) == 2
        assert_balanced(batcher)

    run(main())
