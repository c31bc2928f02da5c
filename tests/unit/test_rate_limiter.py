"""`RateLimiter` in tasks: when who begins, and in which order."""

from __future__ import annotations

import asyncio
import pickle
from datetime import timedelta
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import now
from tests.waiting import limiter_of

from penstock import _components
from penstock._backend import Ready
from penstock.bench._virtual_loop import run
from penstock.errors import AcquireTimeout, DeadlineExceeded, LimitExceeded
from penstock.flow._deadline import deadline
from penstock.flow._rate import RateLimiter, RateLimiterStats


async def times(count: int, limiter: RateLimiter, weight: int = 1) -> list[float]:
    """When each of so many tasks begins, that come at once."""
    start, begun = now(), []

    async def begin() -> None:
        await limiter.acquire(weight)
        begun.append(now() - start)

    await asyncio.gather(*[begin() for _ in range(count)])
    return begun


def test_calls_are_spaced_evenly() -> None:
    async def main() -> None:
        assert await times(4, limiter_of(2.0)) == pytest.approx([0, 0.5, 1.0, 1.5])

    run(main())


def test_burst_begins_at_once_and_comes_back_with_time() -> None:
    async def main() -> None:
        limiter = limiter_of(1.0, 3)
        assert limiter.available == 3
        assert await times(5, limiter) == pytest.approx([0, 0, 0, 1, 2])
        assert limiter.available == 0
        await asyncio.sleep(2)
        assert limiter.available == 2
        await asyncio.sleep(100)
        assert limiter.available == 3

    run(main())


def test_weight_counts_as_many() -> None:
    async def main() -> None:
        assert await times(3, limiter_of(1.0, 4), 2) == pytest.approx([0, 0, 2])

    run(main())


def test_every_form_waits_for_its_time() -> None:
    async def main() -> None:
        limiter, start = limiter_of(1.0), now()

        @limiter
        async def work() -> None:
            pass

        async with limiter as value:
            assert value is None
        await limiter.acquire()
        await work()
        async with limiter:
            await asyncio.sleep(5)  # what it does then is its own business
        assert now() == pytest.approx(start + 3 + 5)
        with limiter:  # there is room by now
            pass
        assert limiter.stats().acquired == 5

    run(main())


def test_entry_without_a_wait_is_native() -> None:
    limiter = RateLimiter(1.0)
    for name in ("acquire", "try_acquire", "__aenter__", "__aexit__", "__enter__", "__exit__"):
        owner = next(cls for cls in RateLimiter.__mro__ if name in vars(cls))
        assert owner.__name__ == "RateGate", name
    assert isinstance(limiter.__aenter__(), Ready)
    assert isinstance(limiter.__aexit__(None, None, None), Ready)


def test_try_acquire_takes_what_is_there_and_never_waits() -> None:
    async def main() -> None:
        limiter = limiter_of(1.0, 2)
        assert [limiter.try_acquire() for _ in range(3)] == [True, True, False]
        await asyncio.sleep(1)
        assert limiter.try_acquire()
        assert not limiter.try_acquire()

    run(main())


def test_nobody_overtakes_those_who_wait() -> None:
    async def main() -> None:
        limiter, begun = limiter_of(1.0, 3), list[str]()

        async def begin(name: str, weight: int) -> None:
            await limiter.acquire(weight)
            begun.append(name)

        limiter.try_acquire(2)
        tasks = [asyncio.ensure_future(begin("heavy", 3))]
        await settle()
        assert limiter.available == 1
        assert not limiter.try_acquire()  # there is one, but somebody waits for three
        tasks.append(asyncio.ensure_future(begin("light", 1)))
        await asyncio.gather(*tasks)
        assert begun == ["heavy", "light"]

    run(main())


def test_only_the_first_in_line_has_a_timer() -> None:
    async def main() -> None:
        loop, limiter = asyncio.get_running_loop(), limiter_of(1.0)
        tasks = [asyncio.ensure_future(limiter.acquire()) for _ in range(1000)]
        await settle()
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]
        assert len(timers) == 1
        begun = len([task for task in tasks if task.done()])
        await asyncio.sleep(3.5)
        assert len([task for task in tasks if task.done()]) == begun + 3
        for task in tasks:
            task.cancel()
        await settle()
        assert limiter.stats().waiting == 0

    run(main())


def test_wait_ends_at_once_when_it_is_certain_to_be_too_late() -> None:
    async def main() -> None:
        limiter, start = limiter_of(0.1), now()
        await limiter.acquire()
        with pytest.raises(AcquireTimeout, match=r"^the rate leaves no room within 9 s$") as caught:
            await limiter.acquire(deadline=9)
        assert caught.value.seconds == 9
        for none in (0, -1, timedelta(0)):
            with pytest.raises(AcquireTimeout):
                await limiter.acquire(deadline=none)
        assert now() == start
        await limiter.acquire(deadline=timedelta(seconds=10.001))
        assert now() == pytest.approx(start + 10)
        assert limiter.stats().timeouts == 4

    run(main())


def test_wait_in_line_ends_with_its_time_and_costs_nothing() -> None:
    async def main() -> None:
        limiter, start = limiter_of(0.1), now()
        await limiter.acquire()
        first = asyncio.ensure_future(limiter.acquire())
        await settle()
        with pytest.raises(AcquireTimeout):
            await limiter.acquire(deadline=3)
        assert now() == pytest.approx(start + 3)
        await limiter.acquire()
        assert first.done()
        assert now() == pytest.approx(start + 20)

    run(main())


def test_ambient_deadline_ends_the_wait() -> None:
    async def main() -> None:
        limiter, start = limiter_of(0.1), now()
        await limiter.acquire()
        with deadline(5), pytest.raises(DeadlineExceeded) as caught:
            await limiter.acquire()
        assert caught.value.seconds == 5
        assert now() == start
        with deadline(5), pytest.raises(AcquireTimeout):
            await limiter.acquire(deadline=4)
        first = asyncio.ensure_future(limiter.acquire())
        await settle()
        with deadline(5), pytest.raises(DeadlineExceeded):
            await limiter.acquire()
        assert now() == pytest.approx(start + 5)
        await first
        with deadline(50):
            await limiter.acquire()
        assert limiter.stats().timeouts == 3

    run(main())


@pytest.mark.parametrize("most", [0, 1, 3])
def test_line_holds_as_many_as_it_may(most: int) -> None:
    async def main() -> None:
        limiter = limiter_of(1.0, max_waiting=most)
        await limiter.acquire()
        waiting = [asyncio.ensure_future(limiter.acquire()) for _ in range(most)]
        await settle()
        message = f"^{most} wait already, and at most {most} may$"
        for _ in range(2):
            with pytest.raises(LimitExceeded, match=message) as caught:
                await limiter.acquire()
        assert (caught.value.waiting, caught.value.max_waiting) == (most, most)
        assert not any(task.done() for task in waiting)
        await asyncio.sleep(most + 1)
        assert all(task.done() for task in waiting)
        await limiter.acquire()
        stats = limiter.stats()
        assert (stats.rejected, stats.acquired, stats.waited) == (2, most + 2, most)

    run(main())


def test_cancelled_head_passes_its_turn_on() -> None:
    async def main() -> None:
        limiter, start = limiter_of(0.5), now()
        await limiter.acquire()
        head, after = [asyncio.ensure_future(limiter.acquire()) for _ in range(2)]
        await asyncio.sleep(1.5)
        head.cancel()
        await after
        assert now() == pytest.approx(start + 2), "it costs no time and no token"
        stats = limiter.stats()
        assert (stats.cancelled, stats.acquired, stats.waiting) == (1, 2, 0)

    run(main())


def test_new_rate_holds_for_those_who_wait_already() -> None:
    async def main() -> None:
        limiter, start = limiter_of(1e-6), now()
        await limiter.acquire()
        waiting = [asyncio.ensure_future(limiter.acquire()) for _ in range(3)]
        await asyncio.sleep(1)
        limiter.set_rate(1.0)
        await asyncio.gather(*waiting)
        assert now() - start < 6
        assert (limiter.rate, limiter.burst) == (1.0, 1)
        limiter.set_rate(2.0, 5)
        assert (limiter.rate, limiter.burst) == (2.0, 5)

    run(main())


def test_one_who_waits_for_more_than_a_new_burst_is_told() -> None:
    async def main() -> None:
        limiter = limiter_of(1.0, 5)
        await limiter.acquire(5)
        heavy = asyncio.ensure_future(limiter.acquire(5))
        light = asyncio.ensure_future(limiter.acquire())
        await settle()
        limiter.set_rate(1.0, 2)
        with pytest.raises(ValueError, match=r"^weight must be <= burst \(2\), got 5$"):
            await heavy
        await light
        assert limiter.stats().waiting == 0

    run(main())


def test_statistics_tell_what_happened() -> None:
    async def main() -> None:
        limiter = limiter_of(1.0, 2)
        assert limiter.stats() == RateLimiterStats(rate=1.0, burst=2, available=2)
        tasks = [asyncio.ensure_future(limiter.acquire()) for _ in range(5)]
        await settle()
        assert limiter.stats() == RateLimiterStats(
            rate=1.0, burst=2, waiting=3, acquired=2, waited=3
        )
        tasks[-1].cancel()
        await asyncio.sleep(10)
        assert limiter.stats() == RateLimiterStats(
            rate=1.0,
            burst=2,
            available=2,
            acquired=4,
            waited=3,
            cancelled=1,
            wait_seconds=pytest.approx(1.0 + 2.0),
        )

    run(main())


def test_named_limiter_is_shown_under_its_name_and_says_what_it_is() -> None:
    limiter = RateLimiter(2.5, 3, max_waiting=4, name="a rate of a test")
    names = [entry.name for entry in _components.entries() if entry() is limiter]
    assert names == ["a rate of a test"]
    assert repr(limiter) == "RateLimiter(2.5, burst=3, waiting=0, name='a rate of a test')"
    assert (limiter.name, limiter.max_waiting, limiter.waiting) == ("a rate of a test", 4, 0)
    assert repr(RateLimiter(10)) == "RateLimiter(10, burst=1, waiting=0)"
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(limiter)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0,), {}, ValueError, "rate must be > 0, got 0"),
        ((-1.5,), {}, ValueError, "rate must be > 0, got -1.5"),
        ((float("nan"),), {}, ValueError, "rate must be finite, got nan"),
        ((float("inf"),), {}, ValueError, "rate must be finite, got inf"),
        (("1",), {}, TypeError, "rate must be a number, got str"),
        ((True,), {}, TypeError, "rate must be a number, got bool"),
        ((None,), {}, TypeError, "rate must be a number, got NoneType"),
        ((1, 0), {}, ValueError, "burst must be >= 1, got 0"),
        ((1, -1), {}, ValueError, "burst must be >= 1, got -1"),
        ((1e-9, 10), {}, ValueError, "burst must be <= 9 at a rate of 1e-09, got 10"),
        ((1, 1.5), {}, TypeError, "burst must be an int, got float"),
        ((1, True), {}, TypeError, "burst must be an int, got bool"),
        ((1,), {"max_waiting": -1}, ValueError, "max_waiting must be >= 0, got -1"),
        ((1,), {"max_waiting": "1"}, TypeError, "max_waiting must be an int, got str"),
        ((1,), {"timer": 1}, TypeError, "timer must be callable, got int"),
        ((1,), {"name": 1}, TypeError, "name must be a str, got int"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        RateLimiter(*arguments, **options)
    if not options:
        limiter = RateLimiter(3.0, 2)
        with pytest.raises(error, match=f"^{message}$"):
            limiter.set_rate(*arguments)
        assert (limiter.rate, limiter.burst) == (3.0, 2)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (0, ValueError, "weight must be >= 1, got 0"),
        (6, ValueError, r"weight must be <= burst \(5\), got 6"),
        (1.0, TypeError, "weight must be an int, got float"),
        (True, TypeError, "weight must be an int, got bool"),
    ],
)
def test_weight_that_is_no_weight_is_refused(
    weight: int, error: type[Exception], message: str
) -> None:
    limiter = RateLimiter(1.0, 5)
    for call in (limiter.acquire, limiter.try_acquire):
        with pytest.raises(error, match=f"^{message}$"):
            call(weight)
    assert limiter.available == 5
