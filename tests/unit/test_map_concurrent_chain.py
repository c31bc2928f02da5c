"""`map_concurrent` of what another one gives."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import settle
from tests.sources import Source, wait
from tests.steps import run, tasks_left

from penstock.errors import ClosedError
from penstock.flow._map import map_concurrent


def test_maps_can_be_chained() -> None:
    async def main() -> None:
        source = Source()

        async def square(item: int) -> int:
            await asyncio.sleep(0.5)
            return item * item

        waited = map_concurrent(wait, source.items(), limit=4)
        async with map_concurrent(square, waited, limit=2) as squared:
            assert [await anext(squared) for _ in range(5)] == [0, 1, 4, 9, 16]
        assert tasks_left() == 0
        assert source.is_closed
        assert [item async for item in waited] == []

    run(main())


@pytest.mark.parametrize("steps", range(8))
def test_a_chain_that_is_left_at_once_is_closed_to_its_source(steps: int) -> None:
    async def main() -> None:
        source = Source()
        inner = map_concurrent(wait, source.items(), limit=4)
        outer = asyncio.ensure_future(map_concurrent(wait, inner, limit=2))
        await settle(steps)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert source.is_closed or source.taken == 0
        assert tasks_left() == 0
        if steps > 0:  # or nothing has begun
            with pytest.raises(ClosedError):
                await anext(inner)

    run(main())


def test_a_chain_that_is_left_before_its_source_was_asked_is_closed_too() -> None:
    async def main() -> None:
        inner = map_concurrent(wait, Source().items(), limit=4)
        outer = map_concurrent(wait, inner, limit=2)
        reading = outer.__anext__()
        reading.send(None)  # type: ignore[attr-defined]
        await outer.aclose()
        assert [item async for item in inner] == []
        with pytest.raises(StopAsyncIteration):
            reading.send(None)  # type: ignore[attr-defined]

    run(main())


def test_a_chain_whose_end_is_never_read_is_closed_with_it() -> None:
    async def main() -> None:
        inner = map_concurrent(wait, Source().items(), limit=4)
        async with map_concurrent(wait, inner, limit=2):
            pass
        with pytest.raises(RuntimeError, match="used already, by aclose"):
            await inner

    run(main())
