"""`WebSocketHub` in real servers of three kinds, with real clients."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import aiohttp.web
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from tests.hubs import FakeSocket
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from penstock import WebSocketHub
from penstock.errors import ClosedError, LimitExceeded

Handler = Callable[[Any], Awaitable[None]]
#: Seconds in which everything here has happened long ago.
LIMIT = 15


@asynccontextmanager
async def _websockets(handler: Handler) -> AsyncIterator[str]:
    # Its own patience is longer than that of any test.
    options = {"ping_interval": None, "close_timeout": 10 * LIMIT}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def _aiohttp(handler: Handler) -> AsyncIterator[str]:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        websocket = aiohttp.web.WebSocketResponse()
        await websocket.prepare(request)
        await handler(websocket)
        return websocket

    app = aiohttp.web.Application()
    app.router.add_get("/", handle)
    runner = aiohttp.web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _starlette(handler: Handler) -> AsyncIterator[str]:
    async def endpoint(websocket: WebSocket) -> None:
        await handler(websocket)

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    config = uvicorn.Config(
        app,
        log_level="critical",
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws="websockets-sansio",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve([listening]))
        try:
            while not server.started:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.001)
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


SERVERS = {"websockets": _websockets, "aiohttp": _aiohttp, "starlette": _starlette}
each_server = pytest.mark.parametrize("kind", SERVERS)


class Program:
    """A server whose handlers echo, and tell how their clients have ended."""

    def __init__(self, **options: Any) -> None:
        self.hub = WebSocketHub(**options)
        self.ended: asyncio.Queue[tuple[object, object, object]] = asyncio.Queue()
        self.joined = asyncio.Semaphore(0)
        self.websockets: list[Any] = []

    async def handle(self, websocket: Any) -> None:
        try:
            async with self.hub.serve(websocket, "all") as client:
                self.websockets.append(websocket)
                self.joined.release()
                async for message in client:
                    await client.send(message)
        except LimitExceeded:
            await self.ended.put(("refused", None, None))
        else:
            await self.ended.put((client.cause, client.close_code, client.close_reason))


def _run(kind: str, program: Callable[[Program, str], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        made = Program(**options)
        async with asyncio.timeout(LIMIT), SERVERS[kind](made.handle) as url:
            await program(made, url)
            await made.hub.aclose(timeout=2)
        stats = made.hub.stats()
        assert (stats.connections, stats.closing) == (0, 0)

    asyncio.run(main())


@each_server
def test_echo_and_broadcast(kind: str) -> None:
    async def program(made: Program, url: str) -> None:
        async with connect(url) as first, connect(url) as second:
            for message in ("a", b"b", "é" * 50_000, b"\0" * 100_000):
                await first.send(message)
                assert await first.recv() == message
            await made.joined.acquire()
            await made.joined.acquire()
            assert made.hub.broadcast("to all") == 2
            assert [await first.recv(), await second.recv()] == ["to all"] * 2
            await first.close(4002, "enough")
        ended = {await made.ended.get(), await made.ended.get()}
        assert ended == {("peer", 4002, "enough"), ("peer", 1000, "")}
        stats = made.hub.stats()
        assert (stats.messages_in, stats.messages_out) == (4, 6)
        assert (stats.bytes_in, stats.bytes_out) == (200_002, 200_002 + 12)
        assert stats.closed_peer == 2

    _run(kind, program)


@each_server
def test_one_too_many_is_told_to_try_again_later(kind: str) -> None:
    async def program(made: Program, url: str) -> None:
        async with connect(url) as first:
            await made.joined.acquire()
            async with connect(url) as second:
                with pytest.raises(ConnectionClosed):
                    await second.recv()
                assert (second.close_code, second.close_reason) == (1013, "try again later")
            assert (await made.ended.get())[0] == "refused"
            await first.send("still here")
            assert await first.recv() == "still here"
        assert made.hub.stats().refused == 1

    _run(kind, program, max_connections=1)


@each_server
def test_hub_tells_its_code_and_reason(kind: str) -> None:
    async def program(made: Program, url: str) -> None:
        async with connect(url) as websocket:
            await made.joined.acquire()
            made.hub.broadcast("last")
            assert await made.hub.close(4000, "restart") == 1
            assert await websocket.recv() == "last"
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert (websocket.close_code, websocket.close_reason) == (4000, "restart")
        assert await made.ended.get() == ("hub", 4000, "restart")
        assert made.hub.stats().aborted == 0

    _run(kind, program)


@each_server
def test_idle_peer_is_closed(kind: str) -> None:
    async def program(made: Program, url: str) -> None:
        async with connect(url) as websocket:
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert (websocket.close_code, websocket.close_reason) == (1000, "idle for 0.2 s")
        assert (await made.ended.get())[0] == "idle"

    _run(kind, program, idle_timeout=0.2)


@each_server
def test_a_peer_that_is_cut_off_has_left(kind: str) -> None:
    async def program(made: Program, url: str) -> None:
        websocket = await connect(url)
        await made.joined.acquire()
        websocket.transport.abort()
        assert (await made.ended.get())[0] == "peer"
        assert made.hub.broadcast("nobody") == 0
        await websocket.wait_closed()

    _run(kind, program)


def _is_gone(websocket: Any) -> bool:
    """Whether the connection is closed, not only about to be when all of it is sent."""
    writer = getattr(websocket, "_writer", websocket)
    return bool(writer.transport.get_extra_info("socket").fileno() == -1)


@each_server
def test_a_peer_that_nobody_reads_from_has_left_when_it_cannot_be_told(kind: str) -> None:
    hub = WebSocketHub()
    ready, end = asyncio.Event(), asyncio.Event()

    async def handle(websocket: Any) -> None:
        if kind == "starlette":
            await websocket.accept()
        client = hub.add(websocket)
        ready.set()
        await end.wait()
        assert (client.cause, client.close_code is None) == ("peer", False)

    async def main() -> None:
        async with asyncio.timeout(LIMIT), SERVERS[kind](handle) as url:
            websocket = await connect(url)
            await ready.wait()
            await websocket.close() if kind == "websockets" else websocket.transport.abort()
            while len(hub):
                hub.broadcast("are you there?")
                await asyncio.sleep(0.01)
            end.set()
            await websocket.wait_closed()
        assert (hub.stats().closed_peer, hub.stats().closed_error) == (1, 0)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["websockets", "aiohttp"])
def test_peer_that_answers_pings_stays(kind: str) -> None:
    async def program(made: Program, url: str) -> None:
        async with connect(url, ping_interval=None) as websocket:
            await made.joined.acquire()
            while made.hub.stats().pongs < 3:  # noqa: ASYNC110  # nor this
                await asyncio.sleep(0.01)
            await websocket.send("x")
            assert await websocket.recv() == "x"
        assert made.hub.stats().closed_health == 0

    _run(kind, program, health_interval=0.02, health_timeout=5)


def test_aiohttp_answers_the_pings_of_its_peer() -> None:
    async def program(made: Program, url: str) -> None:
        async with connect(url, ping_interval=None) as websocket:
            await (await websocket.ping())

    _run("aiohttp", program)


def test_aiohttp_must_be_prepared() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="must be prepared first"):
            WebSocketHub().add(aiohttp.web.WebSocketResponse())

    asyncio.run(main())


@each_server
def test_what_is_refused_is_as_it_was(kind: str) -> None:
    states: list[dict[str, object]] = []
    read = {"websockets": "recv", "aiohttp": "receive", "starlette": "receive"}[kind]

    async def handle(websocket: Any) -> None:
        full, closed, hub = WebSocketHub(max_connections=1), WebSocketHub(), WebSocketHub()
        full.add(FakeSocket())
        await closed.aclose()
        states.append(dict(vars(websocket)))
        with pytest.raises(TypeError, match="a group must be a str"):
            await hub.serve(websocket, [1]).__aenter__()  # type: ignore[list-item]
        states.append(dict(vars(websocket)))
        if kind == "starlette":
            await websocket.accept()
        states.append(dict(vars(websocket)))
        with pytest.raises(LimitExceeded):
            full.add(websocket)
        with pytest.raises(ClosedError):
            closed.add(websocket)
        with pytest.raises(TypeError, match="a group must be a str"):
            hub.add(websocket, [1])  # type: ignore[list-item]
        states.append(dict(vars(websocket)))
        await getattr(websocket, read)()

    async def main() -> None:
        async with (
            asyncio.timeout(LIMIT),
            SERVERS[kind](handle) as url,
            connect(url, ping_interval=None) as websocket,
        ):
            await (await websocket.ping())
            await websocket.send("x")
        assert states[0] == states[1]
        assert states[2] == states[3]

    asyncio.run(main())


@each_server
def test_peer_that_goes_away_in_the_middle_of_much(kind: str) -> None:
    async def program(made: Program, url: str) -> None:
        reader, writer = await _raw(url)
        await made.joined.acquire()
        (client,) = made.hub.clients()
        # More than fits into any socket: the peer reads nothing of it.
        for _ in range(100):
            made.hub.broadcast(b"\0" * 1_000_000)
        assert client.pending > 0
        writer.transport.abort()
        assert (await made.ended.get())[0] == "peer"
        del reader

    _run(kind, program, queue=10)


async def _raw(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect with nothing that would read, or answer."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    return reader, writer


#: Connects, tells so, and reads what comes.
_CHILD = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
    peer.sendall(
        b"GET / HTTP/1.1\\r\\nHost: h\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n"
    )
    peer.recv(1)
    print(flush=True)
    while peer.recv(65536):
        pass
"""


@contextmanager
def _process(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a peer of its own process; it has said something when it is connected."""
    port = url.rpartition(":")[2]
    command = [sys.executable, "-c", _CHILD, port]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


# ASGI knows no pings: what tells is that nothing can be sent any more.
@pytest.mark.parametrize(
    ("kind", "is_full"),
    [(kind, is_full) for kind in SERVERS for is_full in (False, True) if is_full or kind[0] != "s"],
)
def test_stopped_peer_is_noticed_and_dropped(kind: str, is_full: bool) -> None:
    async def program(made: Program, url: str) -> None:
        with _process(url) as process:
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)
            process.send_signal(signal.SIGSTOP)
            await made.joined.acquire()
            await notice(made, url)

    async def notice(made: Program, url: str) -> None:
        async with connect(url) as well:
            await made.joined.acquire()
            messages = 40 if is_full else 1
            for number in range(messages):
                made.hub.broadcast(str(number) * 500_000)
                # The one that does not read delays nobody.
                assert await well.recv() == str(number) * 500_000
            assert (await made.ended.get())[0] == "health"
            await well.send("x")
            assert await well.recv() == "x"
            stats = made.hub.stats()
            assert stats.closed_health == 1
            # uvicorn takes the goodbye when it has room, else its coroutine goes on without it.
            assert stats.aborted == 1
            # ASGI shows no transport: the server's coroutine has ended, and that is all.
            while kind != "starlette" and not _is_gone(made.websockets[0]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    _run(kind, program, health_interval=0.3, health_timeout=0.5, queue=1000)
