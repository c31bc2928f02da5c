"""`instrument`: the outermost timer, and the innermost recorder for copied scopes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from tests.asgi import Measured

from penstock.metrics._middleware import ASGIMiddleware, instrument


class Copying:
    """A middleware that copies the scope, as many do that change something in it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


async def one(request: Request) -> Response:
    return Response(b"one")


async def item(item_id: int) -> dict[str, int]:
    return {"item": item_id}


def copying() -> Starlette:
    inner = Starlette(routes=[Route("/items/{id}", one)])
    return Starlette(
        routes=[Mount("/sub", app=inner), Route("/items/{id}", one)],
        middleware=[Middleware(Copying), Middleware(Copying)],
    )


def test_a_copied_scope_hides_the_route_from_a_plain_middleware() -> None:
    measured = Measured(copying(), "added")
    measured.ask("/items/1")
    assert measured.handlers == ["__unmatched__"]


def test_a_copied_scope_hides_nothing_after_instrument() -> None:
    measured = Measured(copying(), "instrumented")
    for path in ("/items/1", "/sub/items/1", "/none", "/sub/none"):
        measured.ask(path)
    assert measured.handlers == ["/items/{id}", "/sub/items/{id}", "__unmatched__"]


def test_a_copied_scope_hides_nothing_of_fastapi_after_instrument() -> None:
    router = APIRouter(prefix="/items")
    router.get("/{item_id}")(item)
    app = FastAPI()
    app.include_router(router, prefix="/api")
    app.add_middleware(Copying)
    measured = Measured(app, "instrumented")
    measured.ask("/api/items/1")
    measured.ask("/api/items/none")
    assert measured.requests == {
        ("/api/items/{item_id}", "GET", "200"): 1,
        ("/api/items/{item_id}", "GET", "422"): 1,
    }


def test_a_mounted_application_that_copies_scopes_may_be_instrumented_too() -> None:
    inner = copying()
    app = Starlette(routes=[Mount("/outer", app=inner)])
    measured = Measured(app, "instrumented")
    instrument(inner, registry=measured.registry, timer=measured.clock)
    measured.ask("/outer/items/1")
    measured.ask("/outer/sub/items/1")
    assert measured.requests == {
        ("/outer/items/{id}", "GET", "200"): 1,
        ("/outer/sub/items/{id}", "GET", "200"): 1,
    }


def test_middlewares_that_are_added_later_are_measured_too() -> None:
    class Slow:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            measured.clock.advance(3)
            if scope["path"] == "/refused":
                await Response(status_code=401)(scope, receive, send)
            else:
                await self.app(scope, receive, send)

    app = copying()
    measured = Measured(app, "instrumented")
    app.add_middleware(Slow)
    measured.ask("/items/1")
    measured.ask("/refused")
    assert measured.requests == {
        ("/items/{id}", "GET", "200"): 1,
        ("__unmatched__", "GET", "401"): 1,
    }
    assert measured.value("http_request_duration_highr_seconds_sum") == 6


def test_the_recorder_is_the_innermost_middleware() -> None:
    app = copying()
    Measured(app, "instrumented")
    assert [middleware.cls.__name__ for middleware in app.user_middleware] == [
        "Copying", "Copying", "Recorder",
    ]  # fmt: skip


def test_two_registries_may_instrument_one_application() -> None:
    app = copying()
    first = Measured(app, "instrumented")
    second = Measured(app, "instrumented")
    first.ask("/items/1")
    assert first.requests == second.requests == {("/items/{id}", "GET", "200"): 1}


def test_an_application_that_is_instrumented_twice_is_counted_once() -> None:
    app = copying()
    measured = Measured(app, "instrumented")
    instrument(app, registry=measured.registry, timer=measured.clock)
    measured.ask("/items/1")
    assert measured.requests == {("/items/{id}", "GET", "200"): 1}


def test_an_application_that_has_started_is_refused() -> None:
    app = Starlette(routes=[Route("/items/{id}", one)])
    Measured(app).ask("/items/1")
    with pytest.raises(RuntimeError, match="must be instrumented before it starts"):
        instrument(app)


def test_the_stack_may_be_built_again() -> None:
    # As other instrumentations do.
    app = copying()
    measured = Measured(app, "instrumented")
    measured.ask("/items/1")
    app.middleware_stack = app.build_middleware_stack()
    measured.ask("/items/1")
    assert measured.requests == {("/items/{id}", "GET", "200"): 2}


def test_whoever_walks_the_stack_finds_the_router() -> None:
    app = copying()
    measured = Measured(app, "instrumented")
    measured.ask("/items/1")
    layers = []
    layer: Any = app.middleware_stack
    while layer is not None:
        layers.append(layer)
        layer = getattr(layer, "app", None)
    assert isinstance(layers[0], ASGIMiddleware)
    assert app.router in layers


def test_without_an_outer_timer_the_recorder_does_nothing() -> None:
    app = copying()
    measured = Measured(app, "instrumented", exclude=["/items/1"])
    answer = measured.ask("/items/1")
    assert answer.status == 200
    assert measured.requests == {}


def test_what_comes_after_the_response_does_not_count_again() -> None:
    class Repeating(Copying):
        """Calls the application again for itself, as a cache that refreshes does."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def drop(message: Any) -> None:
                pass

            await self.app(dict(scope), receive, send)
            await self.app(dict(scope), receive, drop)

    app = copying()
    measured = Measured(app, "instrumented")
    app.add_middleware(Repeating)
    measured.ask("/items/1")
    assert measured.requests == {("/items/{id}", "GET", "200"): 1}


def test_lifespans_pass_through() -> None:
    events = []

    async def main() -> None:
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> dict[str, str]:
            return messages.pop(0)

        async def send(message: Any) -> None:
            events.append(message["type"])

        await measured.app({"type": "lifespan", "state": {}}, receive, send)

    measured = Measured(copying(), "instrumented")
    asyncio.run(main())
    assert events == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
