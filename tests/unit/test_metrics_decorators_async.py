"""Decorated coroutines and generators: their run is measured, not the call that makes them."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING
from unittest.mock import AsyncMock

import pytest
from tests.loading import settle
from tests.measures import Measures

from penstock import cached

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator


@pytest.fixture
def measures() -> Measures:
    return Measures()


class TestCoroutines:
    """The await is measured, not the call."""

    def test_await_is_measured(self, measures: Measures) -> None:
        @measures.all
        async def work(result: str) -> str:
            measures.clock.advance(1)
            await asyncio.sleep(0)
            assert measures.seen() == (0, 0, 0, 1)
            measures.clock.advance(2)
            return result

        async def main() -> None:
            coroutine = work("done")
            assert measures.seen() == (0, 0, 0, 0)
            assert await coroutine == "done"

        asyncio.run(main())
        assert measures.seen() == (1, 3, 0, 0)

    def test_failed_await_is_measured(self, measures: Measures) -> None:
        @measures.all
        async def work() -> None:
            await asyncio.sleep(0)
            measures.clock.advance(1)
            raise ValueError("counted")

        with pytest.raises(ValueError, match="counted"):
            asyncio.run(work())
        assert measures.seen() == (1, 1, 1, 0)

    @pytest.mark.parametrize("steps", range(4))
    def test_cancelled_await_is_measured_until_then(self, measures: Measures, steps: int) -> None:
        @measures.all
        async def work() -> None:
            measures.clock.advance(1)
            await asyncio.sleep(0)
            measures.clock.advance(1)
            await asyncio.Event().wait()

        async def main() -> None:
            task = asyncio.ensure_future(work())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        # Cancelled before its first step it never ran.
        assert measures.seen() == ((0, 0, 0, 0) if steps == 0 else (1, min(steps, 2), 0, 0))

    def test_awaits_at_the_same_time_share_nothing(self, measures: Measures) -> None:
        @measures.all
        async def work(event: asyncio.Event) -> None:
            await event.wait()

        async def main() -> None:
            events = [asyncio.Event() for _ in range(3)]
            tasks = [asyncio.ensure_future(work(event)) for event in events]
            await settle()
            assert measures.seen() == (0, 0, 0, 3)
            for event, task in zip(events, tasks, strict=True):
                measures.clock.advance(1)
                event.set()
                await task

        asyncio.run(main())
        assert measures.seen() == (3, 1 + 2 + 3, 0, 0)

    def test_whatever_returns_a_coroutine_by_its_own_account(self, measures: Measures) -> None:
        class Work:
            async def __call__(self) -> int:
                await asyncio.sleep(0)
                measures.clock.advance(1)
                return 5

            async def method(self) -> int:
                return await self()

        class Compiled:
            _is_coroutine = object()

            def __call__(self) -> Awaitable[int]:
                return Work()()

        async def main() -> None:
            functions: list[Callable[..., Awaitable[int]]] = [
                Compiled(),
                Work(),
                Work().method,
                functools.partial(Work.method, Work()),
                functools.partial(Work()),
                AsyncMock(return_value=5),
                cached(Work().method),
                measures.duration.time()(Work().method),
            ]
            for function in functions:
                measured = measures.all(function)
                assert inspect.iscoroutinefunction(measured), function
                assert await measured() == 5

        asyncio.run(main())
        # One is measured twice, and the mock takes no time.
        assert measures.seen() == (9, 8, 0, 0)

    def test_cached_coroutine_function_is_measured_at_every_await(self, measures: Measures) -> None:
        @measures.all
        @cached
        async def work(number: int) -> int:
            await asyncio.sleep(0)
            measures.clock.advance(number)
            return number

        async def main() -> list[int]:
            return [await work(1), await work(1), *await asyncio.gather(work(5), work(5))]

        assert asyncio.run(main()) == [1, 1, 5, 5]
        assert measures.seen() == (4, 1 + 0 + 5 + 5, 0, 0)


class TestGenerators:
    """Their whole life is measured, from the first step to the end."""

    def test_generator_is_measured_from_its_first_step_to_its_end(self, measures: Measures) -> None:
        @measures.all
        def count(to: int) -> Generator[int, str, str]:
            sent = ""
            for number in range(to):
                measures.clock.advance(1)
                sent += yield number
            return sent

        generator = count(2)
        measures.clock.advance(100)
        assert measures.seen() == (0, 0, 0, 0)
        assert next(generator) == 0
        assert measures.seen() == (0, 0, 0, 1)
        assert generator.send("a") == 1
        with pytest.raises(StopIteration) as stop:
            generator.send("b")
        assert stop.value.value == "ab"
        assert measures.seen() == (1, 2, 0, 0)

    def test_error_thrown_into_a_generator_reaches_it(self, measures: Measures) -> None:
        @measures.all
        def swallow() -> Generator[str, None, None]:
            with pytest.raises(KeyError):
                yield "first"
            yield "second"

        generator = swallow()
        assert next(generator) == "first"
        assert generator.throw(KeyError()) == "second"
        with pytest.raises(ValueError, match="counted"):
            generator.throw(ValueError("counted"))
        assert measures.seen() == (1, 0, 1, 0)

    @pytest.mark.parametrize("close", [lambda generator: generator.close(), lambda _: None])
    def test_closed_or_forgotten_generator_has_ended(
        self, measures: Measures, close: Callable[[object], None]
    ) -> None:
        @measures.all
        def endless() -> Generator[int, None, None]:
            while True:
                yield 1

        generator = endless()
        next(generator)
        measures.clock.advance(3)
        close(generator)
        del generator
        assert measures.seen() == (1, 3, 0, 0)


class TestAsyncGenerators:
    """Like generators."""

    def test_it_is_measured_from_its_first_step_to_its_end(self, measures: Measures) -> None:
        @measures.all
        async def count(to: int) -> AsyncGenerator[int, None]:
            for number in range(to):
                measures.clock.advance(1)
                await asyncio.sleep(0)
                yield number

        async def main() -> None:
            generator = count(3)
            measures.clock.advance(100)
            assert [number async for number in generator] == [0, 1, 2]
            assert measures.seen() == (1, 3, 0, 0)
            assert [number async for number in generator] == []

        asyncio.run(main())
        assert measures.seen() == (1, 3, 0, 0)

    def test_what_is_sent_and_thrown_into_it_reaches_it(self, measures: Measures) -> None:
        @measures.all
        async def echo() -> AsyncGenerator[object, object]:
            received: object = None
            while True:
                try:
                    received = yield received
                except KeyError as error:
                    await asyncio.sleep(0)
                    received = error

        async def main() -> None:
            generator, error = echo(), KeyError()
            assert await anext(generator) is None
            assert await generator.asend("a") == "a"
            assert await generator.athrow(error) is error
            assert await generator.asend("b") == "b"
            assert measures.seen() == (0, 0, 0, 1)
            with pytest.raises(ValueError, match="counted"):
                await generator.athrow(ValueError("counted"))
            assert measures.seen() == (1, 0, 1, 0)
            with pytest.raises(StopAsyncIteration):
                await generator.asend("c")

        asyncio.run(main())

    def test_closing_it_closes_what_it_wraps(self, measures: Measures) -> None:
        closed = []

        @measures.all
        async def endless() -> AsyncGenerator[int, None]:
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                measures.clock.advance(2)
                closed.append(measures.seen())

        async def main() -> None:
            unused = endless()
            await unused.aclose()
            generator = endless()
            await anext(generator)
            await generator.aclose()

        asyncio.run(main())
        assert closed == [(0, 0, 0, 1)]
        assert measures.seen() == (1, 2, 0, 0)

    def test_one_that_will_not_close_is_told_of(self, measures: Measures) -> None:
        @measures.all
        async def stubborn() -> AsyncGenerator[int, None]:
            try:
                yield 1
            except GeneratorExit:
                yield 2

        async def main() -> None:
            generator = stubborn()
            await anext(generator)
            with pytest.raises(RuntimeError, match="async generator ignored GeneratorExit"):
                await generator.aclose()

        asyncio.run(main())
        assert measures.seen() == (1, 0, 0, 0)

    def test_cancelled_step_ends_it(self, measures: Measures) -> None:
        @measures.all
        async def stuck() -> AsyncGenerator[int, None]:
            yield 1
            await asyncio.Event().wait()

        async def main() -> None:
            generator = stuck()
            await anext(generator)
            step = asyncio.ensure_future(anext(generator))
            await settle()
            assert measures.seen() == (0, 0, 0, 1)
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
            assert measures.seen() == (1, 0, 0, 0)

        asyncio.run(main())

    def test_forgotten_one_is_closed_by_the_loop(self, measures: Measures) -> None:
        @measures.all
        async def endless() -> AsyncGenerator[int, None]:
            while True:
                yield 1

        async def main() -> None:
            generator = endless()
            await anext(generator)
            measures.clock.advance(2)
            del generator
            await settle()
            assert measures.seen() == (1, 2, 0, 0)

        asyncio.run(main())
