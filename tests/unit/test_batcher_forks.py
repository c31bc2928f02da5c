"""Batchers and loaders in a forked process: what was begun is the parent's."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from tests.batches import Handler, assert_balanced, echo
from tests.forks import in_child
from tests.keyed import HeldSource
from tests.loading import settle

from penstock import Batcher, ClosedError, Loader, batched

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def begun(main: Any) -> asyncio.AbstractEventLoop:
    """A loop that has run for a while, and may go on."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    return loop


def test_child_begins_anew_and_the_parent_goes_on() -> None:
    handler = Handler(held=True)
    batcher = Batcher(handler, linger=0, max_items=2, item_timeout=60)
    futures: list[Any] = []

    async def first() -> None:
        futures.extend([batcher.submit(1), batcher.submit_threadsafe(2), batcher.submit(3)])
        batcher.put_nowait(4)
        await settle()
        assert handler.batches == [[1, 2]]

    async def child() -> None:
        handler.held = False
        threaded = asyncio.wrap_future(batcher.submit_threadsafe(11))
        batcher.put_nowait(12)
        assert await threaded == 22
        assert await batcher.submit(13) == 26
        await batcher.flush()
        assert handler.batches == [[1, 2], [11, 12], [13]]
        assert batcher.stats().submitted == 3
        assert await batcher.aclose() == (0, 0, 0)
        assert_balanced(batcher)
        assert not any(future.done() for future in futures)

    async def parent() -> None:
        handler.release()
        await batcher.aclose()
        assert handler.batches == [[1, 2], [3, 4]]
        assert [future.result() for future in futures] == [2, 4, 6]
        assert_balanced(batcher)

    loop = begun(first)
    assert in_child(lambda: asyncio.run(child()))
    loop.run_until_complete(parent())
    loop.close()


def test_what_is_put_in_the_child_is_handled_even_before_it_has_a_loop() -> None:
    handler = Handler()
    batcher = Batcher(handler, linger=0)

    async def child() -> None:
        await settle()
        batcher.put_nowait(2)
        await batcher.flush()
        assert handler.items == [0, 1, 2]

    def work() -> None:
        batcher.put_nowait(1)
        asyncio.run(child())

    async def first() -> None:
        await batcher.submit(0)

    loop = begun(first)
    assert in_child(work)
    loop.run_until_complete(batcher.aclose())
    loop.close()
    assert handler.items == [0]


def test_closed_is_closed_in_the_child_too() -> None:
    batcher = Batcher(Handler(held=True), linger=0)

    async def first() -> None:
        batcher.put_nowait(1)
        await settle()
        asyncio.get_running_loop().create_task(batcher.aclose())
        await settle()

    async def child() -> None:
        with pytest.raises(ClosedError):
            batcher.submit(2)
        assert await batcher.aclose() == (0, 0, 0)

    async def parent() -> None:
        await batcher.aclose(drain=False)

    loop = begun(first)
    assert in_child(lambda: asyncio.run(child()))
    loop.run_until_complete(parent())
    loop.close()


def test_batched_method_works_in_the_child() -> None:
    class Service:
        @batched(linger=0)
        async def same(self, numbers: list[int]) -> list[int]:
            return numbers

    service = Service()

    async def use() -> None:
        assert await service.same(1) == 1
        assert await asyncio.gather(service.same(2), service.same(3)) == [2, 3]

    loop = begun(use)
    assert in_child(lambda: asyncio.run(use()))
    loop.close()


def test_batcher_whose_loop_is_closed_is_left_as_it_is() -> None:
    batcher = Batcher(echo, linger=0)

    async def use() -> None:
        await batcher.submit(1)

    asyncio.run(use())

    async def child() -> None:
        await batcher.submit(2)
        assert batcher.stats().completed == 2

    assert in_child(lambda: asyncio.run(child()))


def test_loader_loads_in_the_child_what_the_parent_is_loading() -> None:
    source = HeldSource()
    loader = Loader(source)
    futures: list[Any] = []

    async def first() -> None:
        futures.append(loader.load(1))
        await settle()
        futures.append(loader.load(2))

    async def child() -> None:
        loads = [loader.load(key) for key in (1, 2, 3)]
        await settle()
        source.release(2)
        assert await asyncio.gather(*loads) == ["1 2", "2 2", "3 2"]
        stats = loader.stats()
        assert (stats.pending, stats.loading, stats.in_flight) == (0, 0, 0)
        assert stats.misses == stats.loaded + stats.failed + stats.abandoned
        await loader.aclose()

    async def parent() -> None:
        await settle()
        source.release(1)
        source.release(2)
        assert await asyncio.gather(*futures) == ["1 1", "2 2"]
        await loader.aclose()

    loop = begun(first)
    assert in_child(lambda: asyncio.run(child()))
    loop.run_until_complete(parent())
    loop.close()
