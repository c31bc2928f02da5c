"""An ASGI server of one connection at a time, and applications behind the metrics middleware."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from tests.clock import Clock

from penstock.metrics._middleware import ASGIMiddleware, instrument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    App = Callable[[Any, Any, Any], Awaitable[None]]

__all__ = ["HOWS", "Connection", "Measured"]

#: The ways to put the middleware on a Starlette application.
HOWS = ["wrapped", "added", "instrumented"]


@dataclass
class Connection:
    """
    The server's side of one connection.

    It gives the messages to receive, then waits until the client goes, and takes what is sent.
    Once the client has gone, sending raises, if *raises* says so.
    """

    scope: dict[str, Any]
    messages: list[dict[str, Any]]
    goodbye: dict[str, Any] = field(default_factory=lambda: {"type": "http.disconnect"})
    raises: type[OSError] | None = None
    on_send: Callable[[dict[str, Any]], None] = lambda message: None
    sent: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> dict[str, Any]:
        if self.messages:
            return self.messages.pop(0)
        await self.gone.wait()
        return self.goodbye

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await asyncio.sleep(0)  # as a server that waits until the client has taken what there is
        if self.raises is not None and self.gone.is_set():
            raise self.raises("the client has gone")
        self.sent.append(dict(message))
        self.on_send(self.sent[-1])

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class Measured:
    """An application behind the middleware, with a registry and a clock of its own."""

    def __init__(self, app: Any, how: str = "wrapped", **options: Any) -> None:
        self.registry = options.setdefault("registry", CollectorRegistry())
        self.clock = Clock()
        options.setdefault("timer", self.clock)
        self.app: App = app
        if how == "wrapped":
            self.app = ASGIMiddleware(app, **options)
        elif how == "added":
            app.add_middleware(ASGIMiddleware, **options)
        else:
            instrument(app, **options)

    def connection(
        self, path: str, method: str = "GET", body: bytes = b"", **more: Any
    ) -> Connection:
        """Return a request; *more* goes to the scope."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"test"), (b"content-type", b"application/json")],
            "server": ("test", 80),
            **more,
        }
        return Connection(scope, [{"type": "http.request", "body": body, "more_body": False}])

    def websocket(self, path: str, *texts: str, code: int = 1000, **more: Any) -> Connection:
        """Return a connection of a client that sends *texts*, and goes with *code* when told to."""
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"test")],
            "server": ("test", 80),
            "subprotocols": [],
            **more,
        }
        messages = [{"type": "websocket.receive", "text": text} for text in texts]
        goodbye = {"type": "websocket.disconnect", "code": code}
        return Connection(scope, [{"type": "websocket.connect"}, *messages], goodbye)

    async def serve(self, connection: Connection) -> Connection:
        """Run the application for a connection."""
        await self.app(connection.scope, connection.receive, connection.send)
        return connection

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **more: Any) -> Connection:
        """Make a request in a loop of its own."""

        async def main() -> Connection:
            return await self.serve(self.connection(path, method, body, **more))

        return asyncio.run(main())

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a sample."""
        return self.registry.get_sample_value(name, labels)

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """Return all samples of a name by their label values, in the order of the labels' names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name
        }

    @property
    def requests(self) -> dict[tuple[str, ...], float]:
        """How many requests were counted by (handler, method, status)."""
        return self.samples("http_requests_total")

    @property
    def handlers(self) -> list[str]:
        """The handlers of all requests."""
        return sorted(handler for handler, _, _ in self.requests)

    @property
    def in_progress(self) -> float:
        """How many requests are in progress."""
        return sum(self.samples("http_requests_in_progress").values())
