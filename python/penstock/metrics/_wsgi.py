"""What serves a registry from threads: a WSGI application, a server, a handler for http.server."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client import exposition
from prometheus_client.registry import REGISTRY

from penstock.metrics._scrape import answer, read_scrape, refusal, text_headers

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from wsgiref.simple_server import WSGIServer
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client.registry import Collector

__all__ = ["MetricsHandler", "make_wsgi_app", "start_http_server", "start_wsgi_server"]


def make_wsgi_app(
    registry: Collector = REGISTRY, disable_compression: bool = False
) -> WSGIApplication:
    """
    Return a WSGI application that serves the metrics of a registry at any path.

    Args:
        registry: A registry, or anything with ``collect()``.
        disable_compression: Never answer with gzip.

    Cost: everything runs in the thread that calls the application.
    """

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in {"GET", "HEAD"}:
            status, headers, body = refusal(method)
        elif environ.get("PATH_INFO") == "/favicon.ico":
            status, headers, body = 200, text_headers(b""), b""  # browsers ask for it
        else:
            scrape = read_scrape(
                environ.get("HTTP_ACCEPT", ""),
                environ.get("HTTP_ACCEPT_ENCODING", ""),
                environ.get("QUERY_STRING", "").encode("latin-1", "replace"),
                compress=not disable_compression,
            )
            status, (headers, body) = 200, answer(registry, scrape)
        start_response(f"{status} {HTTPStatus(status).phrase}", list(headers))
        return [b"" if method == "HEAD" else body]

    return app


def start_http_server(
    port: int,
    addr: str = "0.0.0.0",
    registry: Collector = REGISTRY,
    certfile: str | None = None,
    keyfile: str | None = None,
    client_cafile: str | None = None,
    client_capath: str | None = None,
    protocol: int = ssl.PROTOCOL_TLS_SERVER,
    client_auth_required: bool = False,
    tls_min_version: ssl.TLSVersion | None = None,
    tls_max_version: ssl.TLSVersion | None = None,
) -> tuple[WSGIServer, threading.Thread]:
    """
    Serve the metrics of a registry from a daemon thread, on a port of its own.

    Args:
        port: Where to listen; 0 takes a free port, which is ``server.server_port`` then.
        addr: The interface to listen on.
        registry: A registry, or anything with ``collect()``.
        certfile, keyfile: With both it speaks TLS.
        client_cafile, client_capath, client_auth_required: Whose certificates clients need.
        protocol, tls_min_version, tls_max_version: As for ``ssl.SSLContext``.

    Returns:
        The server and its thread; ``server.shutdown()`` and ``server.server_close()`` end it.

    Raises:
        OSError: The port is taken, or a file cannot be read.

    Cost: a thread per connection.

    Source: prometheus_client's server, with our application in it.
    """
    versions = {"tls_min_version": tls_min_version, "tls_max_version": tls_max_version}
    server, thread = exposition.start_wsgi_server(
        port,
        addr,
        registry,
        certfile,
        keyfile,
        client_cafile,
        client_capath,
        protocol,
        client_auth_required,
        # Older prometheus_clients do not have these.
        **{name: version for name, version in versions.items() if version is not None},
    )
    # Whoever is faster than this line gets a page from prometheus_client, with the same samples.
    server.set_app(make_wsgi_app(registry))
    return server, thread


start_wsgi_server = start_http_server


class MetricsHandler(exposition.MetricsHandler):
    """
    Answers for ``http.server`` with the metrics of `registry`; ``factory`` makes one for another.
    """

    def do_GET(self) -> None:  # noqa: N802  # http.server's name
        """Answer a GET request."""
        self._answer()

    def do_HEAD(self) -> None:  # noqa: N802
        """Answer a HEAD request."""
        self._answer()

    def _answer(self) -> None:
        accept, encoding = (
            ",".join(self.headers.get_all(name, ())) for name in ("Accept", "Accept-Encoding")
        )
        query = urlsplit(self.path).query.encode("latin-1", "replace")
        scrape = read_scrape(accept, encoding, query, compress=True)
        headers, body = answer(self.registry, scrape)
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
