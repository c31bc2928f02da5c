"""`@retry` on functions of every kind, and what its calls share: nothing."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import ClassVar
from unittest.mock import AsyncMock

import pytest
from tests.retrying import AT_ONCE, Flaky, Kind, Oops, Steady
from tests.threads import spawn

from penstock import cached
from penstock.bench._virtual_loop import run
from penstock.flow._retry import retry
from penstock.flow._retry_stats import RetryStats


class TestWhatIsDecorated:
    def test_it_looks_like_the_function(self) -> None:
        @retry
        def one(a: int, b: str = "x") -> str:
            """The first."""
            return f"{a} {b}"

        @retry(attempts=5)
        async def two(a: int) -> int:
            return a

        assert (one.__name__, one.__doc__, one.__module__) == ("one", "The first.", __name__)
        assert str(inspect.signature(one)) == "(a: 'int', b: 'str' = 'x') -> 'str'"
        assert one.__wrapped__(1) == one(1) == "1 x"
        assert not inspect.iscoroutinefunction(one)
        assert inspect.iscoroutinefunction(two)
        assert run(two(3)) == 3

    def test_methods_are_bound(self) -> None:
        class Service:
            calls: ClassVar[list[object]] = []

            def answer(self, name: str) -> str:
                self.calls.append((self, name))
                if len(self.calls) % 2:
                    raise Oops
                return name

            plain = retry(**AT_ONCE)(answer)

            @retry(**AT_ONCE)
            async def later(self, name: str) -> str:
                return self.answer(name)

            @classmethod
            @retry(**AT_ONCE)
            def of_class(cls, name: str) -> str:
                return cls.answer(cls, name)  # type: ignore[arg-type]

            @staticmethod
            @retry(**AT_ONCE)
            def of_none(name: str) -> str:
                return Service.answer(Service, name)  # type: ignore[arg-type]

        service = Service()
        assert service.plain("a") == "a"
        assert run(service.later("b")) == "b"
        assert service.of_class("c") == Service.of_none("c") == "c"
        assert Service.calls[:4] == [(service, "a")] * 2 + [(service, "b")] * 2
        assert Service.plain.stats().calls == 1

    def test_partial_and_callable_objects_will_do(self) -> None:
        class Caller:
            async def __call__(self, name: str) -> str:
                return name

        async def answer(name: str) -> str:
            return name

        for later in (retry(Caller()), retry(partial(answer)), retry(cached(answer))):
            assert inspect.iscoroutinefunction(later)
            assert run(later("a")) == "a"
        mock = AsyncMock(side_effect=[Oops, "a"])
        assert run(retry(base=0)(mock)()) == "a"
        plain = retry(partial(str.upper, "a"))
        assert plain() == "A"
        assert plain.stats().calls == 1

    def test_each_function_counts_for_itself(self) -> None:
        again = retry(**AT_ONCE)
        one, other = again(Flaky(Oops).call), again(Flaky().call)
        one()
        other()
        other()
        assert one.stats() == RetryStats(calls=1, successes=1, retries=1)
        assert other.stats() == RetryStats(calls=2, successes=2)

    def test_a_retried_function_may_be_retried(self) -> None:
        flaky = Flaky(*[Oops] * 9)
        inner = retry(2, **AT_ONCE)(flaky.call)
        outer = retry(3, **AT_ONCE)(inner)
        with pytest.raises(Oops):
            outer()
        assert flaky.calls == 6
        assert inner.stats() == RetryStats(calls=3, failures=3, exhausted=3, retries=3)
        assert outer.stats() == RetryStats(calls=1, failures=1, exhausted=1, retries=2)

    def test_recursion_is_a_call_of_its_own_on_each_level(self) -> None:
        failed: set[int] = set()

        @retry(2, **AT_ONCE)
        def descend(depth: int) -> int:
            if depth not in failed:
                failed.add(depth)
                raise Oops(depth)
            return descend(depth - 1) + 1 if depth else 0

        assert descend(5) == 5
        assert descend.stats() == RetryStats(calls=6, successes=6, retries=6)

    def test_what_is_no_function_is_refused(self) -> None:
        def numbers() -> Iterator[int]:
            yield 1

        async def numbers_later() -> AsyncIterator[int]:
            yield 1

        for wrong in (numbers, numbers_later, partial(numbers)):
            with pytest.raises(TypeError, match=r"^retry cannot wrap the generator function .*num"):
                retry()(wrong)
        with pytest.raises(TypeError, match=r"^retry needs a function, got str$"):
            retry()("abc")  # type: ignore[call-overload]
        with pytest.raises(TypeError, match=r"^retry needs a function, got the class Kind$"):
            retry(Kind)
        with pytest.raises(TypeError, match=r"^retry goes below classmethod, next to the function"):
            retry()(classmethod(numbers))  # type: ignore[call-overload]

    def test_a_function_that_returns_a_coroutine_is_refused_when_called(self) -> None:
        flaky = Flaky(Oops)
        call = retry(lambda: flaky.call_later())  # noqa: PLW0108
        with pytest.raises(TypeError, match=r"lambda> returned a coroutine: retry needs a corout"):
            call()

    def test_concurrent_calls_have_nothing_to_do_with_each_other(self) -> None:
        failures = {name: number for number, name in enumerate("abcdefghij")}

        @retry(10, base=1, cap=7, rng=Steady(0.5))
        async def call(name: str) -> tuple[str, float]:
            await asyncio.sleep(0.001)
            if failures[name]:
                failures[name] -= 1
                raise Oops(name)
            return name, asyncio.get_running_loop().time()

        async def main() -> list[tuple[str, float]]:
            return await asyncio.gather(*map(call, "abcdefghij"))

        delays = [0.5, 1.0, 2.0, 3.5, 3.5, 3.5, 3.5, 3.5, 3.5]
        for number, (name, time) in enumerate(run(main())):
            assert name == "abcdefghij"[number]
            expected = 1000.0 + 0.001 * (number + 1) + sum(delays[:number])
            assert time == pytest.approx(expected, abs=1e-6)
        assert call.stats().retries == sum(range(10))

    def test_calls_in_threads_are_counted_one_by_one(self) -> None:
        @retry(5, **AT_ONCE)
        def call(failures: list[int]) -> None:
            if failures:
                failures.pop()
                raise Oops

        def calls() -> None:
            for number in range(300):
                call([0] * (number % 3))

        for thread in [spawn(calls) for _ in range(4)]:
            thread.result()
        assert call.stats() == RetryStats(calls=1200, successes=1200, retries=1200)


def test_a_retried_function_is_pickled_as_functions_are() -> None:
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level


@retry
def at_module_level() -> None:
    """Nothing."""
