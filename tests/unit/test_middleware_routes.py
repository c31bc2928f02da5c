"""The middleware on Starlette: which route template a request is counted under."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from tests.asgi import HOWS, Measured

if TYPE_CHECKING:
    from pathlib import Path


async def one(request: Request) -> Response:
    return PlainTextResponse("one")


async def two(request: Request) -> Response:
    return PlainTextResponse("two")


async def three(request: Request) -> Response:
    return PlainTextResponse("three")


class Resource(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("a class")


async def opaque(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("no routes to be seen")(scope, receive, send)


def handler(app: Any, path: str, how: str = "wrapped", **more: Any) -> str:
    """Return under which handler a request is counted."""
    measured = Measured(app, how)
    measured.ask(path, **more)
    (found,) = measured.handlers
    return found


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/users/17", "/users/{id:int}"),
        ("/users/seventeen", "__unmatched__"),
        ("/files/a/b/c.txt", "/files/{path:path}"),
        ("/class", "/class"),
        ("/sub/", "/sub/"),
        ("/sub/two/7", "/sub/two/{id}"),
        ("/sub/deeper/three", "/sub/deeper/three"),
        ("/sub/deeper/four", "__unmatched__"),
        ("/sub/deeper", "__unmatched__"),
        ("/sub/none", "__unmatched__"),
        ("/tenants/acme/two/7", "/tenants/{tenant}/two/{id}"),
        ("/tenants/acme/none", "__unmatched__"),
        ("/app/two/7", "/app/two/{id}"),
        ("/app/deeper/three", "/app/deeper/three"),
        ("/opaque/whatever", "/opaque"),
        ("/none", "__unmatched__"),
        ("", "__unmatched__"),
    ],
)
def test_the_template_is_that_of_the_route_with_its_mounts(
    path: str, template: str, how: str
) -> None:
    inner = [
        Route("/", one),
        Route("/two/{id}", two),
        Mount("/deeper", routes=[Route("/three", three)]),
    ]
    app = Starlette(
        routes=[
            Route("/", one),
            Route("/users/{id:int}", two),
            Route("/files/{path:path}", three),
            Route("/class", Resource),
            Mount("/sub", routes=inner),
            Mount("/tenants/{tenant}", routes=inner),
            Mount("/app", app=Starlette(routes=inner)),
            Mount("/opaque", app=opaque),
        ]
    )
    measured = Measured(app, how)
    for _ in range(3):
        measured.ask(path)
    assert measured.handlers == [template]


def test_values_of_parameters_never_become_labels() -> None:
    app = Starlette(
        routes=[
            Route("/users/{id}", one),
            Mount("/tenants/{id}", routes=[Route("/users/{id}", two)]),
            Mount("/hidden/{id}", app=opaque),
        ]
    )
    measured = Measured(app)
    for number in range(20):
        measured.ask(f"/users/{number}")
        measured.ask(f"/tenants/{number}/users/{number}")
        measured.ask(f"/hidden/{number}/{number}")
        measured.ask(f"/tenants/{number}/{number}")
        measured.ask(f"/{number}")
    assert measured.handlers == [
        "/hidden/{id}", "/tenants/{id}/users/{id}", "/users/{id}", "__unmatched__",
    ]  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_a_wrong_method_has_the_template_too(how: str) -> None:
    app = Starlette(routes=[Mount("/sub", routes=[Route("/two/{id}", two)])])
    measured = Measured(app, how)
    measured.ask("/sub/two/1", "DELETE")
    assert measured.requests == {("/sub/two/{id}", "DELETE", "405"): 1}


def test_of_two_routes_with_one_path_each_takes_its_methods() -> None:
    app = Starlette(
        routes=[Route("/{a}", one, methods=["GET"]), Route("/{b}", two, methods=["PUT"])]
    )
    measured = Measured(app)
    measured.ask("/1")
    measured.ask("/1", "PUT")
    measured.ask("/1", "DELETE")
    assert list(measured.requests) == [
        ("/{a}", "GET", "200"), ("/{b}", "PUT", "200"), ("/{a}", "DELETE", "405"),
    ]  # fmt: skip


def test_a_redirect_to_a_path_with_a_slash_has_no_template() -> None:
    app = Starlette(routes=[Route("/slash/", one), Mount("/sub", routes=[Route("/slash/", one)])])
    measured = Measured(app)
    for path in ("/slash", "/sub/slash", "/sub"):
        assert measured.ask(path).status == 307
    assert measured.requests == {("__unmatched__", "GET", "307"): 3}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/two/7", "/two/{id}"),
        ("/api/sub/two/7", "/sub/two/{id}"),
        # From a proxy that has cut off the prefix: against the standard, but routes match.
        ("/two/7", "/two/{id}"),
    ],
)
def test_a_root_path_of_the_server_is_no_part_of_the_template(
    path: str, template: str, how: str
) -> None:
    route = Route("/two/{id}", two)
    app = Starlette(routes=[Mount("/sub", routes=[route]), route])
    assert handler(app, path, how, root_path="/api") == template


def test_a_root_path_that_a_client_sets_is_no_part_of_the_template() -> None:
    # As a middleware does that trusts X-Forwarded-Prefix.
    inner = Starlette(routes=[Route("/two/{id}", two)])

    async def trusting(scope: Any, receive: Any, send: Any) -> None:
        scope["root_path"] = scope["query_string"].decode()
        await inner(scope, receive, send)

    measured = Measured(trusting)
    for number in range(5):
        measured.ask("/two/1", query_string=b"/made-up-%d" % number)
    assert measured.handlers == ["/two/{id}"]


@pytest.mark.parametrize("how", HOWS)
def test_hosts_lead_to_templates_without_them(how: str) -> None:
    api = Router([Route("/two/{id}", two), Mount("/sub", routes=[Route("/three", three)])])
    app = Starlette(routes=[Host("{tenant}.example.org", app=api), Route("/one", one)])
    measured = Measured(app, how)
    for tenant in (b"acme", b"globex"):
        headers = [(b"host", tenant + b".example.org")]
        measured.ask("/two/1", headers=headers)
        measured.ask("/sub/three", headers=headers)
        measured.ask("/none", headers=headers)
    measured.ask("/one")
    assert measured.handlers == ["/one", "/sub/three", "/two/{id}", "__unmatched__"]


def test_one_endpoint_with_several_paths_has_several_templates() -> None:
    app = Starlette(
        routes=[
            Route("/a/{id}", one),
            Route("/b/{id}", one),
            Mount("/sub", routes=[Route("/a/{id}", one), Route("/{rest:path}", one)]),
        ]
    )
    measured = Measured(app)
    for _ in range(2):
        for path in ("/a/1", "/b/1", "/sub/a/1", "/sub/b/1"):
            measured.ask(path)
    assert measured.handlers == ["/a/{id}", "/b/{id}", "/sub/a/{id}", "/sub/{rest:path}"]


def test_one_application_mounted_twice_has_both_templates() -> None:
    shared = Starlette(routes=[Route("/two/{id}", two)])
    app = Starlette(routes=[Mount("/a", app=shared), Mount("/b/{x}", app=shared)])
    measured = Measured(app)
    for _ in range(2):
        measured.ask("/a/two/1")
        measured.ask("/b/5/two/1")
        measured.ask("/prefix/a/two/1", root_path="/prefix")
    assert measured.requests == {
        ("/a/two/{id}", "GET", "200"): 4,
        ("/b/{x}/two/{id}", "GET", "200"): 2,
    }


def test_a_mount_is_seen_through_middlewares() -> None:
    inner = Starlette(routes=[Route("/two/{id}", two)])
    app = Starlette(
        routes=[
            Mount("/wrapped", app=GZipMiddleware(inner)),
            Mount("/own", routes=[Route("/three", three)], middleware=[Middleware(GZipMiddleware)]),
        ]
    )
    measured = Measured(app)
    for path in ("/wrapped/two/1", "/own/three", "/wrapped/none", "/own/none"):
        measured.ask(path)
    # What is wrapped might be anything: so what is not found in there is still called by its mount.
    assert measured.handlers == ["/own/three", "/wrapped", "/wrapped/two/{id}", "__unmatched__"]


def test_routes_behind_an_application_that_does_not_tell_them_have_their_mount() -> None:
    hidden = Starlette(routes=[Route("/two/{id}", two)])

    async def closed(scope: Any, receive: Any, send: Any) -> None:
        await hidden(scope, receive, send)

    app = Starlette(
        routes=[
            Route("/two/{id}", two),
            Mount("/a/{x}", app=closed),
            Mount("/b", app=opaque),
        ]
    )
    measured = Measured(app)
    for _ in range(2):
        for path in ("/a/1/two/1", "/a/2/two/1", "/b/x", "/two/1"):
            measured.ask(path)
    newer = "/a/{x}/two/{id}"  # since Starlette 1.0 a router names the route
    assert measured.handlers in (
        [newer, "/b", "/two/{id}"],
        ["/b", "/two/{id}"],
    )


def test_static_files_are_one_handler(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a {}")
    measured = Measured(Starlette(routes=[Mount("/static", app=StaticFiles(directory=tmp_path))]))
    measured.ask("/static/a.css")
    measured.ask("/static/b.css")
    assert measured.requests == {("/static", "GET", "200"): 1, ("/static", "GET", "404"): 1}


def test_files_mounted_at_the_root_are_a_handler(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a {}")
    app = Starlette(routes=[Route("/one", one), Mount("/", app=StaticFiles(directory=tmp_path))])
    measured = Measured(app)
    measured.ask("/a.css")
    measured.ask("/one")
    assert measured.handlers == ["/", "/one"]


@pytest.mark.parametrize("how", HOWS)
def test_middlewares_in_between_do_not_matter(how: str) -> None:
    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            return response

    app = Starlette(
        routes=[Mount("/sub", routes=[Route("/two/{id}", two)])],
        middleware=[Middleware(Passing), Middleware(GZipMiddleware), Middleware(Passing)],
    )
    measured = Measured(app, how)
    measured.ask("/sub/two/1")
    assert measured.requests == {("/sub/two/{id}", "GET", "200"): 1}
    assert sum(measured.samples("http_response_size_bytes_sum").values()) == 3


def test_a_middleware_that_answers_itself_has_no_template() -> None:
    class Refusing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await Response(status_code=401)(scope, receive, send)

    app = Starlette(routes=[Route("/one", one)], middleware=[Middleware(Refusing)])
    measured = Measured(app)
    measured.ask("/one")
    assert measured.requests == {("__unmatched__", "GET", "401"): 1}


def test_a_router_alone_has_templates_too() -> None:
    router = Router([Route("/one", one), Mount("/sub", routes=[Route("/two/{id}", two)])])
    assert handler(router, "/sub/two/1") == "/sub/two/{id}"


def test_several_applications_behind_one_middleware_keep_their_templates() -> None:
    shared = Router([Route("/{id}", one)])
    first = Starlette(routes=[Mount("/first", app=shared)])
    second = Starlette(routes=[Mount("/{second}", app=shared)])

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        app = first if scope["path"].startswith("/first") else second
        await app(scope, receive, send)

    measured = Measured(dispatch)
    measured.ask("/first/1")
    measured.ask("/other/1")
    assert measured.handlers == ["/first/{id}", "/{second}/{id}"]


def test_routes_may_be_added_at_any_time() -> None:
    app = Starlette(routes=[Route("/one", one)])
    measured = Measured(app)
    measured.ask("/one")
    app.router.routes.append(Mount("/late", routes=[Route("/two/{id}", two)]))
    measured.ask("/late/two/1")
    assert measured.handlers == ["/late/two/{id}", "/one"]


def test_no_route_is_matched_a_second_time() -> None:
    class Counting:
        def __init__(self, regex: re.Pattern[str]) -> None:
            self.regex = regex
            self.count = 0

        def match(self, path: str) -> re.Match[str] | None:
            self.count += 1
            return self.regex.match(path)

    route = Route("/two/{id}", two)
    mount = Mount("/sub", routes=[route])
    regexes: list[Any] = []
    for counted in (route, mount):
        regexes.append(Counting(counted.path_regex))
        counted.path_regex = regexes[-1]
    measured = Measured(Starlette(routes=[mount]))
    for number in range(10):
        measured.ask(f"/sub/two/{number}")
    assert measured.handlers == ["/sub/two/{id}"]
    assert [regex.count for regex in regexes] == [10, 10]
