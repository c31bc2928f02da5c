"""`map_concurrent`: where the items come from, and what becomes of an async iterable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from itertools import count
from typing import Any

import pytest
from tests.loading import settle
from tests.sources import Source, wait
from tests.steps import now, run, tasks_left

from penstock.flow._limiter import Limiter
from penstock.flow._map import ConcurrentMap, map_concurrent


class Oops(Exception):
    """What a source fails with."""


def test_items_of_an_async_generator_are_taken_when_their_calls_can_start() -> None:
    async def main() -> None:
        source = Source(10)
        start = now()
        mapped = asyncio.ensure_future(map_concurrent(wait, source.items(), limit=3))
        await asyncio.sleep(0.5)
        assert source.taken == 3
        await asyncio.sleep(1)
        assert source.taken == 6
        assert await mapped == list(range(10))
        assert now() - start == 4
        assert source.is_closed
        assert len(source.tasks) == 1

    run(main())


@pytest.mark.parametrize("is_async", [True, False])
def test_items_are_taken_no_faster_than_results_are_read(is_async: bool) -> None:
    async def main() -> None:
        source = Source()
        numbers = count()
        items = source.items() if is_async else numbers
        async with map_concurrent(wait, items, limit=3, buffer=1) as mapped:
            for read in range(1, 5):
                assert await anext(mapped) == read - 1
                await asyncio.sleep(100)
                taken = source.taken if is_async else int(repr(numbers)[len("count(") : -1])
                assert taken == read + 3 + 1
        assert source.is_closed is is_async

    run(main())


def test_a_source_that_never_gives_anything_is_left() -> None:
    async def main() -> None:
        source = Source(every=1e9)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await map_concurrent(wait, source.items(), limit=3)
        assert source.is_closed
        source = Source(every=1e9)
        mapped = map_concurrent(wait, source.items(), limit=3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await anext(mapped)
        assert source.is_closed
        assert tasks_left() == 0

    run(main())


def test_a_source_is_closed_when_a_call_fails() -> None:
    async def main() -> None:
        async def fail(item: int) -> int:
            if item == 2:
                raise Oops
            return await wait(item)

        for every in (0.0, 0.1, 1e9):
            source = Source(every=0.0 if every == 1e9 else every)

            async def items(source: Source = source, every: float = every) -> AsyncIterator[int]:
                async for item in source.items():
                    yield item
                    if item == 2:
                        await asyncio.sleep(every)

            with pytest.raises(Oops):
                await map_concurrent(fail, items(), limit=5)
            await settle()
            assert source.is_closed
            assert tasks_left() == 0

    run(main())


@pytest.mark.parametrize("is_async", [True, False])
def test_what_the_source_raises_ends_it_all(is_async: bool) -> None:
    cancelled: list[int] = []

    async def call(item: int) -> int:
        try:
            return await wait(item)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    error = Oops()

    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise error

    async def async_items() -> AsyncIterator[int]:
        for item in items():
            await asyncio.sleep(0)
            yield item

    async def main() -> None:
        with pytest.raises(Oops) as caught:
            await map_concurrent(
                call, async_items() if is_async else items(), limit=10, on_error="skip"
            )
        assert caught.value is error
        # Those of a plain source have not begun.
        assert cancelled == ([1, 2, 3] if is_async else [])
        mapped = map_concurrent(
            call, async_items() if is_async else items(), limit=2, on_error="skip"
        )
        with pytest.raises(Oops):
            async for _ in mapped:
                pass

    run(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("after", [0, 3])
def test_a_source_that_raises_what_is_no_exception(kind: type[BaseException], after: int) -> None:
    def items() -> Iterator[int]:
        yield from range(after)
        raise kind

    async def async_items() -> AsyncIterator[int]:
        for item in items():
            yield item

    async def main(source: Iterator[int] | AsyncIterator[int]) -> None:
        await map_concurrent(wait, source, limit=2, on_error="skip")

    for source in (items(), async_items()):
        with pytest.raises(kind):
            run(main(source))


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("limit", [1, 2, Limiter(2)])
def test_what_a_source_raises_is_raised_wherever_the_item_is_asked_for(
    limit: int | Limiter, on_error: Any
) -> None:
    var: ContextVar[int] = ContextVar("var")

    async def change_context(item: int) -> None:
        var.set(item)
        await wait(item)

    def items() -> Iterator[int]:
        yield from range(4)
        raise Oops

    async def main() -> None:
        for call in (wait, change_context):
            mapped = map_concurrent(call, items(), limit=limit, on_error=on_error)
            with pytest.raises(Oops):
                await mapped
            mapped = map_concurrent(call, items(), limit=limit, on_error=on_error, buffer=0)
            with pytest.raises(Oops):
                await read_slowly(mapped)

    async def read_slowly(mapped: ConcurrentMap[object]) -> None:
        async for _ in mapped:
            await asyncio.sleep(10)

    run(main())


def test_a_source_that_has_ended_is_not_asked_again() -> None:
    class Resuming:
        def __init__(self) -> None:
            self.number = 0

        def __iter__(self) -> Resuming:
            return self

        def __next__(self) -> int:
            self.number += 1
            if self.number == 4:
                raise StopIteration
            return self.number

    async def main() -> None:
        assert await map_concurrent(wait, Resuming(), limit=2) == [1, 2, 3]

    run(main())


def test_what_closing_the_source_raises_is_not_lost() -> None:
    async def items() -> AsyncIterator[int]:
        try:
            for item in count():
                yield item
        finally:
            raise LookupError("while closing")

    async def fail(item: int) -> int:
        raise Oops(item)

    async def main() -> None:
        mapped = map_concurrent(wait, items(), limit=2)
        assert await anext(mapped) == 0
        with pytest.raises(LookupError, match="while closing"):
            await mapped.aclose()
        await mapped.aclose()
        with pytest.raises(Oops):  # what came first
            await map_concurrent(fail, items(), limit=2)
        task = asyncio.ensure_future(map_concurrent(wait, items(), limit=2))
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_source_that_does_not_care_for_cancellation_is_closed() -> None:
    async def main() -> None:
        closed: list[int] = []

        async def items() -> AsyncIterator[int]:
            for item in count():
                try:
                    await asyncio.sleep(0 if item < 2 else 10)
                except asyncio.CancelledError:
                    await asyncio.sleep(2)
                try:
                    yield item
                except GeneratorExit:
                    closed.append(item)
                    raise

        mapped = map_concurrent(wait, items(), limit=5)
        assert await anext(mapped) == 0
        start = now()
        await mapped.aclose()
        assert now() - start == 2
        assert closed == [2]

    run(main())


def test_a_source_may_hold_what_belongs_to_its_task() -> None:
    var: ContextVar[str] = ContextVar("var", default="outside")

    async def items() -> AsyncIterator[int]:
        async with asyncio.timeout(1000):
            token = var.set("inside")
            try:
                for item in range(5):
                    assert var.get() == "inside"
                    yield item
            finally:
                var.reset(token)

    async def read(item: int) -> str:
        await asyncio.sleep(1)
        return var.get()

    async def main() -> None:
        assert await map_concurrent(read, items(), limit=2) == ["outside"] * 5
        async with map_concurrent(read, items(), limit=2) as mapped:
            async for _ in mapped:
                break

    run(main())


def test_an_async_iterator_that_is_no_generator_is_left_open() -> None:
    class Stream:
        def __init__(self) -> None:
            self.number = 0

        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> int:
            self.number += 1
            return self.number

        async def aclose(self) -> None:
            raise AssertionError

    async def main() -> None:
        stream = Stream()
        async with map_concurrent(wait, stream, limit=2, buffer=0) as mapped:
            assert await anext(mapped) == 1
        assert await anext(stream) == 3

    run(main())


def test_an_iterable_that_can_be_read_both_ways_is_read_asynchronously() -> None:
    class Both:
        def __iter__(self) -> Iterator[int]:
            raise AssertionError

        async def __aiter__(self) -> AsyncIterator[int]:
            yield 1

    async def main() -> None:
        assert await map_concurrent(wait, Both(), limit=1) == [1]

    run(main())


def test_a_sequence_of_the_old_kind_will_do() -> None:
    class Old:
        def __getitem__(self, index: int) -> int:
            if index > 2:
                raise IndexError
            return index

    async def main() -> None:
        assert await map_concurrent(wait, Old(), limit=1) == [0, 1, 2]  # type: ignore[arg-type, call-overload]

    run(main())


def test_a_plain_generator_is_not_closed_but_let_go() -> None:
    async def main() -> None:
        numbers = (number for number in count())
        async with map_concurrent(wait, numbers, limit=2, buffer=0) as mapped:
            assert await anext(mapped) == 0  # the next one would be taken at the next step
        assert next(numbers) == 2

    run(main())
