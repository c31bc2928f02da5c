"""What type checkers make of flow control; checked by mypy and pyright, never run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any, assert_type

from penstock.flow import (
    Attempt,
    CircuitBreaker,
    CircuitBreakerStats,
    CircuitOpen,
    ConcurrentMap,
    DeadlineExceeded,
    HedgeStats,
    Limiter,
    LimiterStats,
    LimitExceeded,
    Policy,
    Progress,
    RateLimiter,
    RateLimiterStats,
    ResourceReading,
    Resources,
    RetryBudget,
    RetryInfo,
    RetryStats,
    Window,
    aimd,
    attempts,
    deadline,
    effective_cpus,
    fixed,
    gradient,
    hedge,
    map_concurrent,
    previous_attempts,
    remaining,
    resources,
    retry,
)


def number_of(text: str, base: int = 10) -> int:
    return int(text, base)


async def number_later(text: str, base: int = 10) -> int:
    return int(text, base)


class Halving:
    """A policy of somebody else's: nothing to inherit from."""

    initial = 10
    max_limit = 100
    window = (0.1, 10)

    def update(self, window: Window, limit: int) -> int:
        assert_type(window.p90, float)
        assert_type(window.count, int)
        return limit if window.p90 < 1 else limit // 2


class Wrong:
    """No policy: the limit must be an int."""

    initial = 10
    max_limit = 100
    window = None

    def update(self, window: Window, limit: int) -> float:
        return limit / 2


def policies() -> None:
    taken: list[Policy] = [
        fixed(5),
        aimd(0.1, initial=5, min_limit=1, max_limit=50, backoff=0.8, quantile="p50"),
        aimd(timedelta(milliseconds=100), interval=timedelta(seconds=1), samples=5),
        gradient(smoothing=0.3, tolerance=2, long_window=100),
        resources(max_limit=50, min_limit=10, cpu=0.8, memory=0.85, step=2),
        Halving(),
    ]
    for policy in taken:
        assert_type(Limiter(policy), Limiter)
    Limiter(Wrong())  # type: ignore[arg-type]
    Limiter("10")  # type: ignore[arg-type]
    aimd("fast")  # type: ignore[arg-type]
    aimd(1, quantile="p99")  # type: ignore[arg-type]
    reading = Resources().read()
    assert_type(reading, ResourceReading)
    assert_type((reading.cpu, effective_cpus()), tuple[float | None, float])


def limiters() -> None:
    limiter = Limiter(
        10,
        order="priority",
        max_waiting=100,
        dropped=(TimeoutError, ConnectionError),
        timer=lambda: 0.0,
        name="database",
    )
    assert_type(Limiter.fixed(10, order="lifo"), Limiter)
    assert_type(Limiter.aimd(0.05, max_limit=200, name="database"), Limiter)
    assert_type(Limiter.gradient(max_limit=200, dropped=OSError), Limiter)
    assert_type(Limiter.resources(max_limit=50, max_waiting=5), Limiter)
    assert_type(limiter.try_acquire(2), bool)
    assert_type(limiter.stats(), LimiterStats)
    assert_type(limiter.stats().latency_short, float | None)
    assert_type((limiter.limit, limiter.in_use, limiter.waiting), tuple[int, int, int])
    assert_type(limiter.max_waiting, int | None)
    assert_type((limiter.policy, limiter.name), tuple[Policy, str | None])
    limiter.release(2, outcome="dropped")
    limiter.resize(5)
    with limiter as nothing:
        assert_type(nothing, None)
    with limiter.slot(2, priority=-1, deadline=timedelta(seconds=1)) as nothing:
        assert_type(nothing, None)
    Limiter(10, order="random")  # type: ignore[arg-type]
    Limiter(10, 5)  # type: ignore[arg-type, call-arg]
    Limiter.fixed(10, nonsense=1)  # type: ignore[call-arg]
    limiter.try_acquire("2")  # type: ignore[arg-type]
    limiter.slot(1, 5)  # type: ignore[call-arg]
    limiter.limit = 5  # type: ignore[misc]


def rate_limiters() -> None:
    rate = RateLimiter(1 / 60, burst=5, max_waiting=10, timer=lambda: 0.0, name="mails")
    assert_type(rate.try_acquire(), bool)
    assert_type((rate.rate, rate.burst, rate.available), tuple[float, int, int])
    assert_type(rate.stats(), RateLimiterStats)
    with rate:
        pass
    RateLimiter()  # type: ignore[call-arg]
    RateLimiter("1/s")  # type: ignore[arg-type]
    RateLimiter(10, max_waiting="5")  # type: ignore[arg-type]


async def limits_in_coroutines(limiter: Limiter, rate: RateLimiter) -> None:
    async with limiter, rate:
        pass
    async with limiter.slot(3, deadline=0.5) as nothing:
        assert_type(nothing, None)
    await limiter.acquire(2, priority=1, deadline=1)
    await rate.acquire(deadline=timedelta(seconds=1))
    # What is decorated keeps its type.
    assert_type(limiter(number_of)("1", base=2), int)
    assert_type(await limiter(number_later)("1", base=2), int)
    assert_type(await rate(number_later)("1"), int)
    limiter(number_of)(1)  # type: ignore[arg-type]
    rate(5)  # type: ignore[type-var]


@retry
def tried(text: str, *, base: int = 10) -> int:
    return int(text, base)


@retry(
    5,
    on=(OSError, ValueError),
    base=timedelta(seconds=1),
    cap=5,
    timeout=5,
    deadline=timedelta(minutes=1),
    budget=RetryBudget(ttl=10, min_per_second=3, ratio=0.1),
    retry_after=60,
    name="numbers",
    sleep=asyncio.sleep,
    rng=random.Random(1),
)
async def tried_later(text: str, *, base: int = 10) -> int:
    return int(text, base)


class Client:
    @retry
    def plain(self, number: int) -> str:
        return str(number)

    @retry(on=lambda error: isinstance(error, OSError), on_retry=print)
    async def later(self, number: int) -> str:
        return str(number)

    @staticmethod
    @retry
    def of_nobody(number: int) -> str:
        return str(number)

    @hedge
    async def hedged(self, number: int) -> str:
        return str(number)


def on_retry(info: RetryInfo) -> None:
    assert_type(info.error, Exception)
    assert_type((info.name, info.attempt), tuple[str, int])
    assert_type((info.delay, info.elapsed), tuple[float, float])


async def on_retry_later(info: RetryInfo) -> None: ...


async def retries(client: Client) -> None:
    assert_type(tried("1", base=2), int)
    assert_type(tried.stats(), RetryStats)
    assert_type(tried.stats().delay_seconds, float)
    assert_type((tried.__wrapped__("1"), tried.__name__), tuple[int, str])
    assert_type(await tried_later("1", base=2), int)
    assert_type(tried_later.stats().retries, int)
    assert_type(await asyncio.create_task(tried_later("1")), int)
    assert_type(client.plain(1), str)
    assert_type(client.plain.stats(), RetryStats)
    assert_type(await client.later(1), str)
    assert_type((Client.plain(client, 1), Client.of_nobody(1)), tuple[str, str])
    assert_type(previous_attempts(), int)
    functions: list[Callable[[str], int]] = [tried, tried.__wrapped__]
    later: list[Callable[[str], Coroutine[Any, Any, int]]] = [tried_later, hedged]
    assert functions
    assert later
    retry(None, on_retry=[on_retry, on_retry_later], retry_after=False)
    tried(1)  # type: ignore[arg-type]
    tried("1", 2)  # type: ignore[call-arg]
    await tried_later()  # type: ignore[call-arg]
    client.plain("1")  # type: ignore[arg-type]
    tried.nonsense()  # type: ignore[attr-defined]
    retry("3")  # type: ignore[call-overload]
    retry(on=5)  # type: ignore[call-overload]
    retry(wait=5)  # type: ignore[call-overload]
    retry(budget=0.1)  # type: ignore[call-overload]


async def loops_of_attempts() -> int:
    kept = attempts(3, on=OSError, base=0, name="block")
    assert_type(kept.stats(), RetryStats)
    async for attempt in kept:
        assert_type(attempt, Attempt)
        with attempt as same:
            assert_type(same, Attempt)
            assert_type((attempt.number, attempt.is_last), tuple[int, bool])
            assert_type(attempt.next_delay, float | None)
    for attempt in attempts():
        assert_type(attempt, Attempt)
        with attempt:
            return 1
    attempts("3")  # type: ignore[arg-type]
    attempts(on=5)  # type: ignore[arg-type]
    # An attempt may swallow what it raises, so that this line can be reached.
    return 0


def budgets() -> None:
    budget = RetryBudget(ttl=timedelta(seconds=10), timer=lambda: 0.0)
    assert_type((budget.available, budget.try_withdraw()), tuple[int, bool])
    assert_type((budget.ttl, budget.min_per_second, budget.ratio), tuple[float, float, float])
    budget.deposit()
    RetryBudget(5)  # type: ignore[call-arg]
    RetryBudget(ratio="1 %")  # type: ignore[arg-type]


@deadline(5)
def limited(number: int) -> str:
    return str(number)


@deadline(timedelta(seconds=5))
async def limited_later(number: int) -> str:
    return str(number)


async def deadlines() -> None:
    assert_type((limited(1), await limited_later(1)), tuple[str, str])
    assert_type(remaining(), float | None)
    with deadline(timedelta(seconds=1)) as limit:
        assert_type(limit.seconds, float)
    async with deadline(5) as limit:
        assert_type(limit.seconds, float)
    errors: tuple[TimeoutError, RuntimeError] = (
        DeadlineExceeded("late", seconds=1),
        LimitExceeded("full", waiting=5, max_waiting=5),
    )
    assert_type(DeadlineExceeded("late").seconds, float)
    assert errors
    limited("1")  # type: ignore[arg-type]
    deadline("5")  # type: ignore[arg-type]
    deadline(None)  # type: ignore[arg-type]


def on_change(breaker: CircuitBreaker, old: str, new: str) -> None: ...


async def breakers() -> None:
    breaker = CircuitBreaker(
        failure_rate=0.5,
        window_seconds=timedelta(minutes=1),
        min_calls=20,
        slow_after=1,
        slow_rate=0.5,
        open_for=5,
        max_open_for=timedelta(minutes=1),
        trial_calls=3,
        trial_timeout=30,
        jitter=0.1,
        on=lambda error: isinstance(error, OSError),
        on_change=on_change,
        timer=lambda: 0.0,
        name="shop",
    )
    assert_type((breaker.state, breaker.retry_after, breaker.name), tuple[str, float, str | None])
    assert_type(breaker.stats(), CircuitBreakerStats)
    assert_type(breaker.stats().failure_rate, float)
    assert_type(breaker.call(number_of, "1", base=2), int)
    assert_type(await breaker.call(number_later, "1", base=2), int)
    assert_type(breaker(number_of)("1"), int)
    assert_type(await breaker(number_later)("1"), int)
    with breaker:
        pass
    async with breaker:
        pass
    breaker.trip()
    breaker.trip(5)
    breaker.reset()
    assert_type(CircuitOpen("open", name="shop", retry_after=1).retry_after, float)
    assert_type(CircuitOpen("open").name, str | None)
    CircuitBreaker(5)  # type: ignore[call-arg]
    CircuitBreaker(on=5)  # type: ignore[arg-type]
    CircuitBreaker(on_change=on_retry)  # type: ignore[arg-type]
    breaker(number_of)(1)  # type: ignore[arg-type]
    breaker.state = "open"  # type: ignore[misc]


@hedge
async def hedged(text: str, *, base: int = 10) -> int:
    return int(text, base)


@hedge(delay=timedelta(milliseconds=50), extra=2, budget=RetryBudget(), on=OSError, name="reads")
async def hedged_with_options(text: str, *, base: int = 10) -> int:
    return int(text, base)


async def hedges(client: Client) -> None:
    for function in (hedged, hedged_with_options):
        assert_type(await function("1", base=2), int)
        assert_type(function.stats(), HedgeStats)
        assert_type(function.stats().delay, float | None)
        assert_type(await function.__wrapped__("1"), int)
    assert_type(await client.hedged(1), str)
    assert_type(await asyncio.create_task(hedged("1")), int)
    await hedged(1)  # type: ignore[arg-type]
    await client.hedged("1")  # type: ignore[arg-type]
    hedge(number_of)  # type: ignore[arg-type]
    hedge(delay="1")  # type: ignore[call-overload]


async def texts() -> AsyncIterator[str]:
    yield "1"


def on_progress(progress: Progress) -> None:
    assert_type((progress.done, progress.failed), tuple[int, int])
    assert_type((progress.total, progress.seconds), tuple[int | None, float])


async def maps(limiter: Limiter) -> None:
    assert_type(await map_concurrent(number_later, ["1"], limit=2), list[int])
    assert_type(await map_concurrent(number_later, texts(), limit=limiter), list[int])
    async with map_concurrent(number_later, texts(), limit=2, ordered=False, buffer=0) as results:
        async for number in results:
            assert_type(number, int)
    assert_type(results, ConcurrentMap[int])
    assert_type(results.progress, Progress)
    assert_type(
        await map_concurrent(number_later, ["1"], limit=2, on_error="skip", progress=on_progress),
        list[int],
    )
    assert_type(
        await map_concurrent(number_later, ["1"], limit=2, on_error="return"),
        list[int | Exception],
    )
    assert_type(
        await map_concurrent(number_later, ["1"], limit=2, on_error=lambda text, error: text),
        list[int | str],
    )
    assert_type(
        await map_concurrent(number_later, ["1"], limit=2, retry=retry(3, on=OSError)),
        list[int],
    )
    assert_type(await map_concurrent(hedged, ["1"], limit=2), list[int])
    map_concurrent(number_later, ["1"])  # type: ignore[call-overload]
    map_concurrent(number_later, [1], limit=2)  # type: ignore[arg-type]
    map_concurrent(number_of, ["1"], limit=2)  # type: ignore[arg-type]
    map_concurrent(number_later, ["1"], limit="2")  # type: ignore[call-overload]
    map_concurrent(number_later, ["1"], limit=2, on_error="ignore")  # type: ignore[call-overload]
