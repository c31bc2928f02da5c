"""`HttpPool`: bodies that do not come before an ambient deadline is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.loading import settle
from tests.web import serving

from penstock import DeadlineExceeded, HttpPool, deadline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientResponse


async def pieces(parts: AsyncIterator[object]) -> None:
    """Read to the end."""
    async for _ in parts:
        pass


def later(seconds: float) -> None:
    """Let time pass for the running loop."""
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds  # type: ignore[method-assign]


each_reader = pytest.mark.parametrize(
    "read",
    [
        lambda response: response.read(),
        lambda response: response.text(),
        lambda response: response.json(content_type=None),
        lambda response: response.content.read(),
        lambda response: response.content.readline(),
        lambda response: response.content.readexactly(100),
        lambda response: pieces(response.content),
        lambda response: pieces(response.content.iter_any()),
        lambda response: pieces(response.content.iter_chunks()),
        lambda response: pieces(response.content.iter_chunked(3)),
    ],
)


async def _read_too_long(response: ClientResponse, read: Any) -> None:
    task = asyncio.ensure_future(read(response))
    await settle()
    assert not task.done()
    later(150)
    await task


@each_reader
@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_body_ends_with_the_deadline(read: Any, is_awaited: bool) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            request = pool.get(site.url + "/halves", timeout=None)
            with deadline(100):
                response = await (request if is_awaited else request.__aenter__())
            with pytest.raises(DeadlineExceeded) as caught:
                await _read_too_long(response, read)
            assert caught.value.seconds == 100
            # Nor is there more for whoever asks again.
            if not response.closed:
                with pytest.raises(DeadlineExceeded):
                    await response.content.read(1)
            response.close()
            assert is_awaited or await request.__aexit__(None, None, None) is None
            assert pool.stats().in_flight == 0

    asyncio.run(main())


@each_reader
def test_a_body_ends_with_its_own_time_if_that_is_sooner(read: Any) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(timeout=100) as pool:
            with deadline(1000):
                async with pool.get(site.url + "/halves") as response:
                    with pytest.raises(TimeoutError) as caught:
                        await _read_too_long(response, read)
            assert not isinstance(caught.value, DeadlineExceeded)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["bytes", "json"])
def test_so_it_is_where_the_pool_reads_it(name: str) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            with deadline(20):
                task = asyncio.ensure_future(getattr(pool, name)(site.url + "/halves"))
                while not pool.stats().responses:  # noqa: ASYNC110  # it has no event
                    await asyncio.sleep(0)
                await settle()
                later(25)
                with pytest.raises(DeadlineExceeded):
                    await task
            assert pool.stats().in_flight == 0

    asyncio.run(main())


def test_so_it_is_where_the_pool_reads_it_between_two_attempts() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=3) as pool:
            site.plan = [503]
            with deadline(20):
                task = asyncio.ensure_future(pool.bytes(site.url + "/halves"))
                await site.begun.wait()
                # Of what is tried again no response is seen: it has no event either.
                for _ in range(10):
                    await settle()
                later(25)
                with pytest.raises(DeadlineExceeded):
                    await task
            assert (len(site.asked), pool.stats().in_flight) == (1, 0)

    asyncio.run(main())


def test_other_times_that_are_over_are_not_the_deadline() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(timeout=None) as pool:
            with deadline(1000):
                with pytest.raises(TimeoutError, match="mine"):
                    async with pool.get(site.url + "/halves"):
                        raise TimeoutError("mine")
                with pytest.raises(TimeoutError) as caught:
                    async with pool.get(site.url + "/halves") as response, asyncio.timeout(100):
                        await _read_too_long(response, lambda response: response.read())
            assert not isinstance(caught.value, DeadlineExceeded)
            assert pool.stats().in_flight == 0

    asyncio.run(main())


def test_what_has_no_body_is_as_it_was() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            site.plan = [204]
            with deadline(100):
                assert await pool.bytes(site.url) == b""
                async with pool.head(site.url) as response:
                    assert await response.read() == b""
                assert (await pool.json(site.url + "/large"))["status"] == 200

    asyncio.run(main())
