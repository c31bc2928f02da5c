"""`hedge`: the delay that it finds out by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from tests.hedging import Oops, Server
from tests.steps import run

from penstock.errors import DeadlineExceeded
from penstock.flow._deadline import deadline
from penstock.flow._hedge import HedgeStats, hedge

# The delay that is observed


async def observe(call: Callable[[], Any], server: Server, *seconds: float) -> None:
    for one in seconds:
        server.answers = (one,)
        await call()


def test_without_a_delay_no_second_call_is_made_until_there_were_twenty() -> None:
    async def main() -> None:
        server = Server(1)
        call = hedge(server)
        await observe(call, server, *range(1, 20))
        assert call.stats() == HedgeStats(calls=19)
        await observe(call, server, 1000)
        assert call.stats() == HedgeStats(calls=20, delay=19.0)
        await observe(call, server, 18.5)
        assert call.stats().extra == 0
        await observe(call, server, 19.5)
        assert call.stats().extra == 1

    run(main())


def test_the_delay_is_the_95th_percentile_of_the_last_hundred_calls() -> None:
    async def main() -> None:
        server = Server(1)
        call = hedge(server)
        await observe(call, server, *[5.0] * 200)
        assert call.stats().delay == 5.0
        await observe(call, server, *[1.0] * 94)
        assert call.stats().delay == 5.0
        await observe(call, server, *[1.0] * 6)
        assert call.stats().delay == 1.0

    run(main())


def test_the_delay_is_never_below_a_millisecond() -> None:
    async def main() -> None:
        server = Server(0)
        call = hedge(server)
        await observe(call, server, *[0.0] * 30)
        assert call.stats().delay == 0.001

    run(main())


def test_one_in_twenty_is_made_again_for_good() -> None:
    """Not more and more of them, as would be if calls that lost were left out."""

    async def main() -> None:
        rng = Random(4)

        @hedge
        async def call() -> None:
            await asyncio.sleep(rng.expovariate(1))

        for _ in range(4000):
            await call()
        assert 0.03 < call.stats().extra / 4000 < 0.08
        assert call.stats().won > 0

    run(main())


def test_failed_and_cancelled_calls_do_not_count_for_the_delay() -> None:
    async def main() -> None:
        server = Server((0.1, Oops))
        call = hedge(server)
        again = hedge(server, on=Oops)
        for _ in range(50):
            with pytest.raises(Oops):
                await call()
            server.answers = (0.1, Oops), 1.0
            server.started.clear()
            assert await again() == 1
            server.answers = ((0.1, Oops),)
            with deadline(0.05), pytest.raises(DeadlineExceeded):
                await call()
        assert call.stats().delay is again.stats().delay is None

    run(main())


def test_functions_decorated_by_one_decorator_have_delays_of_their_own() -> None:
    async def main() -> None:
        decorate = hedge()
        server = Server(1)
        first, second = decorate(server), decorate(server)
        await observe(first, server, *[1.0] * 20)
        assert first.stats().delay == 1.0
        assert second.stats().delay is None

    run(main())
