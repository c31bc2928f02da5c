"""`WebSocketHub`: whose it is, and what it accepts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.forks import in_child
from tests.hubs import FakeSocket, accounts
from tests.loading import settle
from tests.steps import run

from penstock import WebSocketHub
from penstock.errors import (
    WrongEventLoop,
)


def test_a_hub_belongs_to_one_loop() -> None:
    hub = WebSocketHub()
    with pytest.raises(RuntimeError, match="needs a running event loop"):
        hub.broadcast("x")
    with asyncio.Runner() as runner, asyncio.Runner() as second:

        async def join() -> Any:
            return hub.add(FakeSocket())

        client = runner.run(join())
        for use in (hub.aclose, hub.close, join, lambda: client.send("x"), client.close):
            hub._core.is_closed = False
            with pytest.raises(WrongEventLoop):
                second.run(use())
    # Of a loop that is closed nothing is left.
    with asyncio.Runner() as third:
        fresh = third.run(join())
        assert client.closed
        assert hub.clients() == (fresh,)
        accounts(hub)
        third.run(hub.aclose())


def test_a_forked_child_begins_with_an_empty_hub() -> None:
    async def main() -> None:
        hub = WebSocketHub(max_connections=1)
        socket = FakeSocket()
        hub.add(socket)

        def child() -> None:
            assert len(hub) == 0
            assert socket.goodbye is None
            assert hub._core.loop is None

        assert in_child(child)
        await hub.aclose()

    run(main())


def test_two_tasks_cannot_receive_at_once() -> None:
    async def main() -> None:
        hub, socket = WebSocketHub(), FakeSocket()
        client = hub.add(socket)
        first = asyncio.create_task(client.receive())
        await settle()
        with pytest.raises(RuntimeError, match="another task receives"):
            await client.receive()
        socket.says("x")
        assert await first == "x"
        await hub.aclose()

    run(main())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_connections": 0}, ValueError, "max_connections must be >= 1"),
        ({"health_interval": 0}, ValueError, "health_interval"),
        ({"health_timeout": "1"}, TypeError, "health_timeout"),
        ({"idle_timeout": -1}, ValueError, "idle_timeout"),
        ({"queue": 0}, ValueError, "queue must be >= 1"),
        ({"on_slow": "wait"}, ValueError, "on_slow must be one of 'drop_oldest'"),
        ({"ping": "x"}, TypeError, "ping must be callable"),
        ({"ping": asyncio.sleep}, TypeError, "ping must be a plain function"),
        ({"timer": 1}, TypeError, "timer"),
        ({"name": 1}, TypeError, "name"),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WebSocketHub(**options)


def test_what_is_said_is_checked() -> None:
    async def main() -> None:
        hub = WebSocketHub()
        client = hub.add(FakeSocket())
        for bad in (1, None, {"a": 1}, ["x"]):
            with pytest.raises(TypeError, match="data must be str or bytes"):
                await client.send(bad)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="data must be str or bytes"):
                hub.broadcast(bad)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="data must be str or bytes"):
                client.send_nowait(bad)  # type: ignore[arg-type]
        for code in (999, 1005, 1006, 1015, 2000, 5000):
            with pytest.raises(ValueError, match="code must be one that may be sent"):
                await client.close(code)
        with pytest.raises(TypeError, match="code must be an int"):
            await hub.close("1000")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at most 123 bytes, got 124"):
            await client.close(1000, "é" * 62)
        with pytest.raises(TypeError, match="websocket must be one of"):
            hub.add(object())
        assert not client.closed
        await hub.aclose()

    run(main())


def test_figures_are_shown_under_the_name() -> None:
    from penstock.metrics import generate_latest

    async def main() -> None:
        hub = WebSocketHub(name="shown hub")
        client = hub.add(FakeSocket())
        page = generate_latest().decode()
        assert 'penstock_websocket_hub_connections{name="shown hub"} 1.0' in page
        assert repr(hub) == "WebSocketHub(1 of 1000, name='shown hub')"
        assert repr(client) == "<HubClient FakeSocket, pending=0>"
        await hub.aclose()
        assert repr(client) == "<HubClient FakeSocket, closed by hub>"

    run(main())
