"""`@limiter` and `@RateLimiter(...)` on functions of every kind."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.threads import spawn
from tests.waiting import assert_empty

from penstock import cached
from penstock.bench._virtual_loop import run
from penstock.flow._limiter import Limiter
from penstock.flow._rate import RateLimiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def limiters() -> list[Any]:
    return [Limiter(2), RateLimiter(1e6, 100)]


@pytest.mark.parametrize("limiter", limiters())
def test_decorated_function_is_still_itself(limiter: Any) -> None:
    @limiter
    def add(one: int, *, other: int = 2) -> int:
        """Add."""
        return one + other

    @limiter
    async def add_later(one: int, *, other: int = 2) -> int:
        """Add later."""
        return one + other

    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert add(1, other=5) == 6
    assert not inspect.iscoroutinefunction(add)
    assert list(inspect.signature(add).parameters) == ["one", "other"]
    assert inspect.iscoroutinefunction(add_later)
    assert run(add_later(1)) == 3
    assert add.__wrapped__(1) == 3


def test_calls_of_a_coroutine_function_share_the_permits() -> None:
    async def main() -> None:
        limiter, inside, most = Limiter(2), 0, 0

        @limiter
        async def work() -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(1)
            inside -= 1

        start = asyncio.get_running_loop().time()
        await asyncio.gather(*[work() for _ in range(6)])
        assert most == 2
        assert asyncio.get_running_loop().time() == pytest.approx(start + 3)
        assert_empty(limiter)

    run(main())


def test_calls_of_a_function_share_the_permits_of_threads() -> None:
    limiter = Limiter(1)

    @limiter
    def work() -> int:
        return limiter.in_use

    assert [thread.result() for thread in [spawn(work) for _ in range(4)]] == [1] * 4
    assert_empty(limiter)


def test_coroutine_that_is_not_awaited_takes_nothing() -> None:
    limiter = Limiter(1)

    @limiter
    async def work() -> None:
        pass

    coroutine = work()
    assert limiter.in_use == 0
    coroutine.close()
    assert_empty(limiter)


def test_methods_are_limited_and_get_their_object() -> None:
    limiter = Limiter(1)

    class Client:
        name = "client"

        @limiter
        def ask(self, what: str) -> str:
            return f"{self.name} {what} {limiter.in_use}"

        @limiter
        async def ask_later(self, what: str) -> str:
            return f"{self.name} {what} {limiter.in_use}"

        @classmethod
        @limiter
        def of_class(cls) -> str:
            return cls.name

        @staticmethod
        @limiter
        def of_nobody() -> int:
            return limiter.in_use

    assert Client().ask("a") == "client a 1"
    assert run(Client().ask_later("b")) == "client b 1"
    assert Client.of_class() == "client"
    assert Client.of_nobody() == 1
    assert_empty(limiter)


def test_whatever_works_like_a_coroutine_function_is_awaited_inside() -> None:
    limiter = Limiter(1)

    class Work:
        async def __call__(self, number: int) -> tuple[int, int]:
            await asyncio.sleep(0)
            return number, limiter.in_use

    async def work(extra: int, number: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        return number, limiter.in_use

    @cached
    async def memo(number: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        return number, limiter.in_use

    for function in (Work(), partial(work, 1), memo):
        assert run(limiter(function)(7)) == (7, 1)
    assert_empty(limiter)


def test_error_of_a_function_passes_through_and_leaves_no_permit() -> None:
    class Stop(BaseException):
        pass

    limiter = Limiter(1)

    @limiter
    def work(error: BaseException) -> None:
        raise error

    @limiter
    async def work_later(error: BaseException) -> None:
        raise error

    for error in (ValueError("a"), TimeoutError("b"), Stop("c")):
        with pytest.raises(type(error)) as caught:
            work(error)
        assert caught.value is error
        with pytest.raises(type(error)) as caught:
            run(work_later(error))
        assert caught.value is error
    assert_empty(limiter)


@pytest.mark.parametrize("limiter", limiters())
def test_what_cannot_be_limited_is_refused(limiter: Any) -> None:
    name = type(limiter).__name__

    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    for function in (generator, async_generator, partial(generator)):
        with pytest.raises(TypeError, match=f"^{name} cannot wrap the generator function "):
            limiter(function)
    for what in (3, "work", None):
        with pytest.raises(TypeError, match=f"^{name} needs a function, got "):
            limiter(what)
    with pytest.raises(TypeError, match=f"^{name} needs a function, got the class int$"):
        limiter(int)
    with pytest.raises(TypeError, match=f"^{name} goes below classmethod, next to the function$"):
        limiter(classmethod(len))


def test_one_function_may_go_through_several_limiters() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter, rate = Limiter(2), RateLimiter(1.0, timer=loop.time)

        @limiter
        @rate
        async def work() -> float:
            return loop.time() - start

        start = loop.time()
        assert await asyncio.gather(*[work() for _ in range(4)]) == pytest.approx([0, 1, 2, 3])
        assert_empty(limiter)

    run(main())
