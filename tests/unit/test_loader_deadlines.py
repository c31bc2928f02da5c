"""`Loader`: loads that are asked for under a deadline."""

from __future__ import annotations

import asyncio

import pytest
from tests.keyed import HeldSource, Source
from tests.loading import settle
from tests.steps import now, run

from penstock import DeadlineExceeded, Loader, deadline

# deadlines


def test_a_load_ends_with_the_deadline_it_was_made_under() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        begin = now()
        with deadline(2.5):
            hasty = loader.load(1)
        patient = loader.load(1)
        with pytest.raises(DeadlineExceeded):
            await hasty
        assert now() - begin == pytest.approx(2.5)
        source.release(1)
        assert await patient == "1 1"

    run(main())


def test_a_deadline_that_is_over_asks_for_nothing() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        with deadline(1):
            await asyncio.sleep(2)
            future = loader.load(1)
            assert future.done()
            with pytest.raises(DeadlineExceeded):
                await future
        await settle()
        assert source.calls == []
        assert loader.stats().abandoned == 1

    run(main())


def test_a_deadline_that_was_long_enough_leaves_no_timer() -> None:
    async def main() -> None:
        loader = Loader(Source())
        with deadline(1000):
            assert await loader.load_many([1, 2]) == ["value of 1", "value of 2"]
        await settle()
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [timer for timer in timers if not timer.cancelled()] == []

    run(main())


def test_a_load_may_be_cancelled_in_the_moment_in_which_its_deadline_is_over() -> None:
    async def main() -> None:
        loader = Loader(HeldSource())
        with deadline(2.5):
            future = loader.load(1)
        asyncio.get_running_loop().call_later(2.5 - 1e-10, future.cancel)
        await asyncio.sleep(5)
        assert future.cancelled()

    run(main())  # nothing was reported


def test_calls_do_not_run_under_the_deadline_of_whoever_asks_first() -> None:
    async def main() -> None:
        seen: list[float | None] = []

        async def load_many(keys: list[int]) -> list[int]:
            from penstock import remaining

            seen.append(remaining())
            return keys

        with deadline(5):
            loader = Loader(load_many)
            assert await loader.load(1) == 1
        assert seen == [None]

    run(main())
