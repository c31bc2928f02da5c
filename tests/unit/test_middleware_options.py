"""The options of the middleware, and metrics that several of them share."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from tests.asgi import HOWS, Measured
from tests.clock import Clock

from penstock.metrics._middleware import ASGIMiddleware, instrument

if TYPE_CHECKING:
    from starlette.websockets import WebSocket


async def one(request: Request) -> Response:
    return Response(b"one")


async def two(websocket: WebSocket) -> None:
    await websocket.close()


def service() -> Starlette:
    paths = ["/healthz", "/health/{check}", "/items/{id}"]
    return Starlette(routes=[*(Route(path, one) for path in paths), WebSocketRoute("/ws", two)])


def test_excluded_paths_are_not_measured() -> None:
    exclude = ["/healthz", re.compile("/health/.*"), re.compile("/item"), "/items/{id}"]
    measured = Measured(service(), exclude=iter(exclude))
    for path in ("/healthz", "/health/db", "/healthz/", "/x/health/db", "/items/1"):
        measured.ask(path)
    assert measured.samples("http_requests_in_progress") == {("GET",): 0}
    assert measured.requests == {
        ("__unmatched__", "GET", "307"): 1,
        ("__unmatched__", "GET", "404"): 1,
        ("/items/{id}", "GET", "200"): 1,
    }


def test_excluded_paths_are_without_the_root_path() -> None:
    measured = Measured(service(), exclude=["/healthz"])
    measured.ask("/api/healthz", root_path="/api")
    measured.ask("/healthz", root_path="/api")  # from a proxy that has cut it off
    measured.ask("/healthz", root_path="/health")
    assert measured.requests == {}
    measured.ask("/api/healthz", root_path="/ap")
    assert measured.requests == {("__unmatched__", "GET", "404"): 1}


def test_excluded_websockets_are_not_measured() -> None:
    measured = Measured(service(), exclude=["/ws"])
    asyncio.run(measured.serve(measured.websocket("/ws")))
    assert measured.samples("websocket_connections_total") == {}


@pytest.mark.parametrize(
    ("exclude", "error", "message"),
    [
        ("/healthz", TypeError, "exclude must be a list of paths or compiled patterns, got str"),
        (["/a", 3], TypeError, "exclude must be paths or compiled patterns, got int"),
        ([re.compile(b"/a")], TypeError, "exclude must be paths or compiled patterns, got Pattern"),
        (["healthz"], ValueError, "excluded paths must start with '/', got 'healthz'"),
    ],
)
def test_what_cannot_be_excluded_is_refused(
    exclude: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        ASGIMiddleware(service(), registry=CollectorRegistry(), exclude=exclude)


def test_two_applications_share_the_metrics_of_a_registry() -> None:
    first = Measured(service())
    second = Measured(service(), registry=first.registry, timer=first.clock)
    first.ask("/items/1")
    second.ask("/items/1")
    assert first.requests == {("/items/{id}", "GET", "200"): 2}
    assert second.requests == first.requests


def test_registries_share_nothing() -> None:
    first = Measured(service())
    second = Measured(service())
    first.ask("/items/1")
    assert second.requests == {}


def test_namespaces_share_nothing() -> None:
    first = Measured(service(), namespace="first")
    second = Measured(service(), namespace="second", registry=first.registry)
    first.ask("/items/1")
    second.ask("/none")
    assert first.samples("first_http_requests_total") == {("/items/{id}", "GET", "200"): 1}
    assert first.samples("second_http_requests_total") == {("__unmatched__", "GET", "404"): 1}
    assert first.samples("http_requests_total") == {}


def test_a_middleware_within_another_one_does_not_count_again() -> None:
    inner = service()
    app = Starlette(routes=[Mount("/sub", app=inner)])
    measured = Measured(app)
    inner.add_middleware(ASGIMiddleware, registry=measured.registry, timer=measured.clock)
    other = CollectorRegistry()
    app.add_middleware(ASGIMiddleware, registry=other)
    measured.ask("/sub/items/1")
    assert measured.requests == {("/sub/items/{id}", "GET", "200"): 1}
    labels = {"method": "GET", "handler": "/sub/items/{id}", "status": "200"}
    assert other.get_sample_value("http_requests_total", labels) == 1


def test_a_middleware_in_a_mounted_application_has_the_whole_template() -> None:
    inner = service()
    app = Starlette(routes=[Mount("/sub", app=inner), Route("/items/{id}", one)])
    measured = Measured(inner, "added")
    measured.app = app
    measured.ask("/sub/items/1")
    measured.ask("/items/1")
    assert measured.requests == {("/sub/items/{id}", "GET", "200"): 1}


def test_what_the_outer_one_excludes_the_inner_one_may_count() -> None:
    inner = service()
    app = Starlette(routes=[Mount("/sub", app=inner)])
    measured = Measured(app, exclude=[re.compile("/sub/.*")])
    inner.add_middleware(ASGIMiddleware, registry=measured.registry, timer=measured.clock)
    measured.ask("/sub/items/1")
    assert measured.requests == {("/sub/items/{id}", "GET", "200"): 1}


def test_requests_that_an_application_makes_to_itself_count() -> None:
    async def batch(request: Request) -> Response:
        for number in range(2):
            scope = {**request.scope, "path": f"/items/{number}", "path_params": {}}
            await measured.app(scope, request.receive, sent.send)
        return Response(b"batch")

    for how in HOWS:
        app = Starlette(routes=[Route("/batch", batch), Route("/items/{id}", one)])
        measured = Measured(app, how)
        sent = measured.connection("/batch")
        measured.ask("/batch")
        assert measured.requests == {
            ("/items/{id}", "GET", "200"): 2,
            ("/batch", "GET", "200"): 1,
        }


def test_a_scope_may_be_used_again() -> None:
    measured = Measured(service())
    connection = measured.connection("/items/1")

    async def main() -> None:
        for _ in range(3):
            connection.scope.pop("path_params", None)
            await measured.serve(connection)

    asyncio.run(main())
    assert measured.requests == {("/items/{id}", "GET", "200"): 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": [1, 2]}, r"buckets must be \(0.005, .*\) as for the other .*, got \(1, 2\)"),
        ({"max_series": 7}, "max_series must be 10000 as for the other middleware .*, got 7"),
        ({"timer": Clock()}, "timer must be .*"),
    ],
)
def test_metrics_are_shared_only_with_the_same_options(
    options: dict[str, Any], message: str
) -> None:
    first = Measured(service())
    with pytest.raises(ValueError, match=message):
        Measured(service(), registry=first.registry, **{"timer": first.clock, **options})


def test_a_name_that_is_taken_is_refused_and_nothing_is_left_behind() -> None:
    registry = CollectorRegistry()
    taken = Counter("websocket_messages", "Of another kind.", registry=registry)
    with pytest.raises(ValueError, match="websocket_messages"):
        Measured(service(), registry=registry)
    assert [family.name for family in registry.collect()] == ["websocket_messages"]
    registry.unregister(taken)
    measured = Measured(service(), registry=registry)
    measured.ask("/items/1")
    assert measured.requests == {("/items/{id}", "GET", "200"): 1}


def test_metrics_come_back_after_everything_was_unregistered() -> None:
    # Test suites do that between tests.
    first = Measured(service())
    first.ask("/items/1")
    for collector in list(first.registry._collector_to_names):
        first.registry.unregister(collector)
    assert first.requests == {}
    second = Measured(service(), registry=first.registry, timer=first.clock)
    second.ask("/items/1")
    assert second.requests == {("/items/{id}", "GET", "200"): 2}


def test_a_registry_is_freed() -> None:
    measured = Measured(service())
    measured.ask("/items/1")
    registry = weakref.ref(measured.registry)
    del measured
    gc.collect()
    assert registry() is None


def test_series_are_limited() -> None:
    routes = [Route(f"/{number}", one) for number in range(10)]
    measured = Measured(Starlette(routes=routes), max_series=3)
    for _ in range(2):
        for number in range(10):
            measured.ask(f"/{number}")
    requests = measured.requests
    assert len(requests) == 4
    assert requests["__overflow__", "__overflow__", "__overflow__"] == 14
    assert sum(requests.values()) == 20


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_series": 0}, ValueError),
        ({"max_series": "many"}, TypeError),
        ({"buckets": [2, 1]}, ValueError),
        ({"buckets": []}, ValueError),
        ({"timer": 3}, TypeError),
        ({"no_such_option": 1}, TypeError),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        instrument(service(), **{"registry": CollectorRegistry(), **options})


def test_the_metrics_are_what_prometheus_reads() -> None:
    measured = Measured(service())
    measured.ask("/items/1")
    asyncio.run(measured.serve(measured.websocket("/ws")))
    text = generate_latest(measured.registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {
        name: family.type for name, family in families.items() if not name.endswith("_created")
    } == {
        "http_requests": "counter",
        "http_request_duration_seconds": "histogram",
        "http_request_duration_highr_seconds": "histogram",
        "http_request_time_to_first_byte_seconds": "histogram",
        "http_request_size_bytes": "histogram",
        "http_response_size_bytes": "histogram",
        "http_requests_in_progress": "gauge",
        "websocket_connections": "counter",
        "websocket_connections_in_progress": "gauge",
        "websocket_connection_duration_seconds": "histogram",
        "websocket_messages": "counter",
    }


def test_middlewares_may_be_made_in_many_threads_at_once() -> None:
    registry = CollectorRegistry()
    clock = Clock()
    errors: list[Exception] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        try:
            ASGIMiddleware(service(), registry=registry, timer=clock)
        except Exception as error:  # shown below
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
