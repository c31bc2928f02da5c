"""A limiter whose limit follows what it measures: what is measured, and what becomes of errors."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.clock import Clock
from tests.loading import settle
from tests.threads import spawn
from tests.waiting import Guest, assert_empty

from penstock.bench._virtual_loop import run
from penstock.flow._deadline import deadline
from penstock.flow._gradient import gradient
from penstock.flow._limiter import Limiter
from penstock.flow._policies import Policy, Window, aimd

if TYPE_CHECKING:
    from collections.abc import Callable


class Notebook:
    """A policy that writes down the windows, and does what it is told."""

    initial = 4
    max_limit = 100

    def __init__(self, interval: float = 1.0, samples: int = 1) -> None:
        self.window = (interval, samples)
        self.windows: list[Window] = []
        self.limits: list[int] = []
        self.then: Callable[[int], Any] = lambda limit: limit

    def update(self, window: Window, limit: int) -> int:
        self.windows.append(window)
        self.limits.append(limit)
        return self.then(limit)


def spend(limiter: Limiter, clock: Clock, seconds: float, error: Exception | None = None) -> None:
    """Hold a permit for some time."""
    with suppress(Exception if error is not None else ()), limiter:
        clock.advance(seconds)
        if error is not None:
            raise error


def test_policy_is_told_what_was_measured() -> None:
    clock, policy = Clock(), Notebook(interval=1.0, samples=4)
    limiter = Limiter(policy, timer=clock)
    for seconds in (0.1, 0.2, 0.3):
        spend(limiter, clock, seconds)
    clock.advance(10)
    assert policy.windows == []
    with limiter:
        spend(limiter, clock, 0.4)
    (window,) = policy.windows
    assert window == Window(
        count=4,
        dropped=0,
        p50=pytest.approx(0.2),
        p90=pytest.approx(0.4),
        mean=pytest.approx(0.25),
        minimum=pytest.approx(0.1),
        peak=2,
        seconds=pytest.approx(11.0),
    )
    assert policy.limits == [4]


def test_limit_is_what_the_policy_says() -> None:
    clock, policy = Clock(), Notebook()
    limiter = Limiter(policy, timer=clock)
    policy.then = lambda limit: limit * 2
    spend(limiter, clock, 1.0)
    assert limiter.limit == 8
    spend(limiter, clock, 1.0)
    assert (limiter.limit, policy.limits) == (16, [4, 8])
    policy.then = lambda limit: 1000
    spend(limiter, clock, 1.0)
    assert limiter.limit == 100, "not above what it said was its highest"


def test_growing_limit_lets_those_in_who_wait_and_a_shrinking_one_nobody() -> None:
    async def main() -> None:
        policy = Notebook()
        limiter = Limiter(policy, timer=asyncio.get_running_loop().time)
        inside, gates = list[int](), [asyncio.Event() for _ in range(10)]

        async def work(number: int) -> None:
            async with limiter:
                inside.append(number)
                await gates[number].wait()
                inside.remove(number)

        async def end(*numbers: int) -> list[int]:
            await asyncio.sleep(1)
            for number in numbers:
                gates[number].set()
            await settle()
            return inside

        tasks = [asyncio.ensure_future(work(number)) for number in range(10)]
        assert await end() == [0, 1, 2, 3]
        policy.then = lambda _: 7
        assert await end(0) == [1, 2, 3, 4, 5, 6, 7]
        policy.then = lambda _: 2
        assert await end(1) == [2, 3, 4, 5, 6, 7, 8]  # the permit is free before the window ends
        assert limiter.limit == 2
        assert await end(2, 3, 4, 5, 6) == [7, 8]
        assert await end(7) == [8, 9]
        assert await end(8, 9) == []
        await asyncio.gather(*tasks)
        assert_empty(limiter)

    run(main())


@pytest.mark.parametrize(
    ("error", "dropped", "counts", "drops"),
    [
        (None, TimeoutError, 1, 0),
        (TimeoutError(), TimeoutError, 1, 1),
        (TimeoutError(), (OSError, ValueError), 1, 1),  # TimeoutError is an OSError
        (ValueError(), TimeoutError, 0, 0),
        (ValueError(), (KeyError, ValueError), 1, 1),
        (KeyError(), LookupError, 1, 1),
        (TimeoutError(), (), 0, 0),
    ],
)
def test_error_of_a_body_counts_as_overload_or_not_at_all(
    error: Exception | None, dropped: Any, counts: int, drops: int
) -> None:
    clock, policy = Clock(), Notebook()
    limiter = Limiter(policy, timer=clock, dropped=dropped)
    spend(limiter, clock, 1.0, error)
    if not counts:
        assert policy.windows == []
        spend(limiter, clock, 0.5)
    (window,) = policy.windows
    assert (window.count, window.dropped) == (1, drops)


@pytest.mark.parametrize("kind", ["block", "slot", "decorator"])
def test_every_way_in_is_measured_and_knows_its_outcome(kind: str) -> None:
    async def main() -> None:
        policy = Notebook()
        limiter = Limiter(policy, timer=asyncio.get_running_loop().time)

        async def work() -> None:
            await asyncio.sleep(1.5)
            raise TimeoutError

        async def work_inside() -> None:
            async with limiter if kind == "block" else limiter.slot(2):
                await work()

        with pytest.raises(TimeoutError):
            await (limiter(work) if kind == "decorator" else work_inside)()
        (window,) = policy.windows
        assert (window.count, window.dropped, window.p50) == (1, 1, pytest.approx(1.5))

    run(main())


def test_wait_is_no_part_of_the_latency() -> None:
    async def main() -> None:
        policy = Notebook(samples=4)
        limiter = Limiter(policy, timer=asyncio.get_running_loop().time)
        policy.initial = 1
        limiter._resize_to(1)

        async def work() -> None:
            async with limiter:
                await asyncio.sleep(0.5)

        await asyncio.gather(*[work() for _ in range(4)])
        (window,) = policy.windows
        assert window.minimum == window.p90 == pytest.approx(0.5)
        assert window.seconds == pytest.approx(2.0)

    run(main())


def test_nested_permits_of_a_task_are_told_apart() -> None:
    async def main() -> None:
        policy = Notebook(samples=2)
        limiter = Limiter(policy, timer=asyncio.get_running_loop().time)
        async with limiter:
            await asyncio.sleep(1)
            async with limiter:
                await asyncio.sleep(0.25)
        (window,) = policy.windows
        assert (window.minimum, window.p90) == (pytest.approx(0.25), pytest.approx(1.25))
        assert window.peak == 2

    run(main())


def test_waiter_cancelled_in_the_tick_of_its_grant_does_not_spoil_what_others_measure() -> None:
    async def main() -> None:
        policy = Notebook(interval=0.0, samples=2)
        limiter = Limiter(policy, timer=asyncio.get_running_loop().time)
        limiter._resize_to(2)

        async def work(seconds: float) -> None:
            async with limiter:
                await asyncio.sleep(seconds)
                asyncio.get_running_loop().call_soon(victim.cancel)

        works = [asyncio.ensure_future(work(seconds)) for seconds in (3.0, 1.0)]
        await settle()
        victim = asyncio.ensure_future(limiter.acquire())
        await asyncio.gather(*works)
        assert victim.cancelled()
        assert limiter.stats().acquired == 3  # it was granted a permit, and passed it on
        (window,) = policy.windows
        assert (window.count, window.minimum, window.p90) == pytest.approx((2, 1.0, 3.0))

    run(main())


def test_body_cut_by_a_deadline_is_a_sign_of_overload_and_one_cancelled_is_not() -> None:
    async def main() -> None:
        policy = Notebook()
        limiter = Limiter(policy, timer=asyncio.get_running_loop().time)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2), limiter:
                await asyncio.sleep(9)
        task = asyncio.ensure_future(limiter(asyncio.sleep)(9))
        await asyncio.sleep(2)
        task.cancel()
        await settle()
        assert policy.windows == []
        with pytest.raises(TimeoutError):
            async with deadline(2), limiter:
                await asyncio.sleep(9)
        (window,) = policy.windows
        assert (window.count, window.dropped) == (1, 1)

    run(main())


def test_cancelled_body_is_no_sign_of_overload_where_timeouts_are_none() -> None:
    async def main() -> None:
        policy = Notebook()
        clock = asyncio.get_running_loop().time
        limiter = Limiter(policy, timer=clock, dropped=ConnectionError)
        with pytest.raises(TimeoutError):
            async with deadline(2), limiter:
                await asyncio.sleep(9)
        assert policy.windows == []

    run(main())


@pytest.mark.parametrize(
    "answer",
    [lambda _: 1 / 0, lambda _: 0, lambda _: -3, lambda _: "7", lambda _: 2.5, lambda _: None],
)
def test_policy_that_fails_leaves_the_limit_and_is_told_of_once(
    answer: Callable[[int], object], caplog: pytest.LogCaptureFixture
) -> None:
    clock, policy = Clock(), Notebook()
    limiter = Limiter(policy, timer=clock)
    policy.then = answer
    for _ in range(3):
        spend(limiter, clock, 1.0)
    assert (limiter.limit, limiter.in_use, len(policy.windows)) == (4, 0, 3)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("penstock.flow", "ERROR")
    assert "Notebook" in record.getMessage()
    assert record.exc_info is not None
    policy.then = lambda _: 6  # it may come to its senses
    spend(limiter, clock, 1.0)
    assert limiter.limit == 6


def test_policy_that_fails_wakes_whom_the_release_lets_in() -> None:
    async def main() -> None:
        policy = Notebook(interval=0.0)
        policy.then = lambda _: 1 / 0
        limiter = Limiter(policy)
        guests = [Guest(limiter) for _ in range(5)]
        await settle()
        guests[0].go()
        await settle()
        assert guests[4].state == "inside"

    run(main())


def test_policy_may_use_its_limiter() -> None:
    clock, policy = Clock(), Notebook(interval=0.0)
    limiter = Limiter(policy, timer=clock)

    def answer(limit: int) -> int:
        spend(limiter, clock, 1.0)  # ends a window as well, of which it is not told
        return limit + limiter.in_use

    policy.then = answer
    with limiter:
        clock.advance(1)
        spend(limiter, clock, 1.0)
        assert limiter.limit == 5
    assert len(policy.windows) == 1
    assert_empty(limiter)


def test_policy_is_asked_by_one_thread_at_a_time() -> None:
    policy, inside, most = Notebook(interval=0.0), 0, 0
    limiter = Limiter(policy)
    lock = threading.Lock()

    def answer(limit: int) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(1e-4)
        with lock:
            inside -= 1
        return limit

    policy.then = answer

    def work() -> None:
        for _ in range(50):
            with limiter:
                pass

    for thread in [spawn(work) for _ in range(4)]:
        thread.result()
    assert most == 1
    assert_empty(limiter)


def test_statistics_show_the_latencies_that_the_policy_compares() -> None:
    clock = Clock()
    limiter = Limiter(aimd(0.5, samples=1), timer=clock)
    stats = limiter.stats()
    assert (stats.latency_short, stats.latency_long) == (None, 0.5)
    spend(limiter, clock, 1.0)
    assert limiter.stats().latency_short == 1.0
    limiter = Limiter(gradient(samples=1), timer=clock)
    assert limiter.stats().latency_long is None
    spend(limiter, clock, 2.0)
    stats = limiter.stats()
    assert (stats.latency_short, stats.latency_long) == (2.0, 2.0)
    stats = Limiter(3).stats()
    assert (stats.latency_short, stats.latency_long) == (None, None)


@pytest.mark.parametrize("policy", [aimd(0.3), gradient()])
def test_limit_finds_what_the_service_bears(policy: Policy) -> None:
    """Twenty cores, 0.2 s a call: fewer are idle, and more only wait for each other."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        limiter, busy = Limiter(policy, timer=loop.time), 0

        async def client() -> None:
            nonlocal busy
            while True:
                async with limiter:
                    busy += 1
                    await asyncio.sleep(0.2 * max(1.0, busy / 20))
                    busy -= 1

        clients = [asyncio.ensure_future(client()) for _ in range(100)]
        await asyncio.sleep(30)
        limits = []
        for _ in range(100):
            await asyncio.sleep(0.3)
            limits.append(limiter.limit)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        assert (limiter.in_use, limiter.waiting) == (0, 0)
        return sum(limits) / len(limits)

    assert 17 <= run(main()) <= 32
