"""The end of a batcher: what is there is handled, or given up in time, and nothing comes after."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced, echo
from tests.loading import settle
from tests.steps import now, run

from penstock import Batcher, ClosedError
from penstock.batching import CloseReport


def test_close_handles_what_is_there_without_a_linger() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = Batcher(handler, linger=100, max_items=2)
        futures = list(map(batcher.submit, range(5)))
        batcher.put_nowait(5)
        start = now()
        report = await batcher.aclose()
        assert now() == start
        assert report == CloseReport(completed=6, failed=0, abandoned=0)
        assert [future.result() for future in futures] == [0, 2, 4, 6, 8]
        assert batcher.stats().flushes_close == 0  # they were full
        assert_balanced(batcher)

    run(main())


def test_close_dispatches_what_fills_no_batch() -> None:
    async def main() -> None:
        batcher = Batcher(echo, linger=100)
        future = batcher.submit(1)
        await batcher.aclose()
        assert await future == 1
        assert batcher.stats().flushes_close == 1

    run(main())


def test_nothing_is_accepted_after_a_close() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, name="rows")
        future = batcher.submit(1)
        closing = asyncio.ensure_future(batcher.aclose())
        await settle()
        for _ in range(2):
            assert batcher.closed
            for submit in (batcher.submit, batcher.submit_nowait, batcher.put_nowait):
                with pytest.raises(ClosedError, match="rows is closed"):
                    submit(2)
            with pytest.raises(ClosedError):
                batcher.submit_threadsafe(2)
            handler.release()
            await closing
        assert await future == 2
        await batcher.flush()
        assert handler.batches == [[1]]
        assert_balanced(batcher)

    run(main())


def test_report_counts_from_the_call_on() -> None:
    async def main() -> None:
        async def handler(items: list[int]) -> list[int]:
            if 0 in items:
                raise ValueError
            return items

        batcher = Batcher(handler, linger=10, max_items=2)
        await asyncio.gather(batcher.submit(1), batcher.submit(2))
        futures = list(map(batcher.submit, (1, 2, 0, 4, 5)))
        assert await batcher.aclose() == (3, 2, 0)
        assert [type(future.exception()) for future in futures[2:4]] == [ValueError] * 2
        assert_balanced(batcher)

    run(main())


def test_close_twice_gives_the_report_twice() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        batcher.put_nowait(1)
        first = asyncio.ensure_future(batcher.aclose())
        second = asyncio.ensure_future(batcher.aclose())
        await settle()
        assert not second.done()
        handler.release()
        assert await first == await second == await batcher.aclose() == (1, 0, 0)

    run(main())


def test_close_without_draining_gives_up_at_once() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, max_items=2)
        futures = list(map(batcher.submit, range(3)))
        await settle()
        threaded = batcher.submit_threadsafe(3)
        batcher.put_nowait(4)
        start = now()
        assert await batcher.aclose(drain=False) == (0, 0, 5)
        assert now() == start
        errors = [future.exception() for future in futures] + [threaded.exception(0)]
        assert [type(error) for error in errors] == [ClosedError] * 4
        assert handler.cancelled == [0]
        assert handler.batches == [[0, 1]]
        assert batcher.stats().failed == 5
        assert_balanced(batcher)

    run(main())


@pytest.mark.parametrize("timeout", [0, 2.0])
def test_close_that_takes_too_long_gives_up_the_rest(
    timeout: float, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0, max_items=2, name="rows")
        futures = list(map(batcher.submit, range(3)))
        start = now()
        assert await batcher.aclose(timeout=timeout) == (0, 0, 3)
        assert now() == pytest.approx(start + timeout)
        assert [type(future.exception()) for future in futures] == [ClosedError] * 3
        assert_balanced(batcher)

    with caplog.at_level(logging.WARNING):
        run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "rows was closed before 3 of its items were done"
    ]


def test_budget_of_a_close_is_one_for_all_batches() -> None:
    async def main() -> None:
        async def handler(items: list[int]) -> list[int]:
            await asyncio.sleep(2)
            return items

        batcher = Batcher(handler, linger=0, max_items=1)
        futures = list(map(batcher.submit, range(5)))
        start = now()
        assert await batcher.aclose(timeout=5) == (2, 0, 3)
        assert now() == pytest.approx(start + 5)
        assert [future.exception() is None for future in futures] == [True, True] + [False] * 3

    run(main())


def test_handler_that_does_not_end_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        over = asyncio.Event()

        async def handler(items: list[int]) -> list[int]:
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue
            return items

        batcher = Batcher(handler, linger=0, name="rows")
        future = batcher.submit(1)
        await settle()
        start = now()
        assert await batcher.aclose(timeout=2) == (0, 0, 1)
        assert now() == pytest.approx(start + 3)
        assert isinstance(future.exception(), ClosedError)
        over.set()
        await settle()
        assert_balanced(batcher)

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "1 handlers of rows do not end" in caplog.text


def test_handlers_that_are_cancelled_may_clean_up() -> None:
    async def main() -> None:
        cleaned = []

        async def handler(items: list[int]) -> list[int]:
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(3)
                cleaned.append(items)
            return items

        batcher = Batcher(handler, linger=0)
        batcher.put_nowait(1)
        await settle()
        assert await batcher.aclose(drain=False) == (0, 0, 1)
        assert cleaned == [[1]]
        assert_balanced(batcher)

    run(main())


def test_second_close_hurries_the_first() -> None:
    async def main() -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=0)
        future = batcher.submit(1)
        first = asyncio.ensure_future(batcher.aclose(timeout=None))
        await asyncio.sleep(5)
        start = now()
        assert await batcher.aclose(drain=False) == (0, 0, 1)
        assert (await first, now()) == ((0, 0, 1), start)
        assert isinstance(future.exception(), ClosedError)

    run(main())


def test_block_drains_even_if_it_fails() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = Batcher(handler, linger=100)
        future = batcher.submit(1)
        with pytest.raises(KeyError):
            async with batcher:
                raise KeyError
        assert await future == 2
        assert batcher.closed

    run(main())


def test_close_during_a_flush_resolves_both() -> None:
    async def main(drain: bool) -> None:
        handler = Handler(held=True)
        batcher = Batcher(handler, linger=10, max_items=1)
        futures = list(map(batcher.submit, range(3)))
        flushing = asyncio.ensure_future(batcher.flush())
        await settle()
        closing = asyncio.ensure_future(batcher.aclose(drain=drain))
        await settle()
        handler.release()
        assert await closing == ((3, 0, 0) if drain else (0, 0, 3))
        await flushing
        for future in futures:
            assert (future.exception() is None) is drain
        assert_balanced(batcher)

    run(main(True))
    run(main(False))


def test_flush_and_close_in_the_handler_are_refused_without_effect() -> None:
    async def main() -> None:
        errors: list[Exception] = []
        batcher: Batcher[int, int]

        async def child() -> None:
            try:
                await batcher.flush()
            except RuntimeError as error:
                errors.append(error)

        async def handler(items: list[int]) -> list[int]:
            for call in (batcher.flush, batcher.aclose):
                try:
                    await call()
                except RuntimeError as error:
                    errors.append(error)
            # A task of its own waits for it as well.
            await asyncio.create_task(child())
            return items

        batcher = Batcher(handler, linger=0)
        assert await batcher.submit(1) == 1
        assert not batcher.closed
        messages = [str(error) for error in errors]
        assert messages == [
            f"{what}() of a batcher would wait for the handler that calls it"
            for what in ("flush", "aclose", "flush")
        ]
        assert await batcher.submit(2) == 2
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_handler_may_flush_and_close_another_batcher() -> None:
    async def main() -> None:
        inner = Batcher(echo, linger=100)

        async def handler(items: list[int]) -> list[int]:
            futures = list(map(inner.submit, items))
            await inner.flush()
            await inner.aclose()
            return [future.result() for future in futures]

        async with Batcher(handler, linger=0) as outer:
            assert await asyncio.gather(outer.submit(1), outer.submit(2)) == [1, 2]

    run(main())


def test_task_of_a_handler_may_flush_when_that_has_ended() -> None:
    async def main() -> None:
        tasks: list[Any] = []
        batcher: Batcher[int, int]

        async def later() -> None:
            await asyncio.sleep(1)
            await batcher.flush()

        async def handler(items: list[int]) -> list[int]:
            tasks.append(asyncio.create_task(later()))
            return items

        batcher = Batcher(handler, linger=0)
        await batcher.submit(1)
        await asyncio.sleep(2)
        assert tasks[0].exception() is None
        await batcher.aclose()

    run(main())


def test_close_of_an_unused_batcher() -> None:
    async def main() -> None:
        assert await Batcher(echo).aclose() == (0, 0, 0)

    run(main())


def test_wrong_timeouts_are_refused_without_effect() -> None:
    async def main() -> None:
        batcher = Batcher(echo)
        for wrong, kind in (("1", TypeError), (True, TypeError), (-1, ValueError)):
            with pytest.raises(kind, match="timeout"):
                await batcher.aclose(timeout=wrong)  # type: ignore[arg-type]
        assert not batcher.closed
        await batcher.aclose()

    run(main())
