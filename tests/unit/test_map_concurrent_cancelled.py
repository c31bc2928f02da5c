"""`map_concurrent` cancelled before each of its steps: nothing is left, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest
from tests.steps import run, steps_of, tasks_left

from penstock.errors import DeadlineExceeded
from penstock.flow._deadline import deadline
from penstock.flow._limiter import Limiter
from penstock.flow._map import ConcurrentMap, map_concurrent
from penstock.flow._retry import retry


class Oops(Exception):
    """What a call fails with."""


class Scene:
    """A source, a function and a limiter, which know what became of each item."""

    def __init__(self) -> None:
        self.taken = self.started = self.running = self.ended = 0
        self.open_sources = 0
        self.limiter = Limiter(3)

    async def call(self, item: int) -> int:
        self.started += 1
        self.running += 1
        try:
            for _ in range(item % 3):
                await asyncio.sleep(0)
            await asyncio.sleep(item % 2)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            await asyncio.sleep(item % 2)
            raise
        finally:
            self.running -= 1
        self.ended += 1
        return item

    async def fail(self, item: int) -> int:
        await self.call(item)
        if item == 6:
            raise Oops
        return item

    async def items(self) -> AsyncIterator[int]:
        self.open_sources += 1
        try:
            for item in range(9):
                await asyncio.sleep(item % 2)
                self.taken += 1
                yield item
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                self.open_sources -= 1

    def check(self) -> None:
        assert self.running == self.open_sources == 0
        assert (self.limiter.in_use, self.limiter.waiting) == (0, 0)


async def await_it(scene: Scene) -> None:
    assert await map_concurrent(scene.call, range(9), limit=3) == list(range(9))


async def await_it_from_async_items(scene: Scene) -> None:
    assert await map_concurrent(scene.call, scene.items(), limit=3) == list(range(9))


async def await_it_with_a_limiter(scene: Scene) -> None:
    assert await map_concurrent(scene.call, range(9), limit=scene.limiter) == list(range(9))


async def await_it_with_a_limiter_from_async_items(scene: Scene) -> None:
    mapped = map_concurrent(scene.call, scene.items(), limit=scene.limiter, ordered=False)
    assert sorted(await mapped) == list(range(9))


async def await_it_with_retries(scene: Scene) -> None:
    again = retry(2, base=1)
    mapped = map_concurrent(scene.fail, range(9), limit=3, retry=again, on_error="skip")
    assert len(await mapped) == 8


async def await_an_error(scene: Scene) -> None:
    with pytest.raises(Oops):
        await map_concurrent(scene.fail, scene.items(), limit=3)


async def await_a_deadline(scene: Scene) -> None:
    with deadline(2.5), pytest.raises(DeadlineExceeded):
        await map_concurrent(scene.call, scene.items(), limit=2)


async def read_it(scene: Scene) -> None:
    mapped = map_concurrent(scene.call, scene.items(), limit=3, buffer=1)
    assert [item async for item in mapped] == list(range(9))


async def read_it_slowly(scene: Scene) -> None:
    async with map_concurrent(scene.call, range(9), limit=3, buffer=1) as mapped:
        async for _ in mapped:
            await asyncio.sleep(0.5)


async def read_a_part(scene: Scene) -> None:
    async with map_concurrent(scene.call, scene.items(), limit=3, ordered=False) as mapped:
        async for _ in mapped:
            await asyncio.sleep(0)
            if scene.ended > 4:
                break


async def read_all(mapped: ConcurrentMap[int]) -> None:
    async with mapped:
        async for _ in mapped:
            await asyncio.sleep(0)


async def read_an_error(scene: Scene) -> None:
    mapped = map_concurrent(scene.fail, count(), limit=3)
    with pytest.raises(Oops):
        await read_all(mapped)


async def read_a_chain(scene: Scene) -> None:
    first = map_concurrent(scene.call, scene.items(), limit=2)
    second = map_concurrent(scene.call, first, limit=scene.limiter)
    assert [item async for item in second] == list(range(9))


PROGRAMS = [
    await_it,
    await_it_from_async_items,
    await_it_with_a_limiter,
    await_it_with_a_limiter_from_async_items,
    await_it_with_retries,
    await_an_error,
    await_a_deadline,
    read_it,
    read_it_slowly,
    read_a_part,
    read_an_error,
    read_a_chain,
]


@pytest.mark.parametrize("twice", [0, 2])
@pytest.mark.parametrize("program", PROGRAMS)
def test_cancelled_before_any_step(program: Callable[[Scene], Awaitable[None]], twice: int) -> None:
    scenes: list[Scene] = []

    async def once() -> None:
        scenes.append(Scene())
        try:
            await program(scenes[-1])
        finally:
            # Whoever is cancelled goes on when all has ended, and not before.
            scenes[-1].check()
            assert tasks_left() <= 1  # who cancels

    last = -1
    for step, task in steps_of(once, twice=twice):
        last = step
        if not task.cancelled():
            task.result()
    assert last > 10


def test_closed_by_another_task_before_any_step() -> None:
    """As above, but the reader itself is not cancelled: it comes to an end."""

    async def main(step: int) -> bool:
        scene = Scene()
        mapped = map_concurrent(scene.call, scene.items(), limit=3, buffer=1)

        async def read() -> list[int]:
            return [item async for item in mapped]

        reader = asyncio.ensure_future(read())
        for _ in range(step % 10):
            await asyncio.sleep(0)
        await asyncio.sleep(step // 10 * 0.5)
        await mapped.aclose()
        scene.check()
        items = await reader
        assert items == list(range(len(items)))
        return len(items) == 9

    for step in range(200):
        if run(main(step), collect=False):
            break
    else:
        raise AssertionError("the reader never came to the end")


@pytest.mark.parametrize("program", [await_it, await_an_error, read_it, read_a_chain])
def test_a_reader_of_which_no_trace_is_left_before_any_step(
    program: Callable[[Scene], Awaitable[None]],
) -> None:
    """The coroutine is closed, as that of a task is whose loop is gone."""

    async def main(rounds: int) -> bool:
        scene = Scene()
        coroutine = program(scene).__await__()
        future = None
        for _ in range(rounds):
            try:
                future = next(coroutine)
            except StopIteration:
                return True
            while future is not None and not future.done():
                future._asyncio_future_blocking = False
                await asyncio.wait([future])
            if future is None:
                await asyncio.sleep(0)
        coroutine.close()  # type: ignore[attr-defined]
        await asyncio.sleep(100)
        scene.check()
        return False

    for rounds in range(200):
        if run(main(rounds), collect=False):
            break
    else:
        raise AssertionError("the reader never came to the end")
