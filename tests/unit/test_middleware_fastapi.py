"""The middleware on FastAPI: included routers, mounts, validation, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from tests.asgi import HOWS, Measured

from penstock.metrics._route_tree import Leaf

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request


async def item(item_id: int) -> dict[str, int]:
    return {"item": item_id}


async def plain(request: Request) -> Response:
    return PlainTextResponse("plain")


def nested() -> FastAPI:
    """Return an application with routers in routers, the same one in two places, and mounts."""
    items = APIRouter(prefix="/items")
    items.get("/{item_id}")(item)
    items.post("/")(item)
    items.add_route("/items/plain/{name}", plain)  # not under the prefix: that is FastAPI's rule
    version = APIRouter(prefix="/v1")
    version.include_router(items)
    version.include_router(items, prefix="/again")
    other = FastAPI()
    other.get("/{item_id}")(item)
    other.include_router(version, prefix="/deep")
    app = FastAPI()
    app.get("/direct/{item_id}")(item)
    app.include_router(version, prefix="/api")
    app.include_router(items)
    app.add_route("/plain/{name}", plain)
    app.mount("/fast/{tenant}", other)
    app.mount("/starlette", Starlette(routes=[Route("/{name}", plain)]))
    return app


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/direct/1", "/direct/{item_id}"),
        ("/items/1", "/items/{item_id}"),
        ("/api/v1/items/1", "/api/v1/items/{item_id}"),
        ("/api/v1/again/items/1", "/api/v1/again/items/{item_id}"),
        ("/api/v1/items/plain/x", "/api/v1/items/plain/{name}"),
        ("/api/v1/again/items/plain/x", "/api/v1/again/items/plain/{name}"),
        ("/plain/x", "/plain/{name}"),
        ("/fast/acme/1", "/fast/{tenant}/{item_id}"),
        ("/fast/acme/deep/v1/items/1", "/fast/{tenant}/deep/v1/items/{item_id}"),
        ("/fast/acme/deep/v1/again/items/plain/x",
         "/fast/{tenant}/deep/v1/again/items/plain/{name}"),
        ("/fast/acme/docs", "/fast/{tenant}/docs"),
        ("/fast/acme/none/none", "__unmatched__"),
        ("/starlette/x", "/starlette/{name}"),
        ("/starlette/x/y", "__unmatched__"),
        ("/openapi.json", "/openapi.json"),
        ("/docs", "/docs"),
        ("/none", "__unmatched__"),
        ("/api/v1/none", "__unmatched__"),
    ],
)  # fmt: skip
def test_the_template_is_that_of_the_whole_path(path: str, template: str, how: str) -> None:
    measured = Measured(nested(), how)
    for _ in range(3):
        answer = measured.ask(path)
    if answer.status == 404 and template != "__unmatched__":
        pytest.skip("this FastAPI has no such route")
    assert measured.handlers == [template]


@pytest.mark.parametrize("how", HOWS)
def test_all_of_an_application_at_once_keeps_its_templates_apart(how: str) -> None:
    measured = Measured(nested(), how)
    for number in range(1, 4):
        for path in (
            f"/fast/{number}/{number}",
            f"/api/v1/items/{number}",
            f"/items/{number}",
            f"/items/plain/{number}",
            "/docs",
            "/openapi.json",
        ):
            assert measured.ask(path).status == 200
    assert measured.requests == dict.fromkeys(
        [
            ("/fast/{tenant}/{item_id}", "GET", "200"),
            ("/api/v1/items/{item_id}", "GET", "200"),
            ("/items/{item_id}", "GET", "200"),
            ("/items/plain/{name}", "GET", "200"),
            ("/docs", "GET", "200"),
            ("/openapi.json", "GET", "200"),
        ],
        3,
    )


def test_no_route_is_matched_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> bool:
        raise AssertionError("a route is matched")

    monkeypatch.setattr(Leaf, "accepts", fail)
    measured = Measured(nested())
    for path in ("/items/1", "/api/v1/items/1", "/api/v1/again/items/1", "/fast/x/deep/v1/items/1"):
        measured.ask(path)
    assert measured.handlers == [
        "/api/v1/again/items/{item_id}", "/api/v1/items/{item_id}",
        "/fast/{tenant}/deep/v1/items/{item_id}", "/items/{item_id}",
    ]  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("path", "method", "template", "status"),
    [
        ("/api/v1/items/none", "GET", "/api/v1/items/{item_id}", "422"),
        ("/fast/acme/none", "GET", "/fast/{tenant}/{item_id}", "422"),
        ("/api/v1/items/1", "DELETE", "/api/v1/items/{item_id}", "405"),
        ("/api/v1/items", "POST", "__unmatched__", "307"),
        ("/api/v1/items/", "POST", "/api/v1/items/", "422"),
        ("/none", "POST", "__unmatched__", "404"),
    ],
)
def test_refused_requests_have_their_template(
    path: str, method: str, template: str, status: str, how: str
) -> None:
    measured = Measured(nested(), how)
    measured.ask(path, method)
    assert measured.requests == {(template, method, status): 1}


@pytest.mark.parametrize("how", HOWS)
def test_a_dependency_may_refuse(how: str) -> None:
    async def refuse() -> None:
        raise HTTPException(401)

    router = APIRouter(prefix="/private", dependencies=[Depends(refuse)])
    router.get("/{item_id}")(item)
    app = FastAPI()
    app.include_router(router)
    measured = Measured(app, how)
    measured.ask("/private/1")
    assert measured.requests == {("/private/{item_id}", "GET", "401"): 1}


@pytest.mark.parametrize("how", HOWS)
def test_a_handler_that_raises_has_its_template(how: str) -> None:
    async def broken(item_id: int) -> None:
        raise ZeroDivisionError

    router = APIRouter(prefix="/broken")
    router.get("/{item_id}")(broken)
    app = FastAPI()
    app.include_router(router)
    measured = Measured(app, how)
    with pytest.raises(ZeroDivisionError):
        measured.ask("/broken/1")
    assert measured.requests == {("/broken/{item_id}", "GET", "500"): 1}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("path", ["/items/1", "/api/items/1"])
def test_the_root_path_of_the_application_is_no_part_of_the_template(path: str, how: str) -> None:
    app = FastAPI()
    app.root_path = "/api"  # as the argument does, which warns in newer versions
    app.get("/items/{item_id}")(item)
    measured = Measured(app, how)
    measured.ask(path)
    assert measured.handlers == ["/items/{item_id}"]


def test_fastapi_below_starlette_has_its_templates() -> None:
    inner = FastAPI()
    inner.get("/{item_id}")(item)
    inner.add_route("/plain/{name}", plain)
    router = APIRouter(prefix="/router")
    router.get("/{item_id}")(item)
    inner.include_router(router)
    measured = Measured(Starlette(routes=[Mount("/fast", app=inner), Route("/plain", plain)]))
    for path in ("/fast/1", "/fast/plain/x", "/fast/router/1", "/fast/docs", "/plain"):
        assert measured.ask(path).status == 200
    measured.ask("/fast/none/none")
    assert measured.handlers == [
        "/fast/docs", "/fast/plain/{name}", "/fast/router/{item_id}", "/fast/{item_id}", "/plain",
        "__unmatched__",
    ]  # fmt: skip


def test_a_mount_in_an_included_router_leads_on() -> None:
    inner = Starlette(routes=[Route("/{name}", plain)])
    router = APIRouter()
    router.mount("/sub", inner)
    app = FastAPI()
    app.include_router(router, prefix="/api")
    measured = Measured(app)
    answer = measured.ask("/api/sub/x")
    if answer.status == 404:
        pytest.skip("this FastAPI drops mounts of included routers")
    measured.ask("/api/sub/x/y")
    assert measured.handlers == ["/api/sub/{name}", "__unmatched__"]


def test_routers_may_be_included_at_any_time() -> None:
    app = FastAPI()
    app.get("/direct/{item_id}")(item)
    measured = Measured(app)
    measured.ask("/direct/1")
    late = APIRouter()
    late.get("/one/{item_id}")(item)
    app.include_router(late, prefix="/late")
    measured.ask("/late/one/1")
    late.get("/two/{item_id}")(item)
    app.include_router(late, prefix="/later")
    measured.ask("/later/two/1")
    measured.ask("/late/one/1")
    assert measured.handlers == ["/direct/{item_id}", "/late/one/{item_id}", "/later/two/{item_id}"]


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason="came with a later FastAPI")
@pytest.mark.parametrize("how", HOWS)
def test_files_of_a_frontend_are_one_handler(how: str, tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a {}")
    (tmp_path / "index.html").write_text("<html>")

    def serving(*paths: str) -> FastAPI:
        app = FastAPI()
        app.get("/items/{item_id}")(item)
        for path in paths:
            app.frontend(path, directory=tmp_path)
        return app

    app = serving("/", "/ui")
    app.mount("/sub/{tenant}", serving("/ui"))
    router = APIRouter(prefix="/router")
    router.frontend("/ui", directory=tmp_path)
    app.include_router(router)
    measured = Measured(app, how)
    for path in (
        "/a.css", "//a.css", "/", "/ui/a.css", "/ui", "/ui/", "/items/1", "/sub/x/ui/a.css",
        "/router/ui/a.css",
    ):  # fmt: skip
        assert measured.ask(path).status in {200, 307}, path
        measured.ask("/api" + path, root_path="/api")
    handlers: dict[str, float] = {}
    for (template, _, _), count in measured.requests.items():
        handlers[template] = handlers.get(template, 0) + count
    assert handlers == {
        "/{path}": 6,
        "/ui/{path}": 6,
        "/items/{item_id}": 2,
        "/sub/{tenant}/ui/{path}": 2,
        "/router/ui/{path}": 2,
    }


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason="came with a later FastAPI")
def test_a_file_that_a_frontend_does_not_have_is_not_a_path_that_nobody_has(tmp_path: Path) -> None:
    app = FastAPI()
    app.frontend("/ui", directory=tmp_path, fallback=None)
    measured = Measured(app)
    for path in ("/none", "/ui/none.css", "/none"):
        measured.ask(path)
    assert measured.requests == {
        ("__unmatched__", "GET", "404"): 2,
        ("/ui/{path}", "GET", "404"): 1,
    }
