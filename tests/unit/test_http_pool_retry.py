"""`HttpPool`: what is tried again, and what is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from tests.web import serving

from penstock import DeadlineExceeded, HttpPool, attempts, deadline


def tries(most: int, waits: list[float] | None = None, **options: Any) -> Any:
    """Attempts without delays, which are noted."""

    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)

    return attempts(most, base=0, sleep=sleep, **options)


@pytest.mark.parametrize("failure", [502, 503, 504, "drop"])
def test_what_is_passing_is_tried_again(failure: Any) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=tries(3)) as pool:
            site.plan = [failure, failure]
            assert (await pool.json(site.url))["status"] == 200
            stats = pool.stats()
            # Of a connection that was cut aiohttp tries once more itself.
            assert (stats.requests, stats.responses) == (1, 1)
            assert stats.retries == (1 if failure == "drop" else 2)
            assert stats.failures == stats.in_flight == 0
            assert len(site.asked) == 3

    asyncio.run(main())


def test_the_last_response_is_handed_over_whole() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=tries(2)) as pool:
            site.plan = [503, 503]
            async with pool.get(site.url + "/x") as response:
                assert response.status == 503
                assert await response.json(content_type=None) == {"path": "/x", "status": 503}
            # So it is where there was no time for another attempt.
            site.plan = [(503, {"Retry-After": "1000"})]
            async with pool.get(site.url + "/y") as response:
                assert response.status == 503
                assert await response.json(content_type=None) == {"path": "/y", "status": 503}
            assert len(site.asked) == 3
            assert pool.stats().in_flight == 0

    asyncio.run(main())


def test_a_connection_is_not_kept_for_the_time_of_a_delay() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=tries(2), per_host=1, timeout=5) as pool:
            site.plan = [503]
            assert (await pool.json(site.url + "/large"))["status"] == 200

    asyncio.run(main())


def test_a_server_is_given_the_time_that_it_asks_for() -> None:
    async def main() -> None:
        waits: list[float] = []
        async with serving() as site, HttpPool(retry=tries(3, waits)) as pool:
            later = datetime.now(UTC) + timedelta(seconds=60)
            site.plan = [
                (503, {"Retry-After": "7"}),
                (503, {"Retry-After": format_datetime(later, usegmt=True)}),
            ]
            assert await pool.json(site.url)
            assert waits[0] == 7
            assert 55 < waits[1] <= 60

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "options", "is_retried"),
    [
        ("GET", {}, True),
        ("PUT", {"data": b"x"}, True),
        ("DELETE", {}, True),
        ("POST", {}, False),
        ("PATCH", {}, False),
        ("POST", {"retry": tries(2)}, True),
        ("GET", {"retry": None}, False),
    ],
)
def test_only_what_may_be_done_twice_is_done_twice(
    method: str, options: dict[str, Any], is_retried: bool
) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=tries(2)) as pool:
            site.plan = [503]
            async with pool.request(method, site.url, **options) as response:
                assert response.status == (200 if is_retried else 503)

    asyncio.run(main())


def test_a_body_that_is_gone_is_not_sent_again() -> None:
    async def parts() -> Any:
        yield b"one "
        yield b"two"

    async def main() -> None:
        async with serving() as site, HttpPool(retry=tries(2)) as pool:
            site.plan = [503]
            async with pool.put(site.url, data=parts()) as response:
                assert response.status == 503
            assert [body for _, _, body in site.asked] == [b"one two"]

    asyncio.run(main())


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_other_statuses_are_answers(status: int) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=2) as pool:
            site.plan = [status]
            async with pool.get(site.url) as response:
                assert response.status == status

    asyncio.run(main())


def test_a_number_of_attempts_is_enough_to_say() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=3) as pool:
            site.plan = ["drop"]
            assert (await pool.json(site.url))["status"] == 200
            site.plan = [503]
            with pytest.raises(aiohttp.ClientResponseError):
                await pool.json(site.url, retry=1)
            site.plan = [503]
            async with pool.get(site.url, raise_for_status=True) as response:
                assert response.status == 200

    asyncio.run(main())


def test_a_server_that_is_not_there_fails_in_the_end() -> None:
    async def main() -> None:
        async with serving() as site:
            url = site.url
        async with HttpPool(retry=tries(3)) as pool:
            with pytest.raises(aiohttp.ClientConnectorError):
                await pool.get(url)
            stats = pool.stats()
            assert (stats.failures, stats.retries, stats.in_flight) == (1, 2, 0)

    asyncio.run(main())


def test_a_deadline_ends_all_attempts() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=attempts(None, base=0.001)) as pool:
            site.plan = [503] * 3
            with deadline(0.1), pytest.raises(DeadlineExceeded):
                await pool.get(site.url + "/held", timeout=None)
            assert pool.stats().in_flight == 0

    asyncio.run(main())


def test_a_time_that_was_over_is_not_tried_again() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=3, timeout=0.03) as pool:
            with pytest.raises(TimeoutError):
                await pool.get(site.url + "/held")
            assert len(site.asked) == 1

    asyncio.run(main())
