"""A `WebSocketHub` whose users are cancelled at each step of what they do."""

from __future__ import annotations

import asyncio

import pytest
from tests.hubs import AsgiSocket, FakeSocket, QuickSocket, accounts, each_kind
from tests.loading import settle
from tests.steps import run, steps_of

from penstock import WebSocketHub


class SlowSocket(AsgiSocket):
    """One whose every operation takes some steps."""

    async def open(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def close(self, code: int, reason: str) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        await super().close(code, reason)


@pytest.mark.parametrize("kind", [AsgiSocket, FakeSocket, QuickSocket, SlowSocket])
@pytest.mark.parametrize("twice", [0, 1, 2])
def test_serving_can_be_cancelled_at_each_step(kind: type[AsgiSocket], twice: int) -> None:
    made: list[WebSocketHub] = []

    async def program() -> None:
        hub, socket = WebSocketHub(max_connections=1), kind()
        made.append(hub)
        try:
            socket.says("a", "b")
            async with hub.serve(socket, "group") as client:
                async for message in client:
                    await client.send(message)
                    if message == "b":
                        break
                hub.broadcast("c")
        finally:
            # Whatever the step: the place is free again, soon.
            hub._core.here()
            asyncio.get_running_loop().call_later(5, _check, hub)

    def _check(hub: WebSocketHub) -> None:
        stats = hub.stats()
        assert (stats.connections, stats.closing, stats.queued) == (0, 0, 0)
        assert not hub._core.opening
        accounts(hub)

    async def whole() -> None:
        task = asyncio.create_task(program())
        try:
            await task
        except asyncio.CancelledError:
            if not task.done():
                task.cancel()
            raise
        finally:
            await _settled(made)

    for step, task in steps_of(whole, twice=twice):
        assert task.cancelled() or task.exception() is None, (step, task)


async def _settled(made: list[WebSocketHub]) -> None:
    """Wait, without being cancelled by what has cancelled the test."""
    for _ in range(40):
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            continue
    for hub in made:
        stats = hub.stats()
        assert (stats.connections, stats.closing, len(hub._core.opening)) == (0, 0, 0)
    made.clear()


@each_kind
def test_send_can_be_cancelled_at_each_step(kind: type[AsgiSocket]) -> None:
    async def program() -> None:
        hub, socket = WebSocketHub(), kind()
        client = hub.add(socket)
        socket.is_frozen = True
        asyncio.get_running_loop().call_later(1, socket.thaws)
        hub.broadcast("first")
        try:
            await client.send("second")
            await client.send("third")
        finally:
            socket.thaws()
            await client.close()
            # What was taken back is missing; nothing is there twice, or in another order.
            assert socket.sent in (["first"], ["first", "second"], ["first", "second", "third"])
            stats = hub.stats()
            assert stats.messages_out == len(socket.sent)
            assert (stats.queued, stats.unsent) == (0, 0)

    for step, task in steps_of(program):
        assert task.cancelled() or task.exception() is None, (step, task)


@each_kind
@pytest.mark.parametrize("way", ["client", "hub", "aclose"])
@pytest.mark.parametrize("is_polite", [True, False])
def test_closing_can_be_cancelled_at_each_step(
    kind: type[AsgiSocket], way: str, is_polite: bool
) -> None:
    async def program() -> None:
        hub, sockets = WebSocketHub(health_timeout=3), [kind(), kind()]
        clients = [hub.add(socket) for socket in sockets]
        hub.broadcast("x")
        for socket in sockets:
            socket.is_polite = is_polite
        try:
            if way == "client":
                await clients[0].close()
                await clients[1].close()
            else:
                await (hub.close(timeout=3) if way == "hub" else hub.aclose(timeout=3))
        finally:
            for _ in range(2):
                await asyncio.sleep(4)
            for client, socket in zip(clients, sockets, strict=True):
                # It goes on without who has asked for it.
                assert client.closed == (socket.goodbye is not None)
                assert socket.aborted == (client.closed and not is_polite)
            await hub.aclose()
            assert hub.stats().closing == 0
            accounts(hub)

    for step, task in steps_of(program):
        assert task.cancelled() or task.exception() is None, (step, task)


def test_receiving_can_be_cancelled_at_each_step() -> None:
    async def program() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        client = hub.add(socket)
        loop = asyncio.get_running_loop()
        for number in range(3):
            loop.call_later(number + 1, socket.says, str(number))
        got = []
        try:
            for _ in range(3):
                got.append(await client.receive())
        finally:
            await asyncio.sleep(5)
            # No message is lost with whoever waited for it.
            while len(got) < 3:
                got.append(await client.receive())
            assert got == ["0", "1", "2"]
            await hub.aclose()

    for step, task in steps_of(program):
        assert task.cancelled() or task.exception() is None, (step, task)


def test_who_is_called_off_can_be_cancelled_all_the_same() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        reached = []

        async def serve() -> None:
            async with hub.serve(socket) as client:
                async for _ in client:
                    pass
                reached.append("end")
                await asyncio.sleep(0)
                reached.append("later")

        # By the hub alone: the block goes on as if the peer had left.
        task = asyncio.create_task(serve())
        await settle()
        await hub.close()
        await task
        assert reached == ["end", "later"]
        assert task.cancelling() == 0

        # By somebody else in the same step: the task is cancelled.
        socket = FakeSocket()
        task = asyncio.create_task(serve())
        await settle()
        (client,) = hub.clients()
        client._begin_close("hub", 1000, "")
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert reached == ["end", "later"]
        await hub.aclose()

    run(main())


def test_timeouts_of_servers_work_around_receiving() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        async with hub.serve(socket) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await client.receive()
            socket.says("x")
            async with asyncio.timeout(1):
                assert await client.receive() == "x"

    run(main())


def test_a_closing_that_is_cancelled_before_it_begins_drops_its_connection() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        closing = hub.add(socket)._begin_close("hub", 1000, "")
        assert closing is not None
        closing.task.cancel()  # as the end of the loop does
        await settle()
        assert (socket.aborted, socket.goodbye) == (1, None)
        assert hub.stats().closing == 0

    run(main())


def test_a_loop_that_ends_drops_its_connections() -> None:
    sockets = []

    async def main() -> None:
        hub = WebSocketHub()
        for is_polite in (True, False):
            socket = FakeSocket()
            socket.is_polite = is_polite
            sockets.append(socket)
            hub.add(socket)._begin_close("hub", 1000, "")
        socket = FakeSocket()
        socket.freezes()
        sockets.append(socket)
        hub.add(socket)
        hub.broadcast("x")
        await asyncio.sleep(0)
        # asyncio.run cancels what is left.

    asyncio.run(main())
    assert [socket.aborted for socket in sockets] == [0, 1, 1]
