"""More items than may wait: wait, raise, drop the oldest, drop the newest."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced
from tests.loading import settle
from tests.steps import run

from penstock import Batcher, ItemDropped, LimitExceeded
from penstock.batching import _admission
from penstock.batching._options import OnFull


async def filled(on_full: OnFull) -> tuple[Batcher[int, int], Handler, list[asyncio.Future[int]]]:
    """A batcher with an item that is handled, and three that wait, which is all that may."""
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0, max_items=2, max_pending=3, on_full=on_full)
    futures = [batcher.submit(0)]
    await settle()
    futures += map(batcher.submit, (1, 2, 3))
    return batcher, handler, futures


def test_wait_lets_submitters_wait_and_refuses_the_others() -> None:
    async def main() -> None:
        batcher, handler, futures = await filled("wait")
        futures += map(batcher.submit, (4, 5))
        threaded = batcher.submit_threadsafe(6)
        with pytest.raises(LimitExceeded, match="6 items are pending already, and at most 3") as it:
            batcher.submit_nowait(7)
        assert (it.value.waiting, it.value.max_waiting) == (6, 3)
        with pytest.raises(LimitExceeded):
            batcher.put_nowait(7)
        stats = batcher.stats()
        assert (stats.pending, stats.waiting, stats.rejected) == (6, 3, 2)
        handler.release()
        assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8, 10]
        assert threaded.result(0) == 12
        assert handler.batches == [[0], [1, 2], [3, 4], [5, 6]]
        batcher.put_nowait(8)
        assert await batcher.submit_nowait(9) == 18
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_raise_refuses_all() -> None:
    async def main() -> None:
        batcher, handler, futures = await filled("raise")
        for submit in (batcher.submit, batcher.submit_nowait, batcher.put_nowait):
            with pytest.raises(LimitExceeded):
                submit(4)
        with pytest.raises(LimitExceeded):
            batcher.submit_threadsafe(4)
        assert batcher.stats().rejected == 4
        handler.release()
        assert await asyncio.gather(*futures) == [0, 2, 4, 6]
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_drop_oldest_makes_room() -> None:
    async def main() -> None:
        batcher, handler, futures = await filled("drop_oldest")
        futures += [batcher.submit(4), batcher.submit_nowait(5)]
        threaded = batcher.submit_threadsafe(6)
        batcher.put_nowait(7)
        handler.release()
        results: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(each) for each in results[1:5]] == [ItemDropped] * 4
        assert "more than 3 were pending" in str(results[1])
        assert len({id(each) for each in results[1:5]}) == 4
        assert (results[0], results[5], threaded.result(0)) == (0, 10, 12)
        await batcher.aclose()
        assert handler.batches == [[0], [5, 6], [7]]
        assert batcher.stats().dropped == 4
        assert_balanced(batcher)

    run(main())


def test_drop_oldest_drops_what_threads_and_nobody_wait_for() -> None:
    async def main() -> None:
        batcher, handler, futures = await filled("drop_oldest")
        threaded = batcher.submit_threadsafe(4)
        for number in range(5, 9):
            batcher.put_nowait(number)
        assert isinstance(threaded.exception(0), ItemDropped)
        handler.release()
        await batcher.aclose()
        assert handler.batches == [[0], [6, 7], [8]]
        assert [type(future.exception()) for future in futures[1:]] == [ItemDropped] * 3
        assert batcher.stats().dropped == 5
        assert_balanced(batcher)

    run(main())


def test_drop_newest_drops_what_comes() -> None:
    async def main() -> None:
        batcher, handler, futures = await filled("drop_newest")
        new = [batcher.submit(4), batcher.submit_nowait(5)]
        threaded = batcher.submit_threadsafe(6)
        assert batcher.put_nowait(7) is None  # type: ignore[func-returns-value]
        for future in new:
            with pytest.raises(ItemDropped):
                await future
        assert isinstance(threaded.exception(0), ItemDropped)
        handler.release()
        assert await asyncio.gather(*futures) == [0, 2, 4, 6]
        await batcher.aclose()
        stats = batcher.stats()
        assert (stats.dropped, stats.submitted, stats.rejected) == (4, 8, 0)
        assert_balanced(batcher)

    run(main())


@pytest.mark.parametrize("on_full", ["wait", "raise", "drop_oldest", "drop_newest"])
def test_cancelled_items_make_room_first(on_full: OnFull) -> None:
    async def main() -> None:
        batcher, handler, futures = await filled(on_full)
        futures[2].cancel()
        futures.append(batcher.submit_nowait(4))
        futures[3].cancel()
        batcher.put_nowait(5)
        handler.release()
        await batcher.aclose()
        assert handler.batches == [[0], [1, 4], [5]]
        stats = batcher.stats()
        assert (stats.cancelled, stats.dropped, stats.rejected) == (2, 0, 0)
        assert_balanced(batcher)

    run(main())


def test_queue_is_not_swept_for_each_that_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr(_admission, "monotonic", lambda: seconds[0])

    async def main() -> None:
        handler = Handler(held=True)
        sweeps = []

        class Watched(Batcher[int, int]):
            def _sweep(self) -> int:
                sweeps.append(self.pending)
                seconds[0] += 1
                return super()._sweep()

        batcher = Watched(handler, linger=0, max_items=1, max_pending=800)
        futures = [batcher.submit(0)]
        await settle()
        sweeps.clear()
        futures += map(batcher.submit, range(800))
        for _ in range(1000):
            with pytest.raises(LimitExceeded):
                batcher.put_nowait(1)
        assert len(sweeps) == 10
        # Nor is there much to wait for when time goes by.
        for _ in range(5):
            seconds[0] += 21
            with pytest.raises(LimitExceeded):
                batcher.put_nowait(1)
        assert len(sweeps) == 15
        for future in futures:
            future.cancel()
        for number in range(200):
            try:
                batcher.put_nowait(number)
            except LimitExceeded:
                continue
            break
        else:
            raise AssertionError("no room was found")
        handler.release()
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_unbounded_queue_takes_everything() -> None:
    async def main() -> None:
        batcher = Batcher(Handler(), max_pending=None, on_full="raise")
        for number in range(20_000):
            batcher.put_nowait(number)
        await batcher.aclose()
        assert batcher.stats().completed == 20_000
        assert_balanced(batcher)

    run(main())
