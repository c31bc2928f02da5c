"""`WebSocketHub`: who is in, and what comes and goes."""

from __future__ import annotations

import asyncio

import pytest
from tests.hubs import AsgiSocket, FakeSocket, QuickSocket, accounts, each_kind
from tests.loading import settle
from tests.steps import run

from penstock import WebSocketHub
from penstock.errors import (
    ClosedError,
    LimitExceeded,
)


@each_kind
def test_messages_come_and_go_in_order(kind: type[AsgiSocket]) -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), kind()
        socket.says("a", b"b", "c")
        async with hub.serve(socket) as client:
            got = [await client.receive() for _ in range(3)]
            for data in ("1", b"2", bytearray(b"3")):
                await client.send(data)  # type: ignore[arg-type]
            assert client.send_nowait("4")
            assert hub.broadcast("5") == 1
        assert got == ["a", b"b", "c"]
        assert socket.sent == ["1", b"2", b"3", "4", "5"]
        assert socket.goodbye == (1000, "")
        stats = hub.stats()
        assert (stats.messages_in, stats.messages_out) == (3, 5)
        assert (stats.bytes_in, stats.bytes_out) == (3, 5)
        assert (stats.closed_handler, stats.aborted, stats.peak) == (1, 0, 1)
        accounts(hub)

    run(main())


def test_bytes_are_those_on_the_way() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        socket.says("é")
        async with hub.serve(socket) as client:
            await client.receive()
            await client.send("€")
        assert (hub.stats().bytes_in, hub.stats().bytes_out) == (2, 3)

    run(main())


@each_kind
def test_iteration_ends_when_the_peer_leaves(kind: type[AsgiSocket]) -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), kind()
        socket.says("a")
        asyncio.get_running_loop().call_later(5, socket.leaves, 4001, "bye")
        async with hub.serve(socket) as client:
            assert [message async for message in client] == ["a"]
            assert client.closed
            assert (client.close_code, client.close_reason, client.cause) == (4001, "bye", "peer")
            assert len(hub) == 0
            with pytest.raises(ClosedError, match=r"closed with 4001 \(bye\)"):
                await client.receive()
            assert not client.send_nowait("x")
            await client.close()
        assert socket.goodbye is None
        assert hub.stats().closed_peer == 1
        accounts(hub)

    run(main())


def test_that_a_peer_has_left_is_no_error_of_its_server() -> None:
    async def main() -> None:
        hub, socket, other = WebSocketHub(), FakeSocket(), FakeSocket()
        async with hub.serve(socket) as client:
            socket.leaves()
            assert [message async for message in client] == []
            await client.send("x")
        # That of another client is one.
        async with hub.serve(other) as client:
            with pytest.raises(ClosedError):  # noqa: PT012
                async with hub.serve(FakeSocket()):
                    other.leaves()
                    assert [message async for message in client] == []
                    await client.send("x")

    run(main())


@pytest.mark.parametrize("kind", [FakeSocket, QuickSocket])
def test_error_of_a_socket_reaches_only_its_own_server(kind: type[FakeSocket]) -> None:
    async def main() -> None:
        hub, sick, well = WebSocketHub(), kind(), kind()
        ended = []

        async def serve(socket: FakeSocket) -> None:
            async with hub.serve(socket) as client:
                async for message in client:
                    await client.send(message)
            ended.append((client.cause, client.close_code))

        tasks = [asyncio.create_task(serve(socket)) for socket in (sick, well)]
        await settle()
        sick.error = RuntimeError("broken")
        hub.broadcast("all")
        await settle()
        assert ended == [("error", 1011)]
        assert sick.aborted == 1
        well.says("on")
        await settle()
        assert well.sent == ["all", "on"]
        well.leaves()
        await asyncio.gather(*tasks)
        assert (hub.stats().closed_error, hub.stats().closed_peer) == (1, 1)
        accounts(hub)

    run(main())


def test_error_of_receiving_passes_through() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        socket.error = ValueError("garbage")
        with pytest.raises(ValueError, match="garbage"):
            async with hub.serve(socket) as client:
                await client.receive()
        assert (client.cause, socket.aborted) == ("error", 1)
        with pytest.raises(ClosedError) as caught:
            await client.send("x")
        assert caught.value.__cause__ is socket.error

    run(main())


def test_a_connection_that_is_lost_was_left_by_its_peer() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        client = hub.add(socket)  # not in a block, which would end quietly
        socket.says("last words")
        socket.error = ConnectionResetError("gone")
        assert hub.broadcast("x") == 1
        await settle()
        assert (client.cause, client.close_code, len(hub)) == ("peer", 1006, 0)
        # What it has sent before is not lost.
        assert await client.receive() == "last words"
        socket.leaves()
        with pytest.raises(ClosedError):
            await client.receive()
        accounts(hub)

    run(main())


def test_one_more_than_the_maximum_is_refused_at_once() -> None:
    async def main() -> None:
        hub = WebSocketHub(max_connections=2, name="chat")
        sockets = [FakeSocket() for _ in range(4)]
        first = hub.add(sockets[0])
        hub.add(sockets[1])
        with pytest.raises(LimitExceeded, match="hub 'chat' has 2 of 2 connections") as caught:
            hub.add(sockets[2])
        assert (caught.value.waiting, caught.value.max_waiting) == (2, 2)
        assert sockets[2].goodbye is None
        with pytest.raises(LimitExceeded):
            async with hub.serve(sockets[3]):
                raise AssertionError
        assert sockets[3].goodbye == (1013, "try again later")
        await first.close()
        async with hub.serve(FakeSocket()):
            assert len(hub) == 2
        stats = hub.stats()
        assert (stats.accepted, stats.refused, stats.peak) == (3, 2, 2)
        assert stats.max_connections == 2
        accounts(hub)
        await hub.aclose()

    run(main())


def test_who_is_being_closed_still_counts() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(max_connections=1), FakeSocket()
        client = hub.add(socket)
        socket.freezes()
        closing = asyncio.create_task(client.close())
        await settle()
        assert (hub.stats().connections, hub.stats().closing) == (0, 1)
        with pytest.raises(LimitExceeded):
            hub.add(FakeSocket())
        await closing
        assert socket.aborted == 1
        await hub.add(FakeSocket()).close()

    run(main())


def test_a_refused_peer_that_does_not_say_goodbye_is_dropped() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(max_connections=1), FakeSocket()
        hub.add(FakeSocket())
        socket.freezes()
        with pytest.raises(LimitExceeded):
            await hub.serve(socket).__aenter__()
        assert socket.aborted == 1
        await hub.aclose()

    run(main())


def test_what_is_in_already_is_not_turned_away() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(max_connections=1), FakeSocket()
        client = hub.add(socket)
        with pytest.raises(ValueError, match="is in the hub already"):
            await hub.serve(socket).__aenter__()
        assert (client.closed, socket.goodbye, hub.stats().refused) == (False, None, 0)
        await client.close()

    run(main())


def test_what_is_refused_is_not_accepted() -> None:
    class Slow(FakeSocket):
        opened = 0

        async def open(self) -> None:
            self.opened += 1
            await asyncio.sleep(1)

    async def main() -> None:
        hub, socket = WebSocketHub(), Slow()
        with pytest.raises(TypeError, match="a group must be a str"):
            await hub.serve(socket, [1]).__aenter__()  # type: ignore[list-item]
        assert socket.opened == 0
        # Two that serve the same one.
        first = asyncio.create_task(hub.serve(socket).__aenter__())
        await settle()
        with pytest.raises(ValueError, match="is in the hub already"):
            await hub.serve(socket).__aenter__()
        with pytest.raises(ValueError, match="is in the hub already"):
            hub.add(socket)
        await (await first).close()
        assert socket.opened == 1

    run(main())


def test_a_socket_is_in_a_hub_once() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        client = hub.add(socket)
        with pytest.raises(ValueError, match="is in the hub already"):
            hub.add(socket)
        with pytest.raises(ValueError, match="is in the hub already"):
            async with hub.serve(socket):
                raise AssertionError
        with pytest.raises(TypeError, match="a group must be a str"):
            hub.add(FakeSocket(), [1])  # type: ignore[list-item]
        assert (len(hub), hub.stats().accepted) == (1, 1)
        await client.close()
        await hub.add(socket).close()
        serving = hub.serve(FakeSocket())
        async with serving:
            with pytest.raises(RuntimeError, match="entered already"):
                await serving.__aenter__()

    run(main())
