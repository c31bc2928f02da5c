"""The middleware on HTTP: what is counted, timed and measured."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.asgi import Measured

from penstock.metrics import Histogram
from penstock.metrics._middleware import ASGIMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

OK = {"type": "http.response.start", "status": 200, "headers": []}


def service(endpoint: Callable[[Request], Any], **options: Any) -> Measured:
    """Return an application with one route."""
    methods = ["GET", "POST", "PUT"]
    return Measured(Starlette(routes=[Route("/items/{id}", endpoint, methods=methods)]), **options)


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


def test_requests_are_counted_by_handler_method_and_status() -> None:
    measured = service(hello)
    for number in range(3):
        measured.ask(f"/items/{number}")
    measured.ask("/items/1", "POST")
    measured.ask("/items/1", "DELETE")
    measured.ask("/else")
    assert measured.requests == {
        ("/items/{id}", "GET", "200"): 3,
        ("/items/{id}", "POST", "200"): 1,
        ("/items/{id}", "DELETE", "405"): 1,
        ("__unmatched__", "GET", "404"): 1,
    }


def test_the_response_is_passed_on_unchanged() -> None:
    answer = service(hello).ask("/items/1")
    bare = Measured(lambda *connection: None)
    connection = bare.connection("/items/1")
    app = Starlette(routes=[Route("/items/{id}", hello)])
    asyncio.run(app(connection.scope, connection.receive, connection.send))
    assert answer.sent == connection.sent
    assert answer.body == b"hello"


def test_every_status_is_exact() -> None:
    async def endpoint(request: Request) -> Response:
        return Response(status_code=int(request.path_params["id"]))

    measured = service(endpoint)
    for status in (200, 201, 204, 302, 404, 418, 503):
        measured.ask(f"/items/{status}")
    assert [status for _, _, status in measured.requests] == [
        "200", "201", "204", "302", "404", "418", "503",
    ]  # fmt: skip


def test_a_status_that_is_none_makes_no_series_of_its_own() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "status": int(scope["path"][1:])})
        await send({"type": "http.response.body"})

    measured = Measured(app)
    for status in (1000, 70_001, 99):
        measured.ask(f"/{status}")
    assert measured.requests == {("__unmatched__", "GET", "__other__"): 3}


def test_methods_that_a_client_makes_up_share_one_label_value() -> None:
    measured = service(hello)
    for method in ("BREW", "get", "", "__other__", "PROPFIND"):
        measured.ask("/items/1", method)
    measured.ask("/items/1", "QUERY")
    assert measured.requests == {
        ("/items/{id}", "__other__", "405"): 5,
        ("/items/{id}", "QUERY", "405"): 1,
    }
    assert set(measured.samples("http_requests_in_progress")) == {("__other__",), ("QUERY",)}


def test_the_duration_ends_with_the_last_byte() -> None:
    measured = service(lambda request: streaming())

    async def chunks() -> AsyncIterator[bytes]:
        measured.clock.advance(1)
        yield b"one"
        measured.clock.advance(2)
        yield b"two"
        measured.clock.advance(4)

    def streaming() -> Response:
        measured.clock.advance(0.5)
        return StreamingResponse(chunks(), background=BackgroundTask(measured.clock.advance, 100))

    labels = {"method": "GET", "handler": "/items/{id}"}
    answer = measured.ask("/items/1")
    assert answer.body == b"onetwo"
    assert measured.clock.now == 107.5
    assert measured.value("http_request_duration_seconds_sum", status="200", **labels) == 7.5
    assert measured.value("http_request_duration_highr_seconds_sum") == 7.5
    assert measured.value("http_request_time_to_first_byte_seconds_sum", **labels) == 0.5
    assert measured.value("http_response_size_bytes_sum", **labels) == 6


def test_the_time_that_the_server_takes_for_the_last_byte_counts() -> None:
    measured = service(hello)

    async def main() -> None:
        connection = measured.connection("/items/1")
        connection.on_send = lambda message: measured.clock.advance(2)
        await measured.serve(connection)

    asyncio.run(main())
    assert measured.value("http_request_duration_highr_seconds_sum") == 4


def test_a_request_is_counted_before_its_background_task_runs() -> None:
    seen = []
    measured = service(lambda request: PlainTextResponse("", background=BackgroundTask(look)))

    def look() -> None:
        seen.append((measured.requests, measured.in_progress))

    measured.ask("/items/1")
    assert seen == [({("/items/{id}", "GET", "200"): 1}, 0)]
    assert measured.requests == {("/items/{id}", "GET", "200"): 1}


def test_requests_in_progress_are_shown_by_method() -> None:
    seen = []

    async def endpoint(request: Request) -> Response:
        seen.append(measured.samples("http_requests_in_progress"))
        if request.method == "GET":
            await measured.serve(measured.connection("/items/2", "POST"))
        return Response()

    measured = service(endpoint)
    measured.ask("/items/1")
    assert seen == [{("GET",): 1}, {("GET",): 1, ("POST",): 1}]
    assert measured.samples("http_requests_in_progress") == {("GET",): 0, ("POST",): 0}


def test_sizes_are_the_bytes_that_passed() -> None:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        # A wrong header: what counts is what was sent.
        return Response(body * 2, headers={"content-length": "1"})

    measured = service(endpoint)

    async def main() -> None:
        connection = measured.connection("/items/1", "POST")
        connection.messages = [
            {"type": "http.request", "body": b"abc", "more_body": True},
            {"type": "http.request", "more_body": True},
            {"type": "http.request", "body": b"de", "more_body": False},
        ]
        await measured.serve(connection)

    asyncio.run(main())
    labels = {"method": "POST", "handler": "/items/{id}"}
    assert measured.value("http_request_size_bytes_sum", **labels) == 5
    assert measured.value("http_response_size_bytes_sum", **labels) == 10
    assert measured.value("http_request_size_bytes_count", **labels) == 1


def test_a_body_that_nobody_reads_has_no_size() -> None:
    measured = service(hello)
    measured.ask("/items/1", "POST", b"x" * 1000)
    labels = {"method": "POST", "handler": "/items/{id}"}
    assert measured.value("http_request_size_bytes_sum", **labels) == 0


def test_a_response_to_head_has_no_body() -> None:
    measured = service(hello)
    measured.ask("/items/1", "HEAD")
    labels = {"method": "HEAD", "handler": "/items/{id}"}
    assert measured.requests == {("/items/{id}", "HEAD", "200"): 1}
    assert measured.value("http_response_size_bytes_sum", **labels) == 0


@pytest.mark.parametrize(
    ("messages", "size"),
    [
        ([{"type": "http.response.pathsend", "path": "/a"}], 1234),
        (
            [
                {"type": "http.response.zerocopysend", "file": 3, "count": 10, "more_body": True},
                {"type": "http.response.body", "body": b"abc", "more_body": True},
                {"type": "http.response.zerocopysend", "file": 3, "count": 20},
            ],
            33,
        ),
    ],
)
def test_bytes_that_the_server_sends_from_a_file_count(
    messages: list[dict[str, Any]], size: int
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "headers": [(b"x", b"y"), (b"Content-Length", b"1234")]})
        for message in messages:
            await send(message)
        assert measured.in_progress == 0

    measured = Measured(app)
    answer = measured.ask("/")
    assert answer.sent[1:] == messages
    labels = {"method": "GET", "handler": "__unmatched__"}
    assert measured.value("http_response_size_bytes_sum", **labels) == size
    assert measured.requests == {("__unmatched__", "GET", "200"): 1}


def test_a_second_last_byte_does_not_count() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"x"})

    measured = Measured(app)
    measured.ask("/")
    assert measured.requests == {("__unmatched__", "GET", "200"): 1}
    assert measured.in_progress == 0


def test_a_body_without_a_start_is_the_servers_business() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x"})

    measured = Measured(app)
    measured.ask("/")
    assert measured.requests == {("__unmatched__", "GET", "500"): 1}


def test_messages_of_extensions_are_passed_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.debug", "info": {}})
        await send(OK)
        await send({"type": "http.response.body", "body": b"x"})
        await send({"type": "http.response.trailers", "headers": []})

    measured = Measured(app)
    types = [message["type"].rpartition(".")[2] for message in measured.ask("/").sent]
    assert types == ["debug", "start", "body", "trailers"]
    assert measured.requests == {("__unmatched__", "GET", "200"): 1}


def test_a_timer_that_is_set_back_makes_no_negative_durations() -> None:
    async def endpoint(request: Request) -> Response:
        measured.clock.advance(-10)
        return Response()

    measured = service(endpoint)
    measured.ask("/items/1")
    assert measured.value("http_request_duration_highr_seconds_sum") == 0
    assert measured.value("http_request_duration_highr_seconds_count") == 1
    labels = {"method": "GET", "handler": "/items/{id}"}
    assert measured.value("http_request_time_to_first_byte_seconds_sum", **labels) == 0


def test_buckets_are_those_that_were_asked_for() -> None:
    measured = service(hello, buckets=(1, 2))
    measured.ask("/items/1")
    buckets = measured.samples("http_request_duration_seconds_bucket")
    assert [le for _, le, _, _ in buckets] == ["1.0", "2.0", "+Inf"]


def test_the_instrumentators_bounds_are_there() -> None:
    # Dashboards ask for them by value.
    measured = service(hello)
    measured.ask("/items/1")
    fine = {le for (le,) in measured.samples("http_request_duration_highr_seconds_bucket")}
    assert {"0.01", "0.75", "1.5", "30.0", "60.0", "+Inf"} <= fine
    coarse = {le for _, le, _, _ in measured.samples("http_request_duration_seconds_bucket")}
    assert {"0.1", "0.5", "1.0", "+Inf"} <= coarse


def test_the_clock_of_the_machine_is_used_without_a_timer() -> None:
    measured = service(hello, timer=None)
    measured.ask("/items/1")
    seconds = measured.value("http_request_duration_highr_seconds_sum")
    assert seconds is not None
    assert 0 < seconds < 50


@pytest.mark.parametrize("exclude", [[], ["/healthz"]])
def test_other_scopes_are_untouched(exclude: list[str]) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, dict(scope), receive, send))

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "lifespan", "state": {}}
    asyncio.run(Measured(app, exclude=exclude).app(scope, receive, send))
    assert seen == [(scope, {"type": "lifespan", "state": {}}, receive, send)]


def test_servers_see_an_application_of_asgi_3() -> None:
    assert asyncio.iscoroutinefunction(ASGIMiddleware.__call__)


def test_percentiles_of_everything_are_there_in_process() -> None:
    async def endpoint(request: Request) -> Response:
        measured.clock.advance(float(request.path_params["id"]))
        return Response()

    measured = service(endpoint)
    for seconds in (1, 1, 3):
        measured.ask(f"/items/{seconds}")
    overall = measured.registry._names_to_collectors["http_request_duration_highr_seconds"]
    assert isinstance(overall, Histogram)
    assert overall.quantile(0.5) == pytest.approx(1, rel=0.011)
    assert overall.max() == 3
