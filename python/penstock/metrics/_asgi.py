"""The ASGI application that serves a registry without holding the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from prometheus_client.registry import REGISTRY

from penstock.metrics._scrape import Answer, Scrape, Scraper, read_scrape, refusal

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from penstock.metrics._scrape import Headers

__all__ = ["MetricsApp", "Receive", "Scope", "Send", "make_asgi_app"]

# As ASGI has them: what is in a message depends on its type.
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


def make_asgi_app(registry: Collector = REGISTRY, disable_compression: bool = False) -> MetricsApp:
    """
    Return an ASGI application that serves the metrics of a registry at any path.

    Args:
        registry: A registry, or anything with ``collect()``.
        disable_compression: Never answer with gzip.

    Returns:
        An application to mount, to route to, or to serve by itself.

    Cost: collecting, encoding and compressing run in threads of the application, two at most;
    scrapers that wait for the same page share it. The event loop only passes the answer on.
    """
    return MetricsApp(registry, disable_compression)


class MetricsApp:
    """
    Answers GET and HEAD with the metrics of a registry.

    It is an object, not a function, so that a Starlette ``Route`` takes it as an application too.
    """

    __slots__ = ("_compress", "_scraper")

    def __init__(self, registry: Collector, disable_compression: bool) -> None:
        self._compress = not disable_compression
        self._scraper = Scraper(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one connection.

        Raises:
            ValueError: It is of a type that this application does not know.
        """
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            raise ValueError(f"scope type must be http, lifespan or websocket, got {kind!r}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "GET")
        if method not in {"GET", "HEAD"}:
            status, headers, body = refusal(method)
            await _respond(send, status, headers, body)
            return
        scrape = read_scrape(
            _header(scope, b"accept"),
            _header(scope, b"accept-encoding"),
            scope.get("query_string", b""),
            compress=self._compress,
        )
        answer = await self._unless_gone(scrape, receive)
        if answer is not None:
            body = b"" if method == "HEAD" else answer.body
            await _respond(send, 200, answer.headers, body)

    async def _unless_gone(self, scrape: Scrape, receive: Receive) -> Answer | None:
        """Return the answer, or None if the client leaves before it is there."""
        answer = asyncio.ensure_future(self._scraper.get(scrape))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and gone.result() and not answer.done():
                return None
            return await answer
        finally:
            # Nothing is awaited here: this may be the end of a task whose loop is closed.
            for task in (answer, gone):
                task.add_done_callback(_take_note)
                with suppress(RuntimeError):
                    task.cancel()


def _take_note(task: asyncio.Future[Any]) -> None:
    """Keep asyncio from reporting what nobody waits for any more."""
    if not task.cancelled():
        task.exception()


async def _disconnected(receive: Receive) -> bool:
    """Return true once the client has left, false as soon as that cannot be found out."""
    try:
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        if message["type"] == "http.request":
            message = await receive()
        return bool(message["type"] == "http.disconnect")
    except Exception:
        return False


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _header(scope: Scope, name: bytes) -> str:
    headers: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())
    return ",".join(value.decode("latin-1") for key, value in headers if key.lower() == name)


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
    with suppress(OSError):  # how servers say that the client has left
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})
