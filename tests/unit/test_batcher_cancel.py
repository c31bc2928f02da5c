"""Cancelled at any step, whoever waits for a batcher leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced
from tests.loading import settle
from tests.steps import steps_of

from penstock import Batcher, ClosedError, deadline

#: Steps after the first time that a caller is cancelled again, 0 for not at all.
TWICE = [0, 1, 2, 3]


def ended(task: asyncio.Task[Any]) -> str:
    """How a task has ended."""
    return "cancelled" if task.cancelled() else type(task.exception()).__name__


class SlowHandler(Handler):
    """Takes some steps."""

    async def __call__(self, items: list[Any]) -> list[Any]:
        await settle(3)
        return await super().__call__(items)


async def settled(batcher: Batcher[Any, Any]) -> None:
    """Close a batcher, and look at the books."""
    await batcher.aclose()
    assert_balanced(batcher)


@pytest.mark.parametrize("twice", TWICE)
@pytest.mark.parametrize("options", [{"linger": 0}, {"linger": 0.01}, {"item_timeout": 5}])
def test_submit_cancelled_at_any_step(twice: int, options: dict[str, Any]) -> None:
    outcomes: Counter[str] = Counter()

    async def program() -> str:
        handler = SlowHandler()
        batcher = Batcher(handler, **options)
        other = batcher.submit(1)
        state = "cancelled"
        try:
            with deadline(9):
                assert await batcher.submit(2) == 4
            state = "returned"
        finally:
            outcomes[state] += 1
            closing = asyncio.ensure_future(settled(batcher))
            while not closing.done():
                try:
                    await asyncio.shield(closing)
                except asyncio.CancelledError:
                    state = "cancelled"
            closing.result()
            assert await other == 2
            assert handler.batches in ([[1, 2]], [[1]])
        if state == "cancelled":
            raise asyncio.CancelledError
        return state

    ends = {ended(task) for _, task in steps_of(program, twice=twice)}
    assert ends == {"cancelled", "NoneType"}
    assert outcomes["cancelled"] > 2


@pytest.mark.parametrize("twice", TWICE)
def test_only_waiter_cancelled_at_any_step(twice: int) -> None:
    seen: Counter[str] = Counter()

    async def program() -> None:
        handler = SlowHandler()
        batcher = Batcher(handler, linger=0)
        try:
            await batcher.submit(1)
        finally:
            closing = asyncio.ensure_future(settled(batcher))
            while not closing.done():
                try:
                    await asyncio.shield(closing)
                except asyncio.CancelledError:
                    continue
            stats = batcher.stats()
            seen["completed"] += stats.completed
            seen["discarded"] += stats.discarded
            seen["cancelled"] += stats.cancelled
            assert stats.submitted == 1

    assert list(steps_of(program, twice=twice))
    assert set(seen) == {"completed", "discarded", "cancelled"}
    assert min(seen.values()) > 0


@pytest.mark.parametrize("twice", TWICE)
@pytest.mark.parametrize("is_limited", [False, True])
def test_flush_cancelled_at_any_step(twice: int, is_limited: bool) -> None:
    async def program() -> None:
        handler = SlowHandler()
        batcher = Batcher(handler, linger=100, max_items=2)
        futures = list(map(batcher.submit, range(5)))
        try:
            await asyncio.sleep(0)
            if is_limited:
                with deadline(50):
                    await batcher.flush()
            else:
                await batcher.flush()
            assert all(future.done() for future in futures)
        finally:
            # What was dispatched goes on without the one who asked for it.
            results = asyncio.gather(*futures)
            closing = asyncio.ensure_future(settled(batcher))
            while not closing.done() or not results.done():
                try:
                    await asyncio.shield(asyncio.gather(closing, results))
                except asyncio.CancelledError:
                    continue
            assert results.result() == [0, 2, 4, 6, 8]
            assert handler.batches == [[0, 1], [2, 3], [4]]
            assert batcher._pump._waiters == []

    ends = {ended(task) for _, task in steps_of(program, twice=twice)}
    assert ends == {"cancelled", "NoneType"}


@pytest.mark.parametrize("twice", TWICE)
@pytest.mark.parametrize("drain", [True, False])
def test_close_cancelled_at_any_step_goes_on(twice: int, drain: bool) -> None:
    async def program() -> None:
        handler = SlowHandler()
        batcher = Batcher(handler, linger=100, max_items=2)
        futures = list(map(batcher.submit, range(5)))
        was_asked = False
        try:
            await asyncio.sleep(0)
            was_asked = True
            await batcher.aclose(drain=drain)
        finally:
            if batcher.closed:
                while not all(future.done() for future in futures) or batcher.stats().in_flight:
                    try:
                        await asyncio.sleep(1)
                    except asyncio.CancelledError:
                        continue
            again = asyncio.ensure_future(batcher.aclose(drain=drain))
            while not again.done():
                try:
                    await asyncio.shield(again)
                except asyncio.CancelledError:
                    continue
            assert sum(again.result()) == 5
            if drain:
                assert [future.result() for future in futures] == [0, 2, 4, 6, 8]
            elif was_asked:
                assert {type(future.exception()) for future in futures} == {ClosedError}
            assert_balanced(batcher)

    ends = {ended(task) for _, task in steps_of(program, twice=twice)}
    assert ends == {"cancelled", "NoneType"}


@pytest.mark.parametrize("twice", TWICE)
def test_block_cancelled_at_any_step_drains(twice: int) -> None:
    async def program() -> None:
        handler = SlowHandler()
        batcher = Batcher(handler, linger=100)
        putting = False
        try:
            async with batcher:
                putting = True
                batcher.put_nowait(1)
                await settle(3)
        finally:
            while putting and (batcher.pending or batcher.stats().in_flight):
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    continue
            assert handler.batches == ([[1]] if putting else [])
            assert batcher.closed is putting
            assert_balanced(batcher)

    ends = {ended(task) for _, task in steps_of(program, twice=twice)}
    assert ends == {"cancelled", "NoneType"}
