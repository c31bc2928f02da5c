"""How the middleware remembers templates: bounded, and no harm from odd applications."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from tests.asgi import Measured

from penstock.metrics import _meter, _routes
from penstock.metrics._route_tree import RouteTree
from penstock.metrics._routes import Templates

if TYPE_CHECKING:
    from starlette.requests import Request


async def one(request: Request) -> Response:
    return Response()


def fresh() -> Router:
    """Return a router as some applications make one for each request."""

    async def endpoint(request: Request) -> Response:
        return Response()

    return Router([Route("/{id}", endpoint)])


def test_routers_made_for_each_request_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_routes, "_MOST_KNOWN", 10)
    monkeypatch.setattr(_meter, "_MOST_AT_HAND", 10)
    routers = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        router = fresh()
        routers.append(weakref.ref(router))
        await router(scope, receive, send)

    measured = Measured(app)
    for _ in range(35):
        measured.ask("/1")
    gc.collect()
    assert measured.requests == {("/{id}", "GET", "200"): 35}
    assert sum(router() is not None for router in routers) <= 10


@pytest.mark.parametrize("forgets", [False, True])
def test_what_is_remembered_stays_alive(forgets: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another object in the place of a dead one would have its id, and so its template.
    if forgets:
        monkeypatch.setattr(_routes, "_MOST_KNOWN", 0)
    marks: list[weakref.ref[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await fresh()(scope, receive, send)
        marks.extend(weakref.ref(scope[mark]) for mark in ("router", "endpoint"))

    measured = Measured(app)
    for _ in range(3):
        measured.ask("/1")
    gc.collect()
    assert all(mark() is not None for mark in marks)
    del measured
    gc.collect()
    assert all(mark() is None for mark in marks)


def test_a_template_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def find(self: Templates, scope: Any) -> Any:
        calls.append(scope["path"])
        return found(self, scope)

    found = Templates.find
    monkeypatch.setattr(Templates, "find", find)
    measured = Measured(Router([Route("/{id}", one)]))
    for path in ("/1", "/2", "/3", "/none/none", "/none/none"):
        measured.ask(path)
    assert calls == ["/1", "/none/none"]


def test_routes_that_are_never_found_do_not_cost_a_walk_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walks = []

    class Counted(RouteTree):
        def __init__(self, router: object) -> None:
            walks.append(router)
            super().__init__(router)

    monkeypatch.setattr(_routes, "RouteTree", Counted)
    monkeypatch.setattr(_routes, "_FREE_WALKS", 5)
    monkeypatch.setattr(_routes, "_WALK_EVERY", 20)

    async def hidden(scope: Any, receive: Any, send: Any) -> None:
        await fresh()(scope, receive, send)

    measured = Measured(Router([Mount("/hidden", app=hidden)]))
    for _ in range(60):
        measured.ask("/hidden/1")
    assert measured.handlers in (["/hidden/{id}"], ["/hidden"])
    assert len(walks) == 1 + 5 + 3


def test_a_mount_of_itself_ends() -> None:
    router = Router([Route("/one", one)])
    router.routes.append(Mount("/again", app=router))
    measured = Measured(router)
    for path in ("/one", "/again/one", "/again/again/one"):
        measured.ask(path)
    assert measured.handlers == ["/again/again/one", "/again/one", "/one"]


@pytest.mark.parametrize(
    "odd",
    [
        {"fastapi": {"frontend_path": 3}},
        {"router": type("Odd", (), {"routes": 3})()},
        {"router": type("Odd", (), {"routes": [type("Odd", (), {"path": 3, "app": one})()]})()},
    ],
)
def test_odd_things_in_a_scope_do_no_harm(
    odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["endpoint"] = one
        scope.update(odd)
        await Response(b"fine")(scope, receive, send)

    measured = Measured(app)
    with caplog.at_level(logging.WARNING, "penstock.metrics"):
        for _ in range(3):
            assert measured.ask("/").body == b"fine"
    assert measured.requests == {("__unmatched__", "GET", "200"): 3}
    (record,) = caplog.records
    assert record.getMessage() == f"cannot tell the route template of {one!r}"
    assert record.exc_info is not None


def test_a_scope_without_routes_is_unmatched() -> None:
    templates = Templates()
    for scope in (
        {},
        {"endpoint": one},
        {"endpoint": one, "router": object()},
        {"fastapi": object()},
    ):
        assert templates.find(scope)[0] == "__unmatched__"
