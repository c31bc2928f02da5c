"""`Loader`: who is cancelled, when, and who else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from tests.keyed import HeldSource, Oops, Source
from tests.loading import settle
from tests.steps import now, run, steps_of, tasks_left

from penstock import Loader

# who is cancelled


def test_cancelling_one_load_cancels_nobody_else() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        futures = [loader.load(1) for _ in range(3)]
        futures[0].cancel()
        await settle()
        futures[1].cancel()
        await settle()
        assert source.cancelled == []
        source.release(1)
        assert await futures[2] == "1 1"
        assert await loader.load(1) == "1 1"

    run(main())


def test_a_key_that_nobody_waits_for_is_not_loaded() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        futures = [loader.load(1), loader.load(2), loader.load(1)]
        futures[0].cancel()
        futures[2].cancel()
        assert await futures[1] == "value of 2"
        assert source.calls == [[2]]
        assert loader.stats().abandoned == 1
        assert await loader.load(1) == "value of 1"

    run(main())


def test_no_call_is_made_for_nobody() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        futures = [loader.load(1), loader.load(2)]
        for future in futures:
            future.cancel()
        await settle()
        assert source.calls == []
        stats = loader.stats()
        assert (stats.calls, stats.abandoned, stats.pending) == (0, 2, 0)

    run(main())


def test_a_key_that_was_cleared_and_that_nobody_waits_for_is_forgotten() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        loader.load(1).cancel()
        loader.clear(1)
        await settle()
        assert source.calls == []
        assert await asyncio.wait_for(loader.load(1), 5) == "value of 1"

    run(main())


def test_whoever_comes_before_the_call_revives_a_key() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        loader.load(1).cancel()
        assert await loader.load(1) == "value of 1"
        assert source.calls == [[1]]

    run(main())


@pytest.mark.parametrize("backwards", [False, True])
def test_a_call_is_cancelled_when_the_last_who_waits_is_gone(backwards: bool) -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        futures = [loader.load(key) for key in (1, 2, 1, 3, 1)]
        await settle()
        if backwards:
            futures.reverse()
        for future in futures:
            assert source.cancelled == []
            future.cancel()
            await settle()
        assert source.cancelled == [1]
        stats = loader.stats()
        assert (stats.abandoned, stats.loading, stats.in_flight) == (3, 0, 0)

    run(main())


def test_the_next_call_does_not_wait_for_longer_than_the_one_that_was_cancelled() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source, max_concurrency=1)
        first = loader.load(1)
        await settle()
        second = loader.load(2)
        begin = now()
        first.cancel()
        await settle()
        assert source.calls == [[1], [2]]
        assert now() == begin
        source.release(2)
        assert await second == "2 2"

    run(main())


def test_whoever_joins_late_keeps_a_call_alive() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        first, second = loader.load(1), loader.load(2)
        await settle()
        first.cancel()
        await settle()
        late = loader.load(1)
        second.cancel()
        await settle()
        assert source.cancelled == []
        source.release(1)
        assert await late == "1 1"

    run(main())


def test_whoever_comes_while_a_call_is_being_cancelled_begins_anew() -> None:
    async def main() -> None:
        entered: list[list[int]] = []

        async def load_many(keys: list[int]) -> list[int]:
            entered.append(keys)
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(5)
                raise
            return keys

        loader = Loader(load_many)
        first = loader.load(1)
        await settle()
        first.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        begin = now()
        assert await loader.load(1) == 1
        assert now() - begin == pytest.approx(10, abs=0.01)
        assert entered == [[1], [1]]
        await asyncio.sleep(10)

    run(main())


def test_a_call_that_does_not_care_for_cancellation_harms_nobody() -> None:
    async def main() -> None:
        async def load_many(keys: list[int]) -> list[int]:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(10)
            return keys

        loader = Loader(load_many)
        first = loader.load(1)
        await settle()
        first.cancel()
        await settle()
        stats = loader.stats()
        assert (stats.abandoned, stats.loaded, stats.in_flight) == (1, 0, 0)
        begin = now()
        assert await loader.load(1) == 1
        assert now() - begin == pytest.approx(10, abs=0.01)

    run(main())


def test_a_call_that_fails_when_it_is_cancelled_complains_to_nobody() -> None:
    async def main() -> None:
        async def load_many(keys: list[int]) -> list[int]:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise Oops from None
            return keys

        loader = Loader(load_many)
        first = loader.load(1)
        await settle()
        first.cancel()
        await settle()
        stats = loader.stats()
        assert (stats.abandoned, stats.failed, stats.in_flight) == (1, 0, 0)

    run(main())


def test_thousands_who_leave_one_by_one_are_soon_gone() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        futures = [loader.load(n % 1_000) for n in range(4_000)]
        await settle()
        for future in futures:
            future.cancel()
            await asyncio.sleep(0)
        await settle()
        assert source.cancelled == [1]

    run(main())


def test_load_many_that_is_cancelled_waits_for_nothing_any_more() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        task = asyncio.ensure_future(loader.load_many([1, 2, 3]))
        other = loader.load(2)
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await settle()
        assert source.cancelled == []
        other.cancel()
        await settle()
        assert source.cancelled == [1]

    run(main())


# cancelled at each step


class Scene:
    """A loader whose calls take several steps, and somebody else who uses it."""

    def __init__(self, **options: object) -> None:
        self.running = 0
        self.loader: Loader[int, int] = Loader(self.load_many, **options)  # type: ignore[arg-type]

    async def load_many(self, keys: list[int]) -> list[int]:
        self.running += 1
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(1)
            if 13 in keys:
                raise Oops
            return [key * 2 for key in keys]
        finally:
            self.running -= 1


async def load_one(scene: Scene) -> None:
    assert await scene.loader.load(1) == 2


async def load_several(scene: Scene) -> None:
    assert await scene.loader.load_many([3, 1, 2]) == [6, 2, 4]


async def load_what_fails(scene: Scene) -> None:
    with pytest.raises(Oops):
        await scene.loader.load_many([13, 1])


async def load_and_close(scene: Scene) -> None:
    async with scene.loader:
        future = scene.loader.load(1)
    assert await future == 2


@pytest.mark.parametrize("twice", [0, 1, 3])
@pytest.mark.parametrize("program", [load_one, load_several, load_what_fails, load_and_close])
@pytest.mark.parametrize("options", [{}, {"max_items": 1, "max_concurrency": 1}, {"linger": 0.5}])
def test_cancelled_before_any_step(
    program: Callable[[Scene], Awaitable[None]], options: dict[str, object], twice: int
) -> None:
    async def once() -> None:
        scene = Scene(**options)
        loader = scene.loader
        other = asyncio.ensure_future(loader.load_many([1, 4])) if program is load_one else None
        try:
            await program(scene)
        finally:
            rest = asyncio.ensure_future(asyncio.sleep(10))
            while not rest.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(rest)
            if other is not None:
                assert other.result() == [2, 8]  # whoever else was cancelled
            assert scene.running == 0
            stats = loader.stats()
            assert (stats.pending, stats.loading, stats.in_flight) == (0, 0, 0)
            assert stats.misses == stats.loaded + stats.failed + stats.abandoned
            assert tasks_left() <= 1  # who cancels

    for _, task in steps_of(once, twice=twice):
        if not task.cancelled():
            task.result()


def test_the_closing_goes_on_when_who_waits_for_it_is_cancelled() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        loading = loader.load(1)
        await settle()
        closing = asyncio.ensure_future(loader.aclose())
        await settle()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert loader.closed
        again = asyncio.ensure_future(loader.aclose())
        await settle()
        assert not again.done()
        source.release(1)
        await again
        assert await loading == "1 1"

    run(main())
