"""Clients of a `WebSocketHub` that are idle, or do not answer, on a virtual loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.clock import Clock
from tests.hubs import AsgiSocket, FakeSocket, QuickSocket, accounts
from tests.loading import settle
from tests.steps import now, run, tasks_left

from penstock import WebSocketHub
from penstock.pools._hub_client import HubClient

pinging = pytest.mark.parametrize("kind", [FakeSocket, QuickSocket])


def _hub(**options: Any) -> WebSocketHub:
    return WebSocketHub(
        **{"health_interval": 10, "health_timeout": 2, "idle_timeout": None, **options}
    )


async def _reading(hub: WebSocketHub, socket: AsgiSocket) -> asyncio.Task[HubClient]:
    """Serve a client whose messages are read as they come."""

    async def serve() -> HubClient:
        async with hub.serve(socket) as client:
            async for _ in client:
                pass
        return client

    task = asyncio.create_task(serve())
    await settle()
    return task


@pinging
@pytest.mark.parametrize("pong_is_read", [False, True])
@pytest.mark.parametrize("is_read", [False, True])
def test_client_that_answers_stays(
    kind: type[FakeSocket], pong_is_read: bool, is_read: bool
) -> None:
    async def main() -> None:
        hub, socket = _hub(), kind()
        socket.pong_is_read = pong_is_read
        task = None
        if is_read:
            task = await _reading(hub, socket)
        else:
            hub.add(socket)
        await asyncio.sleep(105)
        assert len(hub) == 1
        assert 8 <= socket.pings <= 10
        stats = hub.stats()
        assert stats.pings == stats.pongs == socket.pings
        assert tasks_left() == is_read
        await hub.aclose()
        if task is not None:
            await task

    run(main())


@pinging
@pytest.mark.parametrize("is_full", [False, True])
def test_frozen_client_is_noticed_and_dropped(kind: type[FakeSocket], is_full: bool) -> None:
    async def main() -> None:
        hub, frozen, well = _hub(), kind(), kind()
        tasks = [await _reading(hub, socket) for socket in (frozen, well)]
        began = now()
        frozen.freezes()
        if is_full:
            hub.broadcast("x")
        client = await tasks[0]
        assert (client.cause, client.close_code) == ("health", 1011)
        assert client.close_reason == "no answer within 2 s"
        # The interval, the timeout, a last look, and a second for the goodbye.
        assert now() - began == pytest.approx(10 + 2 + 0.1 + 1)
        assert frozen.aborted == 1
        assert len(hub) == 1
        assert hub.stats().closed_health == 1
        well.leaves()
        await tasks[1]
        accounts(hub)

    run(main())


def test_frozen_client_that_nobody_reads_is_noticed_too() -> None:
    async def main() -> None:
        hub, socket = _hub(), FakeSocket()
        socket.pong_is_read = True
        client = hub.add(socket)
        socket.freezes()
        await asyncio.sleep(10 + 2 + 0.5 + 1 + 0.01)
        assert client.cause == "health"
        assert socket.aborted == 1
        assert tasks_left() == 0

    run(main())


def test_what_is_read_ahead_is_not_lost() -> None:
    async def main() -> None:
        hub, socket = _hub(queue=3), FakeSocket()
        socket.pong_is_read = True
        client = hub.add(socket)
        socket.says("a", "b")
        await asyncio.sleep(15)  # the server is at something else
        assert not client.closed
        socket.says("c", "d")
        assert [await client.receive() for _ in range(4)] == list("abcd")
        assert hub.stats().messages_in == 4
        # More than may wait is left where it is.
        socket.says(*"efghijk")
        await asyncio.sleep(100)
        assert not client.closed
        assert hub.stats().messages_in <= 4 + 3
        assert [await client.receive() for _ in range(7)] == list("efghijk")
        await hub.aclose()

    run(main())


def test_an_error_that_is_read_ahead_reaches_its_server() -> None:
    async def main() -> None:
        hub, socket = _hub(), FakeSocket()
        client = hub.add(socket)
        socket.pong_is_read = True
        socket.freezes()
        await asyncio.sleep(12.05)
        socket.error = ValueError("garbage")
        socket.wake()
        await settle()
        assert client.cause == "error"
        with pytest.raises(ValueError, match="garbage"):
            await client.receive()
        await hub.aclose()

    run(main())


def test_reading_goes_on_from_what_is_read_ahead() -> None:
    async def main() -> None:
        hub, socket = _hub(), FakeSocket()
        client = hub.add(socket)
        socket.freezes()
        await asyncio.sleep(12.05)
        assert tasks_left() == 1 + 1  # it reads ahead, and its ping waits
        task = asyncio.create_task(client.receive())
        await settle()
        socket.says("alive")
        assert await task == "alive"
        await asyncio.sleep(5)
        assert not client.closed
        await hub.aclose()

    # The ping waits in the socket that is frozen only if that is how it is sent.
    FakeSocket.ping, ping = _stuck_ping, FakeSocket.ping  # type: ignore[assignment, method-assign]
    try:
        run(main())
    finally:
        FakeSocket.ping = ping  # type: ignore[method-assign]


async def _stuck_ping(self: FakeSocket) -> None:
    while self.is_frozen:
        await self._wait()


def test_messages_are_a_sign_of_life() -> None:
    async def main() -> None:
        hub, socket = _hub(), FakeSocket()
        task = await _reading(hub, socket)
        for _ in range(20):
            await asyncio.sleep(9)
            socket.says("x")
        assert socket.pings == 0
        socket.leaves()
        await task

    run(main())


def test_application_pings_where_there_are_no_others() -> None:
    async def main() -> None:
        hub, well, frozen = _hub(ping=lambda: "ping?"), AsgiSocket(), AsgiSocket()
        tasks = [await _reading(hub, socket) for socket in (well, frozen)]
        frozen.is_polite = False
        for _ in range(5):
            await asyncio.sleep(11)
            well.says("pong!")
            await settle()
        assert set(well.sent) == {"ping?"}
        assert (hub.stats().pings, hub.stats().pongs) == (5 + 1, 5)
        assert (await tasks[1]).cause == "health"
        assert len(hub) == 1
        assert hub.stats().messages_out == 0
        well.leaves()
        await tasks[0]

    run(main())


def test_a_ping_that_cannot_be_made_closes_its_client() -> None:
    async def main() -> None:
        hub, socket = _hub(ping=lambda: 1), AsgiSocket()  # type: ignore[arg-type, return-value]
        task = await _reading(hub, socket)
        assert (await task).cause == "error"

    run(main())


def test_without_pings_only_what_cannot_be_sent_tells() -> None:
    async def main() -> None:
        hub, socket = _hub(), AsgiSocket()
        task = await _reading(hub, socket)
        await asyncio.sleep(100)
        assert len(hub) == 1
        for number in range(30):
            socket.is_frozen = True
            hub.broadcast(str(number))
            await asyncio.sleep(1.5)
            socket.thaws()
            await asyncio.sleep(0.7)
        assert len(hub) == 1
        assert len(socket.sent) == 30
        socket.freezes()
        hub.broadcast("stuck")
        assert (await task).cause == "health"
        # The server's coroutine goes on, whatever the socket does.
        assert socket.aborted == 1

    run(main())


def test_a_busy_loop_is_no_fault_of_the_clients() -> None:
    async def main() -> None:
        hub, socket = _hub(), FakeSocket()
        socket.pong_is_read = True
        task = await _reading(hub, socket)
        loop: Any = asyncio.get_running_loop()
        await asyncio.sleep(9.99)
        socket.is_frozen = True  # its answer is on its way for as long as the loop is busy
        await asyncio.sleep(0.02)
        assert socket.pings == 1
        socket.is_frozen = False

        def busy() -> None:
            loop.jump(30)
            socket.says(b"pong")

        loop.call_later(1, busy)
        await asyncio.sleep(5)
        assert len(hub) == 1
        socket.leaves()
        await task

    run(main())


@pinging
def test_idle_client_is_closed(kind: type[FakeSocket]) -> None:
    async def main() -> None:
        hub, idle, busy, told = _hub(idle_timeout=30), kind(), kind(), kind()
        tasks = [await _reading(hub, s) for s in (idle, busy, told)]
        hub.clients()[2].join("told")
        began = now()
        for _ in range(4):
            await asyncio.sleep(9)
            busy.says("x")
            hub.broadcast("y", "told")
        client = await tasks[0]
        assert (client.cause, client.close_code) == ("idle", 1000)
        assert client.close_reason == "idle for 30 s"
        assert idle.goodbye == (1000, "idle for 30 s")
        assert len(hub) == 2
        await asyncio.gather(*tasks)
        assert now() - began == pytest.approx(36 + 30)
        assert hub.stats().closed_idle == 3
        accounts(hub)

    run(main())


def test_a_clock_of_ones_own() -> None:
    async def main() -> None:
        clock = Clock(5.0)
        hub, socket = _hub(idle_timeout=30, health_interval=None, timer=clock), FakeSocket()
        client = hub.add(socket)
        await asyncio.sleep(31)
        assert not client.closed
        clock.advance(31)
        await asyncio.sleep(31)
        assert client.cause == "idle"

    run(main())


def test_one_timer_serves_all() -> None:
    async def main() -> None:
        hub = WebSocketHub()
        loop: Any = asyncio.get_running_loop()
        clients = [hub.add(FakeSocket()) for _ in range(500)]
        assert len(loop._scheduled) == 1
        assert tasks_left() == 0
        for client in clients[1:]:
            client._left()
        health = hub._core.health
        assert len(health._heap) <= 2 + 64
        clients[0]._left()
        assert health._heap == []
        assert health._timer is None

    run(main())


def test_client_is_asked_again_though_it_had_more_time_for_its_answer() -> None:
    async def main() -> None:
        hub, socket = _hub(health_interval=1, health_timeout=30), FakeSocket()
        hub.add(socket)
        await asyncio.sleep(20.5)
        assert 15 <= socket.pings <= 20
        await hub.aclose()

    run(main())


def test_nothing_is_asked_when_nothing_is_to_be() -> None:
    async def main() -> None:
        hub = WebSocketHub(health_interval=None, idle_timeout=None)
        client = hub.add(FakeSocket())
        await asyncio.sleep(1e6)
        assert not client.closed
        assert hub._core.health._timer is None
        await hub.aclose()

    run(main())


@pytest.mark.parametrize("has_answered", [False, True])
def test_nobody_else_reads_while_a_task_reads_ahead(has_answered: bool) -> None:
    async def main() -> None:
        hub, socket = _hub(), FakeSocket()
        client = hub.add(socket)
        readers = 0

        async def receive(receive: Any = socket.receive) -> object:
            nonlocal readers
            assert readers == 0, "it is read twice at a time"
            readers += 1
            try:
                return await receive()
            finally:
                readers -= 1

        client._inbox._receive = receive  # type: ignore[assignment]
        socket.freezes()
        await asyncio.sleep(12.05)
        assert readers == 1
        if has_answered:
            client._answered()
        task = asyncio.create_task(client.receive())
        await settle()
        socket.says("x")
        assert await task == "x"
        socket.thaws()
        await hub.aclose()

    run(main())
