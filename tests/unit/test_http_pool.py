"""`HttpPool`: requests over connections that are kept."""

from __future__ import annotations

import asyncio
import os

import aiohttp
import pytest
from tests.forks import in_child
from tests.threads import LIMIT, spawn
from tests.web import serving

from penstock import ClosedError, DeadlineExceeded, HttpPool, WrongEventLoop, deadline


def test_connections_are_used_again() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            for number in range(5):
                async with pool.get(f"{site.url}/{number}") as response:
                    assert response.status == 200
                    assert (await response.json())["path"] == f"/{number}"
            assert len(site.peers) == 1
            stats = pool.stats()
            assert (stats.requests, stats.responses, stats.created, stats.reused) == (5, 5, 1, 4)
            assert (stats.in_flight, stats.failures, stats.retries) == (0, 0, 0)
            assert stats.seconds > 0
            host = site.url.removeprefix("http://")
            assert stats.hosts[host].requests == 5

    asyncio.run(main())


def test_a_request_may_be_awaited() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            response = await pool.get(site.url + "/a")
            assert await response.text() == '{"path": "/a", "status": 200}'
            assert pool.stats().in_flight == 0
            assert await pool.bytes(site.url + "/b") == b'{"path": "/b", "status": 200}'
            assert await pool.json(site.url + "/c") == {"path": "/c", "status": 200}
            response = await pool.get(site.url + "/halves")
            assert pool.stats().in_flight == 1, "its body is still to come"
            site.gate.set()
            assert await response.read() == b"one two"
            assert pool.stats().in_flight == 0
            for end in ("release", "close"):
                site.gate.clear()
                response = await pool.get(site.url + "/halves")
                getattr(response, end)()
                assert pool.stats().in_flight == 0
                site.gate.set()

    asyncio.run(main())


def test_all_methods_and_options_of_aiohttp() -> None:
    async def main() -> None:
        async with (
            serving() as site,
            HttpPool(base_url=site.url, headers={"X-Mine": "yes"}) as pool,
        ):
            for method in ("get", "post", "put", "patch", "delete", "head"):
                async with getattr(pool, method)("/x", params={"a": "b c"}) as response:
                    assert response.status == 200
            async with pool.request("options", "/y", json={"k": 1}) as response:
                assert response.ok
            methods = [method for method, _, _ in site.asked]
            assert methods == ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
            assert site.asked[0][1] == "/x?a=b+c"
            assert site.asked[-1][2] == b'{"k": 1}'
            assert all(headers["X-Mine"] == "yes" for headers in site.headers)
            host = site.url.removeprefix("http://")
            assert pool.stats().hosts[host].requests == 7

    asyncio.run(main())


def test_only_so_many_connections_to_one_host() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(per_host=3) as pool:
            await asyncio.gather(*[pool.bytes(site.url) for _ in range(30)])
            assert site.most_at_once <= 3
            assert pool.stats().created == 3

    asyncio.run(main())


def test_a_status_is_the_callers_business_unless_he_wants_the_body() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            site.plan = [404, 404, 500]
            async with pool.get(site.url) as response:
                assert response.status == 404
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await pool.json(site.url)
            assert caught.value.status == 404
            with pytest.raises(aiohttp.ClientResponseError):
                await pool.bytes(site.url)
            assert pool.stats().in_flight == 0
            assert pool.stats().responses == 3

    asyncio.run(main())


def test_time_is_bounded_by_the_pool_by_the_request_and_by_the_deadline() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(timeout=0.05) as pool:
            with pytest.raises(TimeoutError) as caught:
                await pool.get(site.url + "/held")
            assert not isinstance(caught.value, DeadlineExceeded)
            with deadline(0.02), pytest.raises(DeadlineExceeded) as exceeded:
                await pool.get(site.url + "/held", timeout=None)
            assert exceeded.value.seconds == 0.02
            with pytest.raises(TimeoutError):
                await pool.bytes(site.url + "/halves", timeout=0.03)
            stats = pool.stats()
            assert (stats.timeouts, stats.failures, stats.in_flight) == (2, 2, 0)
            asked = len(site.asked)
            with deadline(0.001):
                await asyncio.sleep(0.002)
                with pytest.raises(DeadlineExceeded):
                    await pool.get(site.url)
            assert len(site.asked) == asked
            site.gate.set()
            assert await pool.bytes(site.url + "/held", timeout=LIMIT)

    asyncio.run(main())


def test_failures_are_counted_by_host() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            site.plan = ["drop"]
            with pytest.raises(aiohttp.ClientConnectionError):
                await pool.post(site.url)
            stats = pool.stats()
            assert (stats.failures, stats.timeouts, stats.responses) == (1, 0, 0)
            assert stats.hosts[site.url.removeprefix("http://")].failures == 1

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/held", "/halves"])
def test_a_cancelled_request_takes_its_connection_with_it(path: str) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(per_host=1) as pool:
            task = asyncio.ensure_future(pool.bytes(site.url + path))
            await site.begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert pool.stats().in_flight == 0
            site.gate.set()
            assert await pool.json(site.url + "/mine") == {"path": "/mine", "status": 200}
            assert pool.stats().created == 2

    asyncio.run(main())


def test_a_request_that_is_cancelled_at_any_step_leaves_the_pool_as_it_was() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(per_host=2) as pool:
            await pool.bytes(site.url)
            step, ended = 0, 0
            while ended < 3:
                task = asyncio.ensure_future(pool.json(f"{site.url}/{step}"))
                for _ in range(step):
                    await asyncio.sleep(0)
                ended += not task.cancel()
                result = (await asyncio.gather(task, return_exceptions=True))[0]
                if not isinstance(result, BaseException):
                    assert result["path"] == f"/{step}"
                assert pool.stats().in_flight == 0
                assert (await pool.json(f"{site.url}/next"))["path"] == "/next"
                step += 1
            stats = pool.stats()
            assert stats.requests == stats.responses + stats.cancelled
            assert stats.cancelled > 3

    asyncio.run(main())


def test_a_block_that_breaks_off_takes_its_connection_with_it() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(per_host=1, timeout=LIMIT / 2) as pool:
            kept: list[aiohttp.ClientResponse] = []

            async def use() -> None:
                async with pool.get(site.url + "/large") as response:
                    kept.append(response)
                    raise ValueError("mine")

            with pytest.raises(ValueError, match="mine"):
                await use()
            assert await pool.json(site.url + "/mine") == {"path": "/mine", "status": 200}
            assert kept[0].closed

    asyncio.run(main())


def test_closing_waits_for_what_is_under_way() -> None:
    async def main() -> None:
        async with serving() as site:
            pool = HttpPool()
            task = asyncio.ensure_future(pool.bytes(site.url + "/halves"))
            await site.begun.wait()
            closing = asyncio.ensure_future(pool.aclose())
            await asyncio.sleep(0)
            with pytest.raises(ClosedError):
                await pool.get(site.url)
            assert (closing.done(), pool.closed) == (False, True)
            site.gate.set()
            assert await task == b"one two"
            await closing
            await pool.aclose()

    asyncio.run(main())


def test_closing_does_not_wait_for_ever() -> None:
    async def main() -> None:
        async with serving() as site:
            pool = HttpPool()
            task = asyncio.ensure_future(pool.bytes(site.url + "/halves"))
            await site.begun.wait()
            await pool.aclose(timeout=0.01)
            with pytest.raises(aiohttp.ClientError):
                await task

    asyncio.run(main())


def test_closing_ends_what_waits_for_an_answer() -> None:
    async def main() -> None:
        async with serving() as site:
            pool = HttpPool(retry=2)
            tasks = [asyncio.ensure_future(pool.bytes(site.url + "/held")) for _ in range(3)]
            await site.begun.wait()
            await pool.aclose(timeout=0.01)
            for task in tasks:
                with pytest.raises(ClosedError):
                    await task
            assert pool.stats().in_flight == 0

    asyncio.run(main())


def test_closing_may_be_cancelled() -> None:
    async def main() -> None:
        async with serving() as site:
            pool = HttpPool()
            task = asyncio.ensure_future(pool.bytes(site.url + "/halves"))
            await site.begun.wait()
            closing = asyncio.ensure_future(pool.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            with pytest.raises(aiohttp.ClientError):
                await task

    asyncio.run(main())


def test_a_pool_that_nobody_used_is_closed_as_well() -> None:
    async def main() -> None:
        pool = HttpPool()
        await pool.aclose()
        errors = await asyncio.gather(*[pool.__aenter__() for _ in "ab"], return_exceptions=True)
        assert [type(error) for error in set(errors)] == [ClosedError] * 2, "each has his own"

    asyncio.run(main())


def test_it_begins_anew_when_its_loop_is_closed() -> None:
    pool = HttpPool()

    async def use() -> None:
        async with serving() as site:
            assert (await pool.json(site.url + "/x"))["path"] == "/x"

    asyncio.run(use())
    asyncio.run(use())
    assert pool.stats().created == 2

    async def end() -> None:
        await pool.aclose()

    asyncio.run(end())


def test_another_loop_is_told_so() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            await pool.bytes(site.url)

            async def other() -> None:
                with pytest.raises(WrongEventLoop):
                    await pool.get(site.url)
                with pytest.raises(WrongEventLoop):
                    await pool.aclose()
                assert not pool.closed

            await asyncio.to_thread(lambda: spawn(asyncio.run, other()).result())

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_connections_to_its_parent() -> None:
    pool = HttpPool()

    async def use() -> None:
        async with serving() as site:
            await pool.bytes(site.url)

    asyncio.run(use())

    def child() -> None:
        assert pool._session is None
        asyncio.run(use())

    assert in_child(child)

    async def end() -> None:
        await pool.aclose()

    asyncio.run(end())


def test_it_says_what_it_is() -> None:
    from penstock import _components

    pool = HttpPool(limit=7, name="out")
    assert repr(pool) == "HttpPool(limit=7, in_flight=0, name='out')"
    kind, stats = _components.stats_of(pool)
    assert kind.name == "http_pool"
    assert all(isinstance(getattr(stats, field.attribute), int | float) for field in kind.fields)
    assert {field.attribute for field in kind.fields} | {"hosts"} == set(type(stats).__slots__)  # type: ignore[attr-defined]
    assert pool.name == "out"


def test_a_request_is_made_once() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            request = pool.get(site.url)
            async with request:
                with pytest.raises(RuntimeError, match="made once"):
                    await request.__aenter__()
            pool.get(site.url)  # one that nobody awaits is not made
            assert len(site.asked) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a:80/b", "a:80"),
        ("https://user:secret@a/b@c", "a"),
        ("http://a?b=http://c/d", "a"),
        ("/b?c=http://d/e", "base:1"),
        ("b", "base:1"),
    ],
)
def test_requests_are_counted_by_host(url: str, host: str) -> None:
    pool = HttpPool(base_url="http://me@base:1/x/")
    assert pool.get(url)._host() == host


def test_hosts_beyond_the_first_ones_are_summed() -> None:
    from penstock.pools import _http_stats

    counts = _http_stats.Counts()
    for number in range(_http_stats._MOST_HOSTS + 10):
        counts.host(f"h{number}")[0] += 1
    hosts = counts.stats().hosts
    assert len(hosts) == _http_stats._MOST_HOSTS + 1
    assert hosts[""].requests == 10
