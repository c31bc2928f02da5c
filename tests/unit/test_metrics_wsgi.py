"""What serves metrics from threads: the WSGI application, the server, the handler."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import inspect
import socket
import threading
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import prometheus_client
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, exposition

from penstock.metrics import (
    Counter,
    Gauge,
    MetricsHandler,
    generate_latest,
    make_wsgi_app,
    start_http_server,
)
from penstock.metrics._exposition import ERRORS, render
from penstock.metrics._negotiation import OPENMETRICS, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("hits", "Of a page.", ["path"], registry=registry).labels("/é").inc(7)
    Gauge("odd name", "Of nothing.", registry=registry)
    return registry


def ask(
    app: WSGIApplication,
    method: str = "GET",
    path: str = "/metrics",
    query: str = "",
    **headers: str,
) -> tuple[str, dict[str, str], bytes]:
    """Make one request, with the rules of WSGI checked on both sides."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    started: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        started.append((status, dict(headers)))

    with contextlib.closing(validator(app)(environ, start_response)) as chunks:  # type: ignore[type-var]
        body = b"".join(chunks)
    ((status, answered),) = started
    return status, answered, body


def test_get_is_answered_with_the_page(registry: CollectorRegistry) -> None:
    status, headers, body = ask(make_wsgi_app(registry))
    assert status == "200 OK"
    assert body == generate_latest(registry)
    assert headers == {
        "Content-Type": TEXT,
        "Content-Length": str(len(body)),
        "Vary": "Accept, Accept-Encoding",
    }


def test_default_is_the_registry_of_prometheus_client() -> None:
    _, _, body = ask(make_wsgi_app(), query="name[]=python_info")
    assert b"python_info" in body
    ours, theirs = map(inspect.signature, (make_wsgi_app, prometheus_client.make_wsgi_app))
    assert ours.parameters["registry"].default is REGISTRY
    assert list(ours.parameters) == list(theirs.parameters)


def test_format_and_compression_are_negotiated(registry: CollectorRegistry) -> None:
    wishes = {"accept": "application/openmetrics-text", "accept_encoding": "gzip"}
    _, headers, body = ask(make_wsgi_app(registry), **wishes)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == render(registry, OPENMETRICS)
    _, headers, body = ask(make_wsgi_app(registry, disable_compression=True), **wishes)
    assert "Content-Encoding" not in headers
    assert body == render(registry, OPENMETRICS)


def test_head_is_answered_with_the_headers_alone(registry: CollectorRegistry) -> None:
    status, headers, body = ask(make_wsgi_app(registry), "HEAD")
    assert (status, body) == ("200 OK", b"")
    assert headers == ask(make_wsgi_app(registry))[1]


def test_options_says_what_is_allowed(registry: CollectorRegistry) -> None:
    status, headers, body = ask(make_wsgi_app(registry), "OPTIONS")
    assert (status, headers["Allow"], body) == ("200 OK", "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_any_other_method_is_refused(registry: CollectorRegistry, method: str) -> None:
    status, headers, body = ask(make_wsgi_app(registry), method)
    assert status == "405 Method Not Allowed"
    assert headers["Allow"] == "GET, HEAD, OPTIONS"
    assert method.encode() in body


def test_icon_of_browsers_is_empty_and_no_scrape() -> None:
    registry = CollectorRegistry()
    Gauge("bad", "Not to be had.", registry=registry).set_function(lambda: pytest.fail("read"))
    status, _, body = ask(make_wsgi_app(registry), path="/favicon.ico")
    assert (status, body) == ("200 OK", b"")


def test_names_are_asked_for_in_the_query(registry: CollectorRegistry) -> None:
    _, _, body = ask(make_wsgi_app(registry), query="name[]=odd%20name")
    assert b"odd_name 0.0\n" in body
    assert b"hits" not in body


@pytest.mark.parametrize("query", ["name[]=\xff\xfe", "name[]=%ff", "%ff%fe=%", "\x00&&&=;"])
def test_query_that_is_no_text_is_no_error(registry: CollectorRegistry, query: str) -> None:
    status, _, _ = ask(make_wsgi_app(registry), query=query)
    assert status == "200 OK"


def test_query_in_utf_8_is_read_as_such() -> None:
    registry = CollectorRegistry()
    Gauge("größe", "In German.", registry=registry)
    query = "name[]=größe".encode().decode("latin-1")  # as WSGI hands it over
    assert b"gr__e 0.0" in ask(make_wsgi_app(registry), query=query)[2]


def test_collector_that_raises_is_no_error_of_the_server() -> None:
    registry = CollectorRegistry()
    Gauge("bad", "Not to be had.", registry=registry).set_function(lambda: 1 / 0)
    status, _, body = ask(make_wsgi_app(registry))
    assert status == "200 OK"
    assert f'{ERRORS}{{collector="bad"}} 1.0\n'.encode() in body


@contextlib.contextmanager
def ended(server: HTTPServer, thread: threading.Thread) -> Iterator[int]:
    """End a server and its thread after use."""
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        assert not thread.is_alive()


def fetch(
    connection: http.client.HTTPConnection, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    with contextlib.closing(connection):
        connection.request(method, "/metrics?name[]=hits_total", headers=headers)
        response = connection.getresponse()
        return response, response.read()


def test_server_answers_on_a_port_of_its_own(registry: CollectorRegistry) -> None:
    server, thread = start_http_server(0, "127.0.0.1", registry)
    with ended(server, thread) as port:
        assert thread.daemon
        for method in ("GET", "HEAD"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            response, body = fetch(connection, method)
            assert response.status == 200
            assert response.headers["Vary"] == "Accept, Accept-Encoding"
            expected = render(registry, OPENMETRICS, frozenset({"hits_total"}))
            assert body == b"" or b'hits_total{path="/\xc3\xa9"} 7.0\n' in expected
            assert len(body) == (0 if method == "HEAD" else int(response.headers["Content-Length"]))


def test_server_has_the_signature_of_prometheus_client() -> None:
    ours, theirs = map(inspect.signature, (start_http_server, prometheus_client.start_http_server))
    assert [(p.name, p.default) for p in ours.parameters.values()] == [
        (p.name, p.default) for p in theirs.parameters.values()
    ]


def test_server_on_a_taken_port_is_an_error(registry: CollectorRegistry) -> None:
    server, thread = start_http_server(0, "127.0.0.1", registry)
    with ended(server, thread) as port, pytest.raises(OSError, match="in use"):
        start_http_server(port, "127.0.0.1", registry)


def test_arguments_of_tls_reach_the_server(
    monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> None:
    names = list(inspect.signature(exposition.start_wsgi_server).parameters)
    taken: dict[str, object] = {}

    def start(*arguments: object, **more: object) -> tuple[WSGIServer, threading.Thread]:
        taken.update(zip(names, arguments, strict=False), **more)
        return WSGIServer(("127.0.0.1", 0), WSGIRequestHandler, False), threading.Thread()

    monkeypatch.setattr(exposition, "start_wsgi_server", start)
    given = {name: object() for name in names} | {"registry": registry}
    server, _ = start_http_server(**given)  # type: ignore[arg-type]
    server.server_close()
    assert taken == given


class Handled:
    """http.server with the handler."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.server = HTTPServer(("127.0.0.1", 0), MetricsHandler.factory(registry))
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


def test_handler_answers_as_the_applications_do(registry: CollectorRegistry) -> None:
    handled = Handled(registry)
    with ended(handled.server, handled.thread) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        response, body = fetch(connection, **{"Accept-Encoding": "gzip"})
        assert (response.status, response.headers["Content-Type"]) == (200, TEXT)
        assert gzip.decompress(body) == render(registry, PLAIN, frozenset({"hits_total"}))


def test_handler_answers_head_with_the_headers_alone(registry: CollectorRegistry) -> None:
    handled = Handled(registry)
    with (
        ended(handled.server, handled.thread) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as file:
            headers, end, body = file.read().partition(b"\r\n\r\n")
    assert f"Content-Length: {len(generate_latest(registry))}".encode() in headers
    assert (end, body) == (b"\r\n\r\n", b"")
