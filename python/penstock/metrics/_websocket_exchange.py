"""One WebSocket connection, measured as its messages pass by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.metrics._http_exchange import CLIENT_GONE, FAULT, is_abandoned
from penstock.metrics._http_families import OTHER

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.metrics._asgi import Message, Receive, Scope, Send
    from penstock.metrics._meter import Meter

__all__ = ["WebSocketExchange"]

_FORBIDDEN: Final = 403  # what a server answers when the application closes instead of accepting
_NORMAL: Final = 1000
_NO_CODE: Final = 1005
_ABNORMAL: Final = 1006
_INTERNAL: Final = 1011
_REGISTERED: Final = frozenset(range(1000, 1016))


class WebSocketExchange:
    """
    Stands between the server and the application for one connection.

    Args:
        meter: Finds what to count in.
        scope, receive, send: From the server.
    """

    __slots__ = (
        "_accepted", "_began", "_gone", "_handler", "_in", "_out", "_receive", "_send", "_status",
        "meter", "scope",
    )  # fmt: skip

    def __init__(self, meter: Meter, scope: Scope, receive: Receive, send: Send) -> None:
        self.meter = meter
        self.scope: Scope | None = scope  # as for HTTPExchange
        self._receive = receive
        self._send = send
        self._accepted = False
        self._gone = False
        self._status: str | None = None
        self._handler: str | None = None
        self._in: Callable[[], None] | None = None
        self._out: Callable[[], None] | None = None
        meter.websocket.in_progress.inc()
        self._began = meter.timer()

    async def receive(self) -> Message:
        """Pass a message of the client on."""
        message = await self._receive()
        kind = message["type"]
        if kind == "websocket.receive":
            if self._in is None:
                self._in = self._counter("in")
            self._in()
        elif kind == "websocket.disconnect":
            self._gone = True
            if self._status is None:
                code = message.get("code") or _NO_CODE
                self._status = _of_client(code) if self._accepted else str(CLIENT_GONE)
        return message

    async def send(self, message: Message) -> None:
        """Pass a message to the client on."""
        try:
            await self._send(message)
        except OSError:
            self._gone = True
            raise
        kind = message["type"]
        if kind == "websocket.send":
            if self._out is None:
                self._out = self._counter("out")
            self._out()
        elif kind == "websocket.accept":
            self._accepted = True
        elif self._status is None:
            if kind == "websocket.close":
                code = (message.get("code") or _NORMAL) if self._accepted else _FORBIDDEN
                self._status = _of_application(code)
            elif kind == "websocket.http.response.start":
                self._status = _of_application(message["status"])

    def end(self, error: BaseException | None = None) -> None:
        """The application has returned or raised."""
        families = self.meter.websocket
        elapsed = self.meter.timer() - self._began
        families.in_progress.dec()
        handler = self._find_handler()
        self.scope = None
        status = self._status or self._status_without_close(error)
        families.connections.labels(handler, status).inc()
        if self._accepted:
            families.duration.labels(handler).observe(elapsed)

    def _status_without_close(self, error: BaseException | None) -> str:
        gone = self._gone or is_abandoned(error)
        if self._accepted:
            return str(_INTERNAL if error is not None and not gone else _ABNORMAL)
        return str(CLIENT_GONE if gone else FAULT)

    def _counter(self, direction: str) -> Callable[[], None]:
        return self.meter.websocket.messages.labels(self._find_handler(), direction).inc

    def _find_handler(self) -> str:
        if self._handler is None:
            assert self.scope is not None
            self._handler, _ = self.meter.templates.find(self.scope)
        return self._handler


def _of_application(code: int) -> str:
    """Return the label value of a close code or an HTTP status that the application has chosen."""
    return f"{code:d}" if 100 <= code <= 4999 else OTHER


def _of_client(code: int) -> str:
    """Return the label value of a close code from the client, which may be any number."""
    if code in _REGISTERED:
        return f"{code:d}"
    return f"{code // 1000}xxx" if 3000 <= code <= 4999 else OTHER
