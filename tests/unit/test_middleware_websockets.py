"""The middleware on WebSockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.asgi import HOWS, Connection, Measured
from tests.loading import settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Endpoint = Callable[[WebSocket], Awaitable[None]]


class Oops(Exception):
    """A mistake in a handler."""


def service(endpoint: Endpoint, how: str = "wrapped") -> Measured:
    """Return an application with one route below a mount with a parameter."""
    route = WebSocketRoute("/rooms/{room}", endpoint)
    return Measured(Starlette(routes=[Mount("/{tenant}", routes=[route])]), how)


def connect(measured: Measured, *texts: str, code: int = 1000, **more: Any) -> Connection:
    """Connect, send *texts*, and go."""

    async def main() -> Connection:
        connection = measured.websocket("/acme/rooms/1", *texts, code=code, **more)
        connection.gone.set()
        return await measured.serve(connection)

    return asyncio.run(main())


def ended(measured: Measured) -> dict[tuple[str, ...], float]:
    """Return how many connections have ended by (handler, status), none of them being open."""
    assert measured.value("websocket_connections_in_progress") == 0
    return measured.samples("websocket_connections_total")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
        await websocket.send_bytes(b"again")


@pytest.mark.parametrize("how", HOWS)
def test_connections_and_messages_are_counted_by_handler(how: str) -> None:
    measured = service(echo, how)
    connection = connect(measured, "a", "b", "c")
    connect(measured, "d")
    handler = "/{tenant}/rooms/{room}"
    assert ended(measured) == {(handler, "1000"): 2}
    assert measured.samples("websocket_messages_total") == {("in", handler): 4, ("out", handler): 8}
    assert [message["type"] for message in connection.sent] == [
        "websocket.accept", *["websocket.send"] * 6,
    ]  # fmt: skip
    assert measured.requests == {}


def test_messages_count_while_the_connection_is_open() -> None:
    seen = []

    async def endpoint(websocket: WebSocket) -> None:
        seen.append(measured.value("websocket_connections_in_progress"))
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text("x")
        seen.append(sum(measured.samples("websocket_messages_total").values()))
        await websocket.close()

    measured = service(endpoint)
    connect(measured, "a")
    assert seen == [1, 2]
    assert ended(measured) == {("/{tenant}/rooms/{room}", "1000"): 1}


def test_the_duration_is_that_of_the_whole_connection() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        measured.clock.advance(1)
        await websocket.accept()
        measured.clock.advance(40)
        await websocket.close()

    measured = service(endpoint)
    connect(measured)
    sums = measured.samples("websocket_connection_duration_seconds_sum")
    assert sums == {("/{tenant}/rooms/{room}",): 41}


def status_of(endpoint: Endpoint, **options: Any) -> str:
    """Return the status under which the only connection ended, whatever it raises."""
    measured = service(endpoint)
    raises = options.pop("raises", None)
    if raises is None:
        connect(measured, **options)
    else:
        with pytest.raises(raises):
            connect(measured, **options)
    ((handler, status),) = ended(measured)
    assert handler == "/{tenant}/rooms/{room}"
    return status


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4001, 4999])
def test_a_close_code_of_the_application_is_exact(code: int) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(code)

    assert status_of(endpoint) == str(code)


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (1000, "1000"), (1001, "1001"), (1006, "1006"), (1012, "1012"), (3003, "3xxx"),
        (4001, "4xxx"), (4999, "4xxx"), (1999, "__other__"), (70_000, "__other__"),
    ],
)  # fmt: skip
def test_a_close_code_of_the_client_is_one_of_a_few(code: int, label: str) -> None:
    assert status_of(echo, code=code) == label


@pytest.mark.parametrize(("client_first", "status"), [(False, "4001"), (True, "1001")])
def test_the_first_close_code_counts(client_first: bool, status: str) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        if client_first:
            await websocket._receive()
        await websocket._send({"type": "websocket.close", "code": 4001})
        await websocket._receive()

    assert status_of(endpoint, code=1001) == status


def test_a_timer_that_is_set_back_makes_no_negative_durations() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        measured.clock.advance(-5)
        await websocket.close()

    measured = service(endpoint)
    connect(measured)
    sums = measured.samples("websocket_connection_duration_seconds_sum")
    assert sums == {("/{tenant}/rooms/{room}",): 0}


@pytest.mark.parametrize("more", [{}, {"code": None}])
def test_a_client_without_a_close_code_has_1005(more: dict[str, Any]) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket._receive()

    measured = service(endpoint)

    async def main() -> None:
        connection = measured.websocket("/acme/rooms/1")
        connection.goodbye = {"type": "websocket.disconnect", **more}
        connection.gone.set()
        await measured.serve(connection)

    asyncio.run(main())
    assert ended(measured) == {("/{tenant}/rooms/{room}", "1005"): 1}


def test_a_connection_that_is_closed_instead_of_accepted_is_a_403() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.close(1008)

    measured = service(endpoint)
    connect(measured)
    assert ended(measured) == {("/{tenant}/rooms/{room}", "403"): 1}
    assert measured.samples("websocket_connection_duration_seconds_count") == {}


def test_a_refusal_with_a_response_has_its_status() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response(status_code=401))

    options = {"extensions": {"websocket.http.response": {}}}
    assert status_of(endpoint, **options) == "401"


def test_a_client_that_leaves_before_it_is_accepted_is_a_499() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.receive()
        await websocket.receive()

    assert status_of(endpoint, code=1006) == "499"


def test_a_path_that_nobody_serves_is_unmatched() -> None:
    measured = Measured(Starlette())
    connect(measured)
    assert ended(measured) == {("__unmatched__", "403"): 1}


@pytest.mark.parametrize(("accepts", "status"), [(True, "1011"), (False, "500")])
def test_a_handler_that_raises_shows_in_the_status(accepts: bool, status: str) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        if accepts:
            await websocket.accept()
        raise Oops

    assert status_of(endpoint, raises=Oops) == status


@pytest.mark.parametrize(("accepts", "status"), [(True, "1006"), (False, "500")])
def test_a_handler_that_just_returns_shows_in_the_status(accepts: bool, status: str) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        if accepts:
            await websocket.accept()

    assert status_of(endpoint) == status


def test_an_unhandled_disconnect_has_the_code_of_the_client() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()

    assert status_of(endpoint, code=1001, raises=WebSocketDisconnect) == "1001"


def test_a_server_that_cannot_send_any_more_has_1006() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        connection.gone.set()
        await websocket.send_text("x")

    async def main() -> None:
        with pytest.raises((WebSocketDisconnect, OSError)):
            await measured.serve(connection)

    measured = service(endpoint)
    connection = measured.websocket("/acme/rooms/1")
    connection.raises = ConnectionResetError
    asyncio.run(main())
    assert ended(measured) == {("/{tenant}/rooms/{room}", "1006"): 1}
    assert measured.samples("websocket_messages_total") == {}


def test_a_connection_can_be_cancelled_at_every_step() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await settle(2)
        await websocket.accept()
        await settle(2)
        await websocket.send_text("x")
        await websocket.close(4000)

    async def main(step: int) -> tuple[Measured, bool]:
        measured = service(endpoint)
        task = asyncio.create_task(measured.serve(measured.websocket("/acme/rooms/1")))
        await settle(step)
        running = not task.done()
        task.cancel()
        if running:
            with pytest.raises(asyncio.CancelledError):
                await task
        return measured, running

    statuses = []
    for step in range(30):
        measured, running = asyncio.run(main(step))
        statuses += [status for _, status in ended(measured)]
        if not running:
            break
    else:
        pytest.fail("the connection never ends")
    assert statuses == sorted(statuses, key=["499", "1006", "4000"].index)
    assert set(statuses) == {"499", "1006", "4000"}


@pytest.mark.parametrize("how", HOWS)
def test_fastapi_has_the_template_of_the_whole_path(how: str) -> None:
    router = APIRouter(prefix="/rooms")
    router.websocket("/{room}")(echo)
    sub = FastAPI()
    sub.include_router(router, prefix="/deep")
    app = FastAPI()
    app.websocket("/direct/{room}")(echo)
    app.include_router(router, prefix="/{tenant}")
    app.mount("/sub", sub)
    measured = Measured(app, how)
    measured_paths = ["/direct/1", "/acme/rooms/1", "/sub/deep/rooms/1", "/none"]

    async def main() -> None:
        for path in measured_paths:
            connection = measured.websocket(path, "x")
            connection.gone.set()
            await measured.serve(connection)

    asyncio.run(main())
    assert ended(measured) == {
        ("/direct/{room}", "1000"): 1,
        ("/{tenant}/rooms/{room}", "1000"): 1,
        ("/sub/deep/rooms/{room}", "1000"): 1,
        ("__unmatched__", "403"): 1,
    }
