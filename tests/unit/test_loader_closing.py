"""`Loader`: what becomes of its loads when it is closed, in time, at once or from inside."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from tests.keyed import HeldSource, Oops, Source
from tests.loading import settle
from tests.steps import run

from penstock import Loader
from penstock.errors import ClosedError

# closed


def test_a_closed_loader_loads_what_it_was_asked_for_and_nothing_more() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        running = loader.load(1)
        await settle()
        waiting = loader.load(2)
        assert not loader.closed
        closing = asyncio.ensure_future(loader.aclose())
        await settle()
        assert loader.closed
        assert not closing.done()
        with pytest.raises(ClosedError, match="the Loader is closed"):
            loader.load(3)
        source.release(1)
        source.release(2)
        await closing
        assert (await running, await waiting) == ("1 1", "2 2")
        assert await loader.load(1) == "1 1"  # it is there
        await loader.aclose()

    run(main())


def test_a_loader_that_is_closed_at_once_tells_all_who_wait() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        running = loader.load(1)
        await settle()
        futures = [running, loader.load(2), loader.load(3)]
        loader.clear(3)
        await loader.aclose(drain=False)
        for future in futures:
            with pytest.raises(ClosedError):
                await future
        assert source.cancelled == [1]
        assert source.calls == [[1]]
        stats = loader.stats()
        assert (stats.misses, stats.pending, stats.loading, stats.in_flight) == (3, 0, 0, 0)
        assert stats.failed + stats.abandoned == 3

    run(main())


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("options", [{}, {"max_concurrency": 1}, {"linger": 1}])
def test_it_may_be_closed_at_once_at_any_step(steps: int, options: dict[str, Any]) -> None:
    async def main() -> None:
        loader = Loader(HeldSource(), **options)
        futures = [loader.load(1), loader.load(2)]
        await settle(steps)
        loader.clear(2)
        await loader.aclose(drain=False)
        for future in futures:
            with pytest.raises(ClosedError):
                await future
        await settle()
        stats = loader.stats()
        assert (stats.misses, stats.pending, stats.loading, stats.in_flight) == (2, 0, 0, 0)
        assert stats.failed + stats.abandoned == 2

    run(main())


def test_a_closing_that_takes_too_long_can_be_hurried() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        loading = loader.load(1)
        await settle()
        closing = asyncio.ensure_future(loader.aclose(timeout=None))
        await settle()
        await loader.aclose(drain=False)
        await closing
        with pytest.raises(ClosedError):
            await loading

    run(main())


@pytest.mark.parametrize("timeout", [-1, "1", float("nan")])
def test_a_wrong_timeout_closes_nothing(timeout: Any) -> None:
    async def main() -> None:
        loader = Loader(Source())
        with pytest.raises((TypeError, ValueError), match="timeout"):
            await loader.aclose(timeout=timeout)
        assert not loader.closed
        assert await loader.load(1) == "value of 1"

    run(main())


def test_what_is_not_loaded_in_time_is_told_so() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source, max_concurrency=1)
        running = loader.load(1)
        await settle()
        waiting = loader.load(2)
        await loader.aclose(timeout=0.5)
        for future in (running, waiting):
            with pytest.raises(ClosedError):
                await future
        assert source.calls == [[1]]

    run(main())


def test_the_end_of_a_block_closes() -> None:
    async def main() -> None:
        source = Source()
        with suppress(Oops):
            async with Loader(source) as loader:
                future = loader.load(1)
                raise Oops
        assert loader.closed
        assert future.result() == "value of 1"

    run(main())


def test_a_call_cannot_close_its_loader() -> None:
    async def main() -> None:
        async def load_many(keys: list[int]) -> list[int]:
            with pytest.raises(RuntimeError, match="would wait for the handler that calls it"):
                await loader.aclose()
            return keys

        loader: Loader[int, int] = Loader(load_many)
        assert await loader.load(1) == 1
        assert not loader.closed
        assert await loader.load(2) == 2

    run(main())
