"""`HttpPool`: bodies that break off, that cannot be sent again, or that nobody reads; cookies."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from tests.web import serving

from penstock import HttpPool, attempts
from penstock.pools import _http_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def no_delay(_: float) -> None:
    """Go on at once."""


TWICE = attempts(2, base=0, sleep=no_delay)


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("retry", [{}, {"retry": TWICE}])
@pytest.mark.parametrize(
    "data",
    [
        lambda: io.BytesIO(b"content"),
        lambda: {"name": "x", "file": io.BytesIO(b"content")},
        lambda: [("file", io.BytesIO(b"content"))],
        lambda: (("name", "x"), ["file", io.StringIO("content")]),
        lambda: [io.BytesIO(b"content")],
        lambda: aiohttp.FormData({"file": io.BytesIO(b"content")}),
    ],
)
def test_a_file_is_sent_once(data: Any, retry: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=TWICE) as pool:
            site.plan = [503]
            async with pool.put(site.url, data=data(), **retry) as response:
                assert response.status == 503
            assert [b"content" in body for _, _, body in site.asked] == [True]

    asyncio.run(main())


@pytest.mark.parametrize(
    "data",
    ["a=1", b"a=1", bytearray(b"a=1"), {"a": "1"}, {"a": 1}, [("a", "1")], (["a", 1],)],
)
def test_a_form_without_a_file_is_sent_again(data: Any) -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(retry=TWICE) as pool:
            site.plan = [503]
            async with pool.put(site.url, data=data) as response:
                assert response.status == 200
            assert [body for _, _, body in site.asked] == [b"a=1"] * 2

    asyncio.run(main())


# --- what breaks off ------------------------------------------------------------------------------


@asynccontextmanager
async def breaking(times: int, header: bytes = b"") -> AsyncIterator[str]:
    """Serve, and cut off the bodies of the first answers, which are 503."""
    answers = iter([b"HTTP/1.1 503 No\r\n%bContent-Length: 9\r\n\r\nabc" % header] * times)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        writer.write(next(answers, whole))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    async def main() -> None:
        async with breaking(1) as url, HttpPool(retry=2) as pool:
            assert await pool.bytes(url) == b"ok"
            assert (pool.stats().retries, pool.stats().in_flight) == (1, 0)

    asyncio.run(main())


def test_an_answer_that_breaks_off_is_an_error_when_there_is_no_time_left() -> None:
    async def main() -> None:
        async with breaking(1, b"Retry-After: 1000\r\n") as url, HttpPool(retry=TWICE) as pool:
            with pytest.raises(aiohttp.ClientPayloadError):
                await pool.get(url)
            assert (pool.stats().failures, pool.stats().in_flight) == (1, 0)

    asyncio.run(main())


# --- what nobody reads ----------------------------------------------------------------------------


def test_a_response_that_nobody_reads_gives_its_connection_back_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_http_request, "_LATER", 0.01)

    async def main() -> None:
        async with serving() as site, HttpPool(limit=1) as pool:
            response = await pool.get(site.url + "/large", timeout=0.2)
            assert response.status == 200
            assert pool.stats().in_flight == 1
            assert await pool.bytes(site.url) == b'{"path": "/", "status": 200}'
            assert pool.stats().in_flight == 0
            with pytest.raises(aiohttp.ClientError):
                await response.read()

    asyncio.run(main())


def test_what_is_read_in_time_is_not_closed_behind_its_back() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool() as pool:
            request = pool.get(site.url + "/large")
            response = await request
            assert request._closer is not None
            assert len(await response.read()) == 4_000_000
            assert request._closer is None

    asyncio.run(main())


# --- cookies --------------------------------------------------------------------------------------


@asynccontextmanager
async def greeting() -> AsyncIterator[str]:
    """Serve, and tell whoever asks by which cookie he is known."""

    async def answer(request: web.Request) -> web.Response:
        response = web.Response(text=request.cookies.get("session", "nobody"))
        if "user" in request.query:
            response.set_cookie("session", request.query["user"])
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "localhost", 0).start()
        yield f"http://localhost:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("options", "known"), [({}, b"nobody"), ({"cookies": True}, b"ada")])
def test_cookies_are_kept_for_all_only_if_that_is_wanted(
    options: dict[str, Any], known: bytes
) -> None:
    async def main() -> None:
        async with greeting() as url, HttpPool(**options) as pool:
            assert await pool.bytes(url, params={"user": "ada"}) == b"nobody"
            assert await pool.bytes(url) == known
            assert await pool.bytes(url, cookies={"session": "bob"}) == b"bob"

    asyncio.run(main())
    with pytest.raises(TypeError, match="cookies must be a bool"):
        HttpPool(cookies={})  # type: ignore[arg-type]
