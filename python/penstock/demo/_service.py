"""
The service under test, run as its own process: ``python -m penstock.demo._service``.

It ends when its standard input does, so that it never outlives the demo that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import starlette
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from penstock import BACKEND
from penstock.demo._caching import NoCache, OneTier, Tiers
from penstock.demo._events import open_log
from penstock.demo._l2 import open_store
from penstock.demo._reader import DocumentReader
from penstock.metrics import instrument, make_asgi_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from penstock.demo._caching import Caching
    from penstock.demo._events import EventLog
    from penstock.demo._model import ServiceStats

__all__ = ["main", "make_app"]

_LOOPBACK = "127.0.0.1"
_EXIT_GRACE = 3.0


def make_app(
    reader: DocumentReader,
    caching: Caching | None = None,
    on_ready: Callable[[], None] = lambda: None,
    events: EventLog | None = None,
) -> Starlette:
    """
    Return the service: ``/documents/{id}``, ``/stats`` and ``/metrics``.

    Args:
        reader: Where the documents come from; closed with the application.
        caching: What is between the two; None serves every request from the database. Closed with
            the application.
        on_ready: Called once the application has started.
        events: Where each document that was asked for is recorded before it is sent; opened and
            closed with the application.
    """

    async def read_document(document_id: int) -> bytes | None:
        return await asyncio.to_thread(reader.read, document_id)

    # The only difference between the rounds.
    cache = NoCache() if caching is None else caching
    fetch = cache.wrap(read_document)

    async def document(request: Request) -> Response:
        body = await fetch(request.path_params["document_id"])
        if body is None:
            return JSONResponse({"error": "no such document"}, status_code=404)
        if events is not None:
            await events.record((time.time(), request.path_params["document_id"]))
        return Response(body, media_type="application/json")

    async def stats(request: Request) -> JSONResponse:
        del request
        rows, commits = (0, 0) if events is None else await events.counts()
        return JSONResponse(_count(reader, cache, rows, commits))

    routes = [
        Route("/documents/{document_id:int}", document),
        Route("/stats", stats),
        Route("/metrics", make_asgi_app()),
    ]
    app = Starlette(routes=routes, lifespan=_lifespan(reader, cache, on_ready, events))
    instrument(app, exclude=["/metrics"])
    return app


def _lifespan(
    reader: DocumentReader, cache: Caching, on_ready: Callable[[], None], events: EventLog | None
) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        with contextlib.closing(reader):
            if events is not None:
                await events.open()
            try:
                on_ready()
                yield
            finally:
                await cache.close()
                if events is not None:
                    await events.close()

    return lifespan


def _count(reader: DocumentReader, cache: Caching, rows: int, commits: int) -> ServiceStats:
    hits, misses, evictions, l2_hits = cache.counts()
    return {
        "backend": BACKEND,
        "server": _server_name(),
        "reads": reader.reads,
        "read_cpu_seconds": reader.cpu_seconds,
        "hits": hits,
        "misses": misses,
        "evictions": evictions,
        "l2_hits": l2_hits,
        "rows": rows,
        "commits": commits,
    }


def _server_name() -> str:
    # uvicorn's own choice: httptools where installed, else the slower h11.
    parser = AutoHTTPProtocol.__module__.rpartition(".")[2].removesuffix("_impl")
    return f"Starlette {starlette.__version__} on uvicorn {uvicorn.__version__} ({parser})"


def _listen() -> socket.socket:
    # The protocol is spelled out because asyncio sets TCP_NODELAY on accepted connections only
    # when the listener has one; without it every keep-alive response waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((_LOOPBACK, 0))
    listener.listen(256)
    return listener


def _stop_with_parent(server: uvicorn.Server) -> None:
    # Not sys.stdin: a buffered reader held by a daemon thread is fatal at interpreter exit.
    with contextlib.suppress(OSError):
        while os.read(0, 64):
            pass
    server.should_exit = True
    threading.Event().wait(_EXIT_GRACE)
    os._exit(1)


def main(argv: list[str] | None = None) -> int:
    """
    Serve until standard input ends; the first line of standard output is the port.
    """
    parser = argparse.ArgumentParser(prog="python -m penstock.demo._service")
    parser.add_argument("database", type=Path)
    parser.add_argument("--cache-size", type=int, default=None)
    parser.add_argument("--tiers", action="store_true", help="a cache in tiers")
    parser.add_argument("--store", default=None, help="the second of them")
    parser.add_argument("--namespace", default="")
    parser.add_argument("--events", choices=["commit", "recorder"], default=None)
    args = parser.parse_args(argv)
    listener = _listen()
    port = listener.getsockname()[1]
    # Of its own for each: both begin with an empty file.
    path = args.database.with_name(f"events-{args.events}.sqlite")
    events = None if args.events is None else open_log(args.events, path)
    reader = DocumentReader(args.database)
    app = make_app(reader, _caching(args), lambda: print(port, flush=True), events)
    config = uvicorn.Config(app, lifespan="on", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])
    return 0


def _caching(args: argparse.Namespace) -> Caching | None:
    if args.cache_size is None:
        return None
    if not args.tiers:
        return OneTier(args.cache_size)
    stores = [] if args.store is None else [open_store(args.store, args.namespace)]
    return Tiers(args.cache_size, *stores)


if __name__ == "__main__":
    sys.exit(main())
