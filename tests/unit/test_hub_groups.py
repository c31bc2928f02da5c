"""`WebSocketHub`: what many are told, and what happens to those who are slow."""

from __future__ import annotations

import asyncio

import pytest
from tests.hubs import AsgiSocket, FakeSocket, QuickSocket, accounts, each_kind
from tests.loading import settle
from tests.steps import run, tasks_left

from penstock import WebSocketHub, deadline, remaining
from penstock.errors import (
    ClosedError,
    DeadlineExceeded,
    ItemDropped,
)


def test_broadcast_goes_to_a_group() -> None:
    async def main() -> None:
        hub = WebSocketHub()
        a, b, c = sockets = [QuickSocket() for _ in range(3)]
        first = hub.add(a, "red")
        second = hub.add(b, ["red", "blue"])
        third = hub.add(c)
        assert hub.broadcast("all") == 3
        assert hub.broadcast("red", "red") == 2
        assert hub.broadcast("blue", group="blue") == 1
        assert hub.broadcast("none", group="green") == 0
        assert hub.broadcast("others", exclude=first) == 2
        third.join("green", "blue")
        second.leave("blue", "absent")
        assert hub.broadcast("late", "blue") == 1
        assert [s.sent for s in sockets] == [
            ["all", "red"],
            ["all", "red", "blue", "others"],
            ["all", "others", "late"],
        ]
        assert (first.groups, second.groups) == ({"red"}, {"red"})
        assert hub.groups == {"red", "blue", "green"}
        assert hub.clients("red") == (first, second)
        await second.close()
        assert hub.clients("red") == (first,)
        await hub.aclose()
        assert hub.groups == set()
        assert hub.stats().broadcasts == 6
        third.join("green")  # too late
        assert hub.groups == set()

    run(main())


def test_slow_client_delays_nobody() -> None:
    async def main() -> None:
        hub = WebSocketHub(queue=3)
        slow, quick = QuickSocket(), QuickSocket()
        slow.freezes()
        client = hub.add(slow)
        hub.add(quick)
        for number in range(6):
            assert hub.broadcast(str(number)) == 2
        assert quick.sent == list("012345")
        assert client.pending == 3
        assert hub.stats().queued == 3
        assert hub.stats().dropped == 2
        slow.thaws()
        await settle()
        # The first was under way already.
        assert slow.sent == list("0345")
        assert tasks_left() == 0
        await hub.aclose()

    run(main())


def test_newest_is_dropped_when_asked_for() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(queue=2, on_slow="drop_newest"), QuickSocket()
        socket.freezes()
        client = hub.add(socket)
        assert [hub.broadcast(str(number)) for number in range(5)] == [1, 1, 1, 0, 0]
        assert not client.send_nowait("x")
        with pytest.raises(ItemDropped, match="2 messages wait"):
            await client.send("y")
        assert hub.stats().dropped == 4
        socket.thaws()
        await settle()
        assert socket.sent == list("012")
        await hub.aclose()

    run(main())


def test_who_waits_is_told_when_its_message_was_dropped() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(queue=1), FakeSocket()
        socket.freezes()
        client = hub.add(socket)
        hub.broadcast("0")
        first = asyncio.create_task(client.send("1"))
        await settle()
        second = asyncio.create_task(client.send("2"))
        with pytest.raises(ItemDropped):
            await first
        socket.thaws()
        await second
        assert socket.sent == ["0", "2"]
        await hub.aclose()

    run(main())


@each_kind
def test_too_slow_a_client_is_closed_when_asked_for(kind: type[AsgiSocket]) -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(queue=2, on_slow="close"), kind()
        socket.freezes()

        async def serve() -> None:
            async with hub.serve(socket) as client:
                async for _ in client:
                    pass
            assert (client.cause, client.close_code) == ("slow", 1008)

        task = asyncio.create_task(serve())
        await settle()
        (client,) = hub.clients()
        assert [hub.broadcast(str(number)) for number in range(4)] == [1, 1, 1, 0]
        assert client.close_reason == "too slow: 2 messages wait"
        with pytest.raises(ClosedError, match="1008"):
            await client.send("x")
        await task
        stats = hub.stats()
        assert (stats.closed_slow, stats.dropped, stats.unsent, stats.aborted) == (1, 1, 3, 1)
        assert socket.goodbye == (1008, "too slow: 2 messages wait")
        assert socket.aborted == 1
        accounts(hub)

    run(main())


def test_who_is_cancelled_takes_the_message_back() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        client = hub.add(socket)
        socket.freezes()
        tasks = [asyncio.create_task(client.send(str(number))) for number in range(3)]
        await settle()
        tasks[1].cancel()
        await settle()
        assert client.pending == 1
        tasks[0].cancel()  # too late: it was begun with
        await settle()
        socket.thaws()
        await tasks[2]
        assert socket.sent == ["0", "2"]
        await hub.aclose()

    run(main())


def test_nobody_sends_under_the_deadline_of_somebody_else() -> None:
    class Watching(FakeSocket):
        async def send(self, data: str | bytes) -> None:
            assert remaining() is None
            await super().send(data)

    async def main() -> None:
        hub, socket = WebSocketHub(), Watching()
        with deadline(5):
            client = hub.add(socket)
            hub.broadcast("1")
            await client.send("2")
        await client.close()
        assert socket.sent == ["1", "2"]

    run(main())


def test_send_gives_up_at_its_deadline_and_takes_the_message_back() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        client = hub.add(socket)
        with deadline(1):
            await client.send("in time")
        socket.freezes()
        hub.broadcast("0")
        with pytest.raises(DeadlineExceeded), deadline(2):
            await client.send("late")
        with deadline(1):
            await asyncio.sleep(2)
            with pytest.raises(DeadlineExceeded):
                await client.send("too late")
        assert client.pending == 0
        socket.thaws()
        await client.close()
        assert socket.sent == ["in time", "0"]

    run(main())
