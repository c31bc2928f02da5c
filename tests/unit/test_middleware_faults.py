"""The middleware when something goes wrong: handlers that raise, clients that leave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.asgi import HOWS, Connection, Measured
from tests.loading import settle

from penstock.metrics._routes import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
LAST = {"type": "http.response.body", "body": b"last"}


class Oops(Exception):
    """A mistake in a handler."""


def only_status(measured: Measured) -> str:
    """Return the status of the only request, which must be over."""
    assert measured.in_progress == 0
    ((_, _, status),) = measured.requests
    assert list(measured.requests.values()) == [1]
    return status


def serve(measured: Measured, connection: Connection) -> None:
    asyncio.run(measured.serve(connection))


@pytest.mark.parametrize("how", HOWS)
def test_a_handler_that_raises_is_a_500_and_its_exception_passes_through(how: str) -> None:
    error = Oops("as it was")

    async def endpoint(request: Request) -> Response:
        raise error

    measured = Measured(Starlette(routes=[Route("/{id}", endpoint)]), how)
    with pytest.raises(Oops) as caught:
        measured.ask("/1")
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert measured.requests == {("/{id}", "GET", "500"): 1}
    assert measured.in_progress == 0


def test_an_exception_that_the_application_handles_has_the_status_of_the_handler() -> None:
    async def endpoint(request: Request) -> Response:
        raise HTTPException(409)

    measured = Measured(Starlette(routes=[Route("/", endpoint)]))
    measured.ask("/")
    assert only_status(measured) == "409"


@pytest.mark.parametrize("how", ["wrapped", "instrumented"])
def test_from_outside_a_page_for_unhandled_exceptions_counts_as_it_was_sent(how: str) -> None:
    async def endpoint(request: Request) -> Response:
        raise Oops

    async def page(request: Request, error: Exception) -> Response:
        return PlainTextResponse("be back soon", 503)

    app = Starlette(routes=[Route("/", endpoint)], exception_handlers={Exception: page})
    measured = Measured(app, how)
    with pytest.raises(Oops):
        measured.ask("/")
    assert only_status(measured) == "503"
    assert sum(measured.samples("http_response_size_bytes_sum").values()) == 12


@pytest.mark.parametrize("messages", [[], [START], [START, PART]])
@pytest.mark.parametrize("error", [None, Oops()])
def test_a_response_that_is_not_completed_is_a_500(
    messages: list[dict[str, Any]], error: Exception | None
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    measured = Measured(app)
    if error is None:
        measured.ask("/")
    else:
        with pytest.raises(Oops):
            measured.ask("/")
    assert only_status(measured) == "500"
    started = measured.samples("http_request_time_to_first_byte_seconds_count")
    assert list(started.values()) == [1 if messages else 0]


def test_what_fails_after_the_response_does_not_change_its_status() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(LAST)
        raise Oops

    measured = Measured(app)
    with pytest.raises(Oops):
        measured.ask("/")
    assert only_status(measured) == "200"


@pytest.mark.parametrize("messages", [[], [START], [START, PART]])
def test_a_client_that_was_seen_leaving_is_a_499(messages: list[dict[str, Any]]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)
        assert (await receive())["type"] == "http.disconnect"

    measured = Measured(app)
    connection = measured.connection("/")
    connection.gone.set()
    serve(measured, connection)
    assert only_status(measured) == "499"


@pytest.mark.parametrize("how", HOWS)
def test_a_handler_that_fails_because_the_client_left_is_a_499(how: str) -> None:
    async def endpoint(request: Request) -> Response:
        with pytest.raises(ClientDisconnect) as caught:
            await request.body()
        raise caught.value

    measured = Measured(Starlette(routes=[Route("/", endpoint, methods=["POST"])]), how)
    connection = measured.connection("/", "POST")
    connection.messages[0]["more_body"] = True
    connection.gone.set()
    with pytest.raises(ClientDisconnect):
        serve(measured, connection)
    assert only_status(measured) == "499"


def test_a_response_that_was_completed_for_nobody_is_a_499() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()
        await send(START)
        await send(LAST)

    measured = Measured(app)
    connection = measured.connection("/")
    connection.gone.set()
    serve(measured, connection)
    assert only_status(measured) == "499"


def test_a_client_that_leaves_after_the_last_byte_has_its_response() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(LAST)
        await receive()

    measured = Measured(app)
    connection = measured.connection("/")
    connection.gone.set()
    serve(measured, connection)
    assert only_status(measured) == "200"


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("swallows", [False, True])
def test_a_server_that_cannot_send_any_more_is_a_499(number: int, swallows: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for at, message in enumerate([START, PART, LAST]):
            if at == number:
                connection.gone.set()
            try:
                await send(message)
            except OSError:
                if swallows:
                    return
                raise

    measured = Measured(app)
    connection = measured.connection("/")
    connection.raises = ConnectionResetError
    if swallows:
        serve(measured, connection)
    else:
        with pytest.raises(ConnectionResetError):
            serve(measured, connection)
    assert only_status(measured) == "499"


def test_an_oserror_of_the_handler_is_its_own_fault() -> None:
    async def endpoint(request: Request) -> Response:
        raise ConnectionRefusedError("the database")

    measured = Measured(Starlette(routes=[Route("/", endpoint)]))
    with pytest.raises(ConnectionRefusedError):
        measured.ask("/")
    assert only_status(measured) == "500"


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("how", HOWS)
def test_a_stream_that_the_client_leaves_is_a_499(how: str, version: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        connection.gone.set()
        await settle()
        yield b"second"
        await settle()
        yield b"third"

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(chunks())

    measured = Measured(Starlette(routes=[Route("/", endpoint)]), how)
    asgi = {"version": "3.0", "spec_version": version}
    connection = measured.connection("/", asgi=asgi)
    if version == "2.4":
        # Since then servers say so by raising, and newer starlette does not watch for it any more.
        connection.raises = BrokenPipeError
    with contextlib.suppress(ClientDisconnect):
        serve(measured, connection)
    assert only_status(measured) == "499"


def cancelled_at(step: int, make: Callable[[], Measured]) -> tuple[Measured, bool]:
    """Cancel a request after some steps of the loop; whether it was still running."""

    async def main() -> tuple[Measured, bool]:
        measured = make()
        task = asyncio.create_task(measured.serve(measured.connection("/1")))
        await settle(step)
        running = not task.done()
        task.cancel()
        if running:
            with pytest.raises(asyncio.CancelledError):
                await task
        return measured, running

    return asyncio.run(main())


@pytest.mark.parametrize("how", HOWS)
def test_a_request_can_be_cancelled_at_every_step(how: str) -> None:
    async def endpoint(request: Request) -> Response:
        await settle(3)
        await request.body()
        return StreamingResponse(chunks())

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            await settle(2)
            yield b"x"

    def make() -> Measured:
        return Measured(Starlette(routes=[Route("/{id}", endpoint)]), how)

    statuses = []
    for step in range(100):
        measured, running = cancelled_at(step, make)
        assert measured.in_progress == 0
        statuses += [status for _, _, status in measured.requests]
        if not running:
            break
    else:
        pytest.fail("the request never ends")
    # Before the first step it has not begun; then it is abandoned; at last it is complete.
    complete = statuses.count("200")
    assert complete > 0
    assert statuses == ["499"] * (len(statuses) - complete) + ["200"] * complete
    assert len(statuses) > 10


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "500"), (SystemExit, "500"), (GeneratorExit, "499")],
)
def test_nothing_that_passes_through_is_swallowed(error: type[BaseException], status: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    measured = Measured(app)
    connection = measured.connection("/")
    with pytest.raises(error):
        measured.app(connection.scope, connection.receive, connection.send).__await__().send(None)
    assert only_status(measured) == status


def test_a_request_that_is_thrown_away_ends_too() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        connection = measured.connection("/")
        running = measured.app(connection.scope, connection.receive, connection.send).__await__()
        running.send(None)
        assert measured.in_progress == 1
        running.close()

    measured = Measured(app)
    asyncio.run(main())
    assert only_status(measured) == "499"


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("kind", ["connection", "websocket"])
def test_a_scope_is_freed_without_the_garbage_collector(
    answers: bool, copies: bool, kind: str
) -> None:
    class Body(bytearray):
        """Something in the scope that can be watched."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if answers:
            await send(START)
            await send(LAST)

    async def copying(scope: Any, receive: Any, send: Any) -> None:
        await Recorder(app, measured.app.key)(dict(scope), receive, send)  # type: ignore[attr-defined]

    measured = Measured(copying if copies else app)
    gc.collect()
    gc.disable()
    try:
        connection = getattr(measured, kind)("/", body_of_test=Body())
        watched = weakref.ref(connection.scope["body_of_test"])
        serve(measured, connection)
        del connection
        assert watched() is None
    finally:
        gc.enable()
