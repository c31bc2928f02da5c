"""`WebSocketHub`: how clients, and the hub itself, come to their end."""

from __future__ import annotations

import asyncio

import pytest
from tests.hubs import AsgiSocket, FakeSocket, accounts, each_kind
from tests.loading import settle
from tests.steps import run

from penstock import WebSocketHub, deadline
from penstock.errors import (
    ClosedError,
)


@each_kind
def test_what_waits_is_sent_before_the_goodbye(kind: type[AsgiSocket]) -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), kind()
        socket.is_frozen = True
        async with hub.serve(socket) as client:
            for number in range(3):
                hub.broadcast(str(number))
            asyncio.get_running_loop().call_later(1, socket.thaws)
        assert socket.sent == list("012")
        assert (client.cause, hub.stats().unsent) == ("handler", 0)

    run(main())


@pytest.mark.parametrize(
    ("error", "goodbye"),
    [(ValueError(), (1011, "internal error")), (asyncio.CancelledError(), (1001, "going away"))],
)
def test_close_code_tells_how_the_server_has_ended(error: BaseException, goodbye: object) -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        with pytest.raises(type(error)):
            async with hub.serve(socket):
                raise error
        await settle()
        assert socket.goodbye == goodbye
        assert hub.stats().closed_handler == 1

    run(main())


@each_kind
def test_hub_closes_all_and_goes_on(kind: type[AsgiSocket]) -> None:
    async def main() -> None:
        hub = WebSocketHub()
        sockets = [kind() for _ in range(4)]

        async def serve(socket: AsgiSocket, group: str) -> object:
            async with hub.serve(socket, group) as client:
                assert [message async for message in client] == []
            return client.cause, client.close_code

        tasks = [asyncio.create_task(serve(s, f"g{i % 2}")) for i, s in enumerate(sockets)]
        await settle()
        assert await hub.close(4000, "restart", group="g0") == 2
        assert [s.goodbye for s in sockets] == [(4000, "restart"), None] * 2
        assert await hub.close() == 2
        assert sockets[1].goodbye == (1001, "going away")
        assert await hub.close() == 0
        assert await asyncio.gather(*tasks) == [("hub", 4000), ("hub", 1001)] * 2
        assert not hub.closed
        await hub.add(kind()).close()

    run(main())


@each_kind
def test_aclose_drops_those_that_do_not_say_goodbye(kind: type[AsgiSocket]) -> None:
    async def main() -> None:
        hub, loop = WebSocketHub(), asyncio.get_running_loop()
        frozen, full, polite = kind(), kind(), kind()
        frozen.is_polite = False
        full.freezes()

        async def serve(socket: AsgiSocket) -> None:
            async with hub.serve(socket) as client:
                async for _ in client:
                    pass

        tasks = [asyncio.create_task(serve(s)) for s in (frozen, full, polite)]
        await settle()
        hub.broadcast("x")
        start = loop.time()
        await hub.aclose(timeout=3)
        assert loop.time() - start == pytest.approx(3)
        assert [s.aborted for s in (frozen, full, polite)] == [1, 1, 0]
        await asyncio.gather(*tasks)
        assert hub.closed
        with pytest.raises(ClosedError, match="the hub is closed"):
            hub.add(kind())
        late = kind()
        with pytest.raises(ClosedError):
            async with hub.serve(late):
                raise AssertionError
        assert late.goodbye == (1001, "going away")
        stats = hub.stats()
        assert (stats.closed_hub, stats.aborted, stats.unsent) == (3, 2, 1)
        await hub.aclose()
        accounts(hub)

    run(main())


@pytest.mark.parametrize("end", ["close", "aclose"])
def test_without_a_timeout_it_takes_as_long_as_it_takes(end: str) -> None:
    async def main() -> None:
        hub, socket, loop = WebSocketHub(), FakeSocket(), asyncio.get_running_loop()
        client = hub.add(socket)
        socket.freezes()
        hub.broadcast("a")
        hub.broadcast("b")
        loop.call_later(100_000, socket.thaws)
        await getattr(hub, end)(timeout=None)
        assert (socket.sent, socket.goodbye) == (["a", "b"], (1001, "going away"))
        assert (client.cause, socket.aborted, hub.stats().aborted) == ("hub", 0, 0)

    run(main())


@pytest.mark.parametrize("end", ["close", "aclose"])
def test_a_deadline_ends_the_wait_for_goodbyes(end: str) -> None:
    async def main() -> None:
        hub, socket, loop = WebSocketHub(), FakeSocket(), asyncio.get_running_loop()
        hub.add(socket)
        socket.freezes()
        start = loop.time()
        with deadline(3):
            await getattr(hub, end)(timeout=None)
        assert loop.time() - start == pytest.approx(3)
        assert socket.aborted == 1

    run(main())


def test_a_closing_that_takes_as_long_as_it_takes_can_be_cut_short() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        hub.add(socket)
        socket.freezes()
        closing = asyncio.create_task(hub.aclose(timeout=None))
        await asyncio.sleep(100_000)
        assert socket.aborted == 0
        await hub.aclose(timeout=0)
        await closing
        assert (socket.aborted, hub.stats().closing) == (1, 0)

    run(main())


def test_aclose_of_a_hub_that_nobody_used() -> None:
    hub = WebSocketHub()
    asyncio.run(hub.aclose())
    assert repr(hub) == "WebSocketHub(closed)"


def test_a_hub_closes_at_the_end_of_its_block() -> None:
    async def main() -> None:
        socket = FakeSocket()
        async with WebSocketHub() as hub:
            client = hub.add(socket)
        assert client.closed
        assert socket.goodbye == (1001, "going away")

    run(main())


def test_aclose_does_not_wait_for_what_does_not_let_itself_be_cancelled() -> None:
    class Stubborn(FakeSocket):
        async def close(self, code: int, reason: str) -> None:
            for _ in range(2):
                try:
                    await asyncio.sleep(20)
                except asyncio.CancelledError:
                    continue

    async def main() -> None:
        hub, socket, loop = WebSocketHub(), Stubborn(), asyncio.get_running_loop()
        hub.add(socket)
        start = loop.time()
        closing = asyncio.create_task(hub.aclose(timeout=3))
        await asyncio.sleep(3.5)
        assert socket.aborted == 1
        await closing
        assert loop.time() - start < 5
        assert hub.stats().closing == 0
        await asyncio.sleep(40)
        assert (socket.aborted, hub.stats().aborted) == (1, 1)

    run(main())


def test_a_client_may_be_closed_by_its_own_receiving() -> None:
    class Rude(FakeSocket):
        async def receive(self) -> str | bytes | None:
            for client in hub.clients():
                client._begin_close("hub", 1000, "")
            return "x"

    hub = WebSocketHub()

    async def main() -> None:
        async with hub.serve(Rude()) as client:
            assert await client.receive() == "x"
            await settle()  # nobody has cancelled this
            with pytest.raises(ClosedError):
                await client.receive()

    run(main())


def test_a_closing_that_cannot_be_said_is_none_that_fails() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        client = hub.add(socket)
        socket.error = RuntimeError("broken")
        await client.close()
        assert socket.aborted == 1
        assert hub.stats().closing == 0

    run(main())


def test_sender_that_waits_is_told_of_the_end() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        socket.freezes()
        client = hub.add(socket)
        sends = [asyncio.create_task(client.send(str(n))) for n in range(2)]
        await settle()
        closing = asyncio.create_task(client.close())
        ended = await asyncio.gather(*sends, return_exceptions=True)
        assert [type(e).__name__ for e in ended] == ["ClientClosed"] * 2
        await closing

    run(main())
