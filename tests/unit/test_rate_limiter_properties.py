"""Whatever is asked of a `RateLimiter` and cancelled: no more begin than the rate allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.steps import now
from tests.waiting import limiter_of

from penstock.bench._virtual_loop import run
from penstock.errors import AcquireTimeout

if TYPE_CHECKING:
    from collections.abc import Coroutine


calls = st.tuples(
    st.sampled_from([0.0, 0.1, 1.0, 2.5]),
    st.integers(1, 3),
    st.sampled_from([None, None, 0.5, 3.0]),
    st.sampled_from([None, None, None, 0.0, 0.7]),
)


@settings(max_examples=60)
@given(st.lists(calls, max_size=25), st.sampled_from([0.5, 1.0, 3.0]), st.integers(3, 5))
def test_no_more_begin_than_the_rate_allows_whatever_is_asked_and_cancelled(
    asked: list[tuple[float, int, float | None, float | None]], rate: float, burst: int
) -> None:
    """Each call comes some time after the last one, may have a deadline, and may be cancelled."""

    async def main() -> None:
        limiter, begun = limiter_of(rate, burst), list[tuple[int, float, int]]()

        async def begin(number: int, weight: int, seconds: float | None) -> None:
            await limiter.acquire(weight, deadline=seconds)
            begun.append((number, now(), weight))

        tasks, loop = [], asyncio.get_running_loop()
        for number, (pause, weight, seconds, cancelled) in enumerate(asked):
            await asyncio.sleep(pause)
            tasks.append(asyncio.ensure_future(begin(number, weight, seconds)))
            if cancelled is not None:
                loop.call_later(cancelled, tasks[-1].cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = (type(None), AcquireTimeout, asyncio.CancelledError)
        assert all(isinstance(outcome, kinds) for outcome in outcomes)
        # In the order in which they came, and within the rate over any stretch of time.
        assert [number for number, _, _ in begun] == sorted(number for number, _, _ in begun)
        for first in range(len(begun)):
            weight = 0
            for _, at, more in begun[first:]:
                weight += more
                assert weight <= burst + (at - begun[first][1]) * rate + 1e-6
        stats = limiter.stats()
        assert (stats.acquired, stats.waiting) == (len(begun), 0)
        assert stats.timeouts + stats.cancelled + len(begun) <= len(asked)
        await asyncio.sleep(burst / rate + 1e-6)
        assert limiter.available == burst

    work: Coroutine[object, object, None] = main()
    run(work)
