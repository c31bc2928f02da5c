"""`map_concurrent` with a `Limiter` in place of a number, and with retries."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from tests.loading import settle
from tests.retrying import Steady
from tests.steps import now, run, tasks_left

from penstock.errors import DeadlineExceeded, LimitExceeded
from penstock.flow._deadline import deadline
from penstock.flow._limiter import Limiter
from penstock.flow._map import map_concurrent
from penstock.flow._retry import retry


class Oops(Exception):
    """What a call fails with."""


class Calls:
    """Calls that take a second each, and fail as often as a dict of items says."""

    def __init__(self, failures: dict[int, int] | None = None) -> None:
        self.failures = failures or {}
        self.running = self.most = 0
        self.started: list[int] = []

    async def __call__(self, item: int) -> int:
        self.started.append(item)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(1)
        finally:
            self.running -= 1
        if self.started.count(item) <= self.failures.get(item, 0):
            raise Oops(item)
        return item


def numbers_taken(numbers: count[int]) -> int:
    return int(repr(numbers)[len("count(") : -1])


def test_calls_run_up_to_the_limit_of_the_limiter() -> None:
    async def main() -> None:
        calls = Calls()
        limiter = Limiter(3)
        start = now()
        assert await map_concurrent(calls, range(10), limit=limiter) == list(range(10))
        assert now() - start == 4
        assert calls.most == 3
        assert (limiter.in_use, limiter.waiting) == (0, 0)
        assert limiter.stats().acquired == 10

    run(main())


def test_one_item_is_in_line_at_a_time_beside_those_of_others() -> None:
    async def main() -> None:
        limiter = Limiter(3)
        numbers = count()
        calls = Calls()
        await limiter.acquire(2)
        async with map_concurrent(calls, numbers, limit=limiter) as mapped:
            assert await anext(mapped) == 0
            await settle()
            assert calls.most == 1
            assert limiter.waiting == 1
            assert numbers_taken(numbers) == 3
            for read in range(1, 5):
                assert await anext(mapped) == read
                await asyncio.sleep(0.5)
                assert limiter.waiting == 1
                assert numbers_taken(numbers) == 3 + read
            limiter.release(2)
            assert await anext(mapped) == 5
            assert calls.most == 3
        assert (limiter.in_use, limiter.waiting) == (0, 0)

    run(main())


def test_a_limit_that_changes_is_followed() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        calls = Calls()
        waiting = asyncio.ensure_future(map_concurrent(calls, range(100), limit=limiter))
        await asyncio.sleep(2.5)
        assert (calls.most, len(calls.started)) == (1, 3)
        limiter.resize(10)
        await settle(30)
        assert calls.running == 10
        limiter.resize(2)
        await asyncio.sleep(1.1)
        assert calls.running == 2
        assert await waiting == list(range(100))

    run(main())


@pytest.mark.parametrize("is_async", [True, False])
def test_the_limit_of_the_limiter_bounds_what_is_not_read(is_async: bool) -> None:
    async def main() -> None:
        limiter = Limiter(2)
        calls = Calls()
        numbers = count()

        async def items() -> object:
            for number in numbers:
                yield number

        source = items() if is_async else numbers
        async with map_concurrent(calls, source, limit=limiter) as mapped:  # type: ignore[call-overload]
            await anext(mapped)
            await asyncio.sleep(100)
            assert len(calls.started) == 5
            limiter.resize(4)
            await anext(mapped)
            await asyncio.sleep(100)
            assert len(calls.started) == 10

    run(main())


def test_a_limiter_that_turns_calls_away_is_an_error_of_these_calls() -> None:
    async def main() -> None:
        limiter = Limiter(1, max_waiting=0)
        await limiter.acquire()
        errors = await map_concurrent(Calls(), range(3), limit=limiter, on_error="return")
        assert [type(error) for error in errors] == [LimitExceeded] * 3
        limiter.release()

    run(main())


def test_a_deadline_ends_the_wait_for_a_permit() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        await limiter.acquire()
        start = now()
        with deadline(2), pytest.raises(DeadlineExceeded):
            await map_concurrent(Calls(), range(3), limit=limiter, on_error="skip")
        assert now() - start == 2
        limiter.release()
        assert (limiter.in_use, limiter.waiting) == (0, 0)

    run(main())


def test_the_latencies_that_a_limiter_sees_are_those_of_the_calls() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[float] = []

        class Policy:
            initial = 2
            max_limit = 2
            window = (1.0, 1)

            def update(self, window: object, limit: int) -> int:
                seen.append(window.p50)  # type: ignore[attr-defined]
                return limit

        limiter = Limiter(Policy(), timer=loop.time)
        again = retry(3, base=100, rng=Steady())
        calls = Calls({0: 1, 1: 2})
        await map_concurrent(calls, range(6), limit=limiter, retry=again)
        assert seen
        assert set(seen) == {1.0}

    run(main())


# Retries


def test_failed_calls_are_repeated() -> None:
    async def main() -> None:
        calls = Calls({1: 2, 3: 1})
        again = retry(3, base=1, rng=Steady())
        assert await map_concurrent(calls, range(5), limit=2, retry=again) == list(range(5))
        assert calls.started.count(1) == 3
        assert calls.most == 2

    run(main())


def test_a_bare_retry_will_do() -> None:
    async def main() -> None:
        assert await map_concurrent(Calls({1: 2}), range(3), limit=2, retry=retry) == [0, 1, 2]

    run(main())


def test_an_error_that_no_retry_helps_is_handled_as_any_other() -> None:
    async def main() -> None:
        calls = Calls({1: 9})
        again = retry(3, base=1, rng=Steady())
        results = await map_concurrent(calls, range(3), limit=2, retry=again, on_error="skip")
        assert results == [0, 2]
        with pytest.raises(Oops) as caught:
            await map_concurrent(calls, range(3), limit=2, retry=again)
        assert caught.value.__notes__[0].startswith("retry of Calls: gave up after 3 attempts")

    run(main())


def test_a_function_without_async_def_is_repeated_as_well() -> None:
    async def main() -> None:
        calls = Calls({-1: 2})
        again = retry(3, base=1, rng=Steady())
        mapped = map_concurrent(lambda item: calls(-item), range(3), limit=2, retry=again)
        assert await mapped == [0, -1, -2]
        calls = Calls({-1: 9})
        with pytest.raises(Oops) as caught:
            await map_concurrent(lambda item: calls(-item), range(3), limit=2, retry=again)
        assert "<lambda>: gave up after 3" in caught.value.__notes__[0]

    run(main())


def test_whoever_waits_to_be_repeated_keeps_its_place_but_no_permit() -> None:
    async def main() -> None:
        limiter = Limiter(2)
        calls = Calls({0: 1})
        again = retry(2, base=50, cap=50, rng=Steady())
        waiting = asyncio.ensure_future(
            map_concurrent(calls, range(100), limit=limiter, retry=again)
        )
        await asyncio.sleep(10.5)
        assert limiter.in_use == 2
        assert tasks_left() == 1 + 3  # waiting, two calls, and the one that is to be repeated
        assert await waiting == list(range(100))

    run(main())


def test_a_retry_that_does_not_even_try_holds_up_no_other() -> None:
    async def main() -> None:
        def refuse(_: object) -> object:
            async def call(item: int) -> int:
                raise Oops(item)

            return call

        mapped = map_concurrent(
            Calls(), range(20), limit=Limiter(2), retry=refuse, on_error="skip"  # type: ignore[arg-type]
        )  # fmt: skip
        assert await mapped == []
        assert mapped.progress.failed == 20

    run(main())


def test_many_repeated_calls_never_exceed_the_limit() -> None:
    async def main() -> None:
        limiter = Limiter(3)
        calls = Calls({item: item % 4 for item in range(40)})
        again = retry(4, base=0.5, rng=Steady())
        mapped = map_concurrent(calls, range(40), limit=limiter, retry=again, ordered=False)
        assert sorted([item async for item in mapped]) == list(range(40))
        assert calls.most == 3
        assert (limiter.in_use, limiter.waiting) == (0, 0)

    run(main())
