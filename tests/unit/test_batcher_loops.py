"""The event loop of a batcher: bound at the first use, refused in another, replaced when closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced, echo
from tests.loading import settle
from tests.steps import now, run
from tests.threads import spawn

from penstock import BatchCancelled, Batcher, ClosedError, ItemTimeout, WrongEventLoop
from penstock.bench._virtual_loop import VirtualLoop


async def _submit(batcher: Batcher[Any, Any]) -> None:
    await batcher.submit(1)


async def _submit_nowait(batcher: Batcher[Any, Any]) -> None:
    await batcher.submit_nowait(1)


async def _flush(batcher: Batcher[Any, Any]) -> None:
    await batcher.flush()


async def _close(batcher: Batcher[Any, Any]) -> None:
    await batcher.aclose()


async def _enter(batcher: Batcher[Any, Any]) -> None:
    async with batcher:
        pass


async def _put(batcher: Batcher[Any, Any]) -> None:
    batcher.put_nowait(1)
    await settle()


USES: list[Callable[[Batcher[Any, Any]], Coroutine[Any, Any, None]]] = [
    _submit,
    _submit_nowait,
    _flush,
    _close,
    _enter,
    _put,
]


@pytest.mark.parametrize("use", USES)
def test_first_use_binds(use: Any) -> None:
    async def main() -> None:
        batcher: Batcher[Any, Any] = Batcher(echo, linger=0)
        assert batcher._loop is None
        await use(batcher)
        assert batcher._loop is asyncio.get_running_loop()
        await batcher.aclose()

    run(main())


@pytest.mark.parametrize("use", [use for use in USES if use is not _put])
def test_use_in_another_loop_is_refused(use: Any) -> None:
    async def main() -> None:
        batcher: Batcher[Any, Any] = Batcher(echo, linger=0)
        await batcher.submit(0)
        error = spawn(lambda: asyncio.run(use(batcher))).wait().error
        assert isinstance(error, WrongEventLoop)
        assert "bound to another event loop: use submit_threadsafe()" in str(error)
        # It has no effect.
        assert await batcher.submit(1) == 1
        await batcher.aclose()

    run(main())


def test_put_and_submit_threadsafe_work_in_another_loop() -> None:
    async def main() -> None:
        handler = Handler()
        batcher = Batcher(handler, linger=0)
        await batcher.flush()
        loop = asyncio.get_running_loop()

        async def elsewhere() -> int:
            batcher.put_nowait(1)
            return await asyncio.wrap_future(batcher.submit_threadsafe(2))

        assert await loop.run_in_executor(None, asyncio.run, elsewhere()) == 4
        await batcher.aclose()
        assert handler.items == [1, 2]
        assert_balanced(batcher)

    asyncio.run(main())


def test_batcher_of_a_module_works_in_one_loop_after_the_other() -> None:
    batcher = Batcher(echo, linger=0, item_timeout=5)

    async def main() -> list[int]:
        return await asyncio.gather(*map(batcher.submit, range(3)))

    for _ in range(3):
        assert run(main()) == [0, 1, 2]
    assert_balanced(batcher)
    assert batcher.stats().completed == 9


def closed_with(items: Callable[[], object], *, steps: int = 0) -> None:
    """Use a batcher in a loop that is closed without another word."""

    async def main() -> object:
        kept = items()
        await settle(steps)
        return kept

    loop = VirtualLoop()
    try:
        loop.run_until_complete(main())
    finally:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()


def test_items_of_a_closed_loop_are_dropped_and_others_are_kept_in_order() -> None:
    handler = Handler()
    batcher = Batcher(handler, linger=10)
    threaded: list[Any] = []

    def items() -> object:
        batcher.put_nowait(1)
        gone = batcher.submit(2)
        threaded.append(spawn(batcher.submit_threadsafe, 3).result())
        batcher.put_nowait(4)
        return gone

    closed_with(items)
    assert not threaded[0].done()

    async def main() -> None:
        assert await batcher.submit(5) == 10
        assert threaded[0].result(0) == 6
        assert handler.batches == [[1, 3, 4, 5]]
        assert batcher.stats().cancelled == 1
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())
    assert batcher.stats().submitted == 5


def test_item_of_a_thread_has_its_time_anew_in_the_next_loop() -> None:
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0, max_items=1, item_timeout=5)
    threaded: list[Any] = []

    def items() -> object:
        batcher.put_nowait(0)
        threaded.append(batcher.submit_threadsafe(1))
        return batcher.submit(2)

    closed_with(items, steps=5)

    async def main() -> None:
        batcher.put_nowait(4)
        start = now()
        with pytest.raises(ItemTimeout):
            await asyncio.wrap_future(threaded[0])
        assert now() == pytest.approx(start + 5)
        await batcher.aclose(drain=False)
        assert_balanced(batcher)

    run(main())


def test_threads_are_told_that_the_loop_is_closed() -> None:
    batcher = Batcher(Handler(), name="rows")
    closed_with(lambda: batcher.submit(1))
    with pytest.raises(RuntimeError, match="the event loop of rows is closed"):
        batcher.submit_threadsafe(2)
    batcher.put_nowait(3)  # for the next loop

    async def main() -> None:
        await batcher.aclose()
        assert batcher.stats().completed == 1
        assert_balanced(batcher)

    run(main())


def test_batch_that_runs_when_its_loop_is_closed_is_given_up() -> None:
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0)
    threaded: list[Any] = []

    def items() -> object:
        threaded.append(batcher.submit_threadsafe(1))
        batcher.put_nowait(2)
        return batcher.submit(3)

    closed_with(items, steps=5)
    assert handler.batches == [[1, 2, 3]]

    async def main() -> None:
        handler.held = False
        assert await batcher.submit(4) == 8
        with pytest.raises(BatchCancelled, match="event loop of the handler was closed"):
            threaded[0].result(0)
        stats = batcher.stats()
        assert (stats.completed, stats.failed, stats.discarded) == (1, 2, 1)
        await batcher.aclose()
        assert_balanced(batcher)

    asyncio.run(main())


def test_end_of_asyncio_run_resolves_what_runs_and_keeps_what_was_put() -> None:
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0)
    reports: list[Any] = []
    waiting: list[Any] = []

    async def first() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, each: reports.append(each))
        waiting.append(batcher.submit(1))
        await settle()
        batcher.put_nowait(2)

    asyncio.run(first())
    assert isinstance(waiting[0].exception(), BatchCancelled)
    assert handler.batches == [[1]]
    assert reports == []

    async def second() -> None:
        handler.held = False
        await batcher.aclose()
        assert_balanced(batcher)

    run(second())
    assert handler.batches == [[1], [2]]


def test_closing_that_ended_with_its_loop_can_be_asked_for_again() -> None:
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0)
    futures: list[Any] = []

    async def first() -> None:
        futures.append(batcher.submit(1))
        futures.append(batcher.submit_threadsafe(2))
        asyncio.get_running_loop().create_task(batcher.aclose())
        await settle()

    asyncio.run(first())
    for future in futures:
        assert isinstance(future.exception(), BatchCancelled | ClosedError)

    async def second() -> None:
        assert (await batcher.aclose()) == (0, 0, 0)
        with pytest.raises(ClosedError):
            batcher.submit(1)
        assert_balanced(batcher)

    run(second())


def test_closing_in_a_loop_that_is_closed_fails_what_is_left() -> None:
    batcher = Batcher(Handler(held=True), linger=0, max_items=1)
    futures: list[Any] = []

    async def first() -> None:
        futures.extend([batcher.submit_threadsafe(1), batcher.submit_threadsafe(2)])
        batcher.put_nowait(3)
        asyncio.get_running_loop().create_task(batcher.aclose())
        await settle()

    loop = VirtualLoop()
    loop.run_until_complete(first())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    assert [future.done() for future in futures] == [False, False]

    async def second() -> None:
        assert (await batcher.aclose()) == (0, 0, 0)
        assert_balanced(batcher)

    asyncio.run(second())
    assert isinstance(futures[0].exception(0), BatchCancelled)
    assert isinstance(futures[1].exception(0), ClosedError)


def test_put_after_a_run_that_was_cut_short_is_enough() -> None:
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0)

    async def first() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        batcher.put_nowait(1)
        await settle()
        batcher.put_nowait(2)

    async def second() -> None:
        handler.held = False
        batcher.put_nowait(3)
        await settle()
        assert handler.batches == [[1], [2, 3]]
        await batcher.aclose()
        assert_balanced(batcher)

    asyncio.run(first())
    run(second())


@pytest.mark.parametrize("held", [False, True])
def test_put_in_a_new_loop_is_enough(held: bool) -> None:
    handler = Handler(held=held)
    batcher = Batcher(handler, linger=0 if held else 10)
    closed_with(lambda: batcher.put_nowait(1), steps=5)

    async def main() -> None:
        handler.held = False
        batcher.put_nowait(2)
        await asyncio.sleep(20)
        assert handler.batches == ([[1], [2]] if held else [[1, 2]])
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())
