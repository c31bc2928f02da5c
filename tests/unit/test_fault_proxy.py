"""What stands between tests and servers: the proxy and the servers do what they say."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def proxied() -> AsyncIterator[tuple[FaultProxy, asyncio.Event]]:
    """A proxy before a server that says everything twice; an event that it was asked."""
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            asked.set()
            writer.write(data * 2)
        writer.close()

    port = free_port()
    async with (
        asyncio.timeout(10),
        await asyncio.start_server(serve, "127.0.0.1", port),
        FaultProxy("127.0.0.1", port) as proxy,
    ):
        yield proxy, asked


@contextlib.asynccontextmanager
async def line_to(proxy: FaultProxy) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _through() -> None:
    async with proxied() as (proxy, _), line_to(proxy) as (reader, writer):
        writer.write(b"abc")
        assert await reader.readexactly(6) == b"abcabc"
        assert (proxy.accepted, proxy.open, proxy.requested) == (1, 1, 3)


def test_bytes_pass_both_ways() -> None:
    asyncio.run(_through())


@pytest.mark.parametrize("size", range(7))
def test_a_cut_comes_after_so_many_bytes(size: int) -> None:
    async def main() -> None:
        async with proxied() as (proxy, _), line_to(proxy) as (reader, writer):
            proxy.cut_after(size)
            writer.write(b"abc")
            if size < 6:
                assert await reader.read() == b"abcabc"[:size]
                async with line_to(proxy) as (again, other):  # it happens once
                    other.write(b"abc")
                    assert await again.readexactly(6) == b"abcabc"
            else:
                assert await reader.readexactly(6) == b"abcabc"
                writer.write(b"d")
                assert await reader.read() == b""

    asyncio.run(main())


def test_a_reset_is_one() -> None:
    async def main() -> None:
        async with proxied() as (proxy, _), line_to(proxy) as (reader, writer):
            proxy.cut_after(0, reset=True)
            writer.write(b"abc")
            with pytest.raises(ConnectionResetError):
                await reader.read()

    asyncio.run(main())


def test_what_is_held_comes_when_it_is_let_go() -> None:
    async def main() -> None:
        async with proxied() as (proxy, asked), line_to(proxy) as (reader, writer):
            proxy.hold()
            writer.write(b"abc")
            await asked.wait()
            assert proxy.replied == 0
            proxy.let_go()
            assert await reader.readexactly(6) == b"abcabc"

    asyncio.run(main())


def test_frozen_it_asks_nothing_and_takes_connections() -> None:
    async def main() -> None:
        async with proxied() as (proxy, asked):
            proxy.freeze()
            async with line_to(proxy) as (reader, writer):
                writer.write(b"abc")
                await proxy.until(lambda: proxy.open == 1)
                assert not asked.is_set()
                await proxy.heal()
                assert await reader.readexactly(6) == b"abcabc"

    asyncio.run(main())


def test_what_is_swallowed_was_asked() -> None:
    async def main() -> None:
        async with proxied() as (proxy, asked), line_to(proxy) as (reader, writer):
            proxy.swallow()
            writer.write(b"abc")
            await asked.wait()
            proxy.drop()
            assert await reader.read() == b""
            assert proxy.replied == 0

    asyncio.run(main())


def test_garbage_is_in_place_of_a_reply() -> None:
    async def main() -> None:
        async with proxied() as (proxy, _), line_to(proxy) as (reader, writer):
            proxy.garble(b"\x00\xff")
            writer.write(b"abc")
            assert await reader.readexactly(2) == b"\x00\xff"
            writer.write(b"abc")
            assert await reader.readexactly(6) == b"abcabc"

    asyncio.run(main())


def test_pieces_come_one_by_one() -> None:
    async def main() -> None:
        async with proxied() as (proxy, _), line_to(proxy) as (reader, writer):
            proxy.split()
            writer.write(b"abc")
            assert [await reader.read(100) for _ in range(6)] == [b"a", b"b", b"c"] * 2

    asyncio.run(main())


def test_half_closed_it_takes_and_says_nothing() -> None:
    async def main() -> None:
        async with proxied() as (proxy, asked), line_to(proxy) as (reader, writer):
            await proxy.until(lambda: proxy.open == 1)
            proxy.half_close()
            assert await reader.read() == b""
            writer.write(b"abc")
            await asked.wait()

    asyncio.run(main())


def test_refusing_it_cuts_and_comes_back_at_its_port() -> None:
    async def main() -> None:
        async with proxied() as (proxy, _), line_to(proxy) as (reader, _writer):
            await proxy.until(lambda: proxy.open == 1)
            proxy.refuse()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            with pytest.raises(ConnectionRefusedError):
                async with line_to(proxy):
                    pass
            await proxy.heal()
            async with line_to(proxy) as (again, other):
                other.write(b"a")
                assert await again.readexactly(2) == b"aa"

    asyncio.run(main())


def test_without_a_server_it_cuts() -> None:
    async def main() -> None:
        async with FaultProxy("127.0.0.1", free_port()) as proxy, line_to(proxy) as (reader, _):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""

    asyncio.run(main())


def test_a_cut_ends_what_is_held() -> None:
    async def main() -> None:
        async with proxied() as (proxy, asked), line_to(proxy) as (reader, writer):
            proxy.hold()
            writer.write(b"abc")
            await asked.wait()
            proxy.drop()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            await proxy.until(lambda: proxy.open == 0)

    asyncio.run(main())
