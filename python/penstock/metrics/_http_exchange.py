"""One HTTP request and its response, measured as they pass by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.metrics._asgi import Message, Receive, Scope, Send
    from penstock.metrics._meter import Meter

__all__ = ["CLIENT_GONE", "FAULT", "HTTPExchange", "is_abandoned"]

CLIENT_GONE: Final = 499  # nginx's, and since then everybody's
FAULT: Final = 500


class HTTPExchange:
    """
    Stands between the server and the application for one request.

    It is counted when the response is complete, so that background tasks take no part; or, if
    that never happens, when the application returns or raises.

    Args:
        meter: Finds what to count in.
        scope, receive, send: From the server.
    """

    __slots__ = (
        "_began", "_first", "_gone", "_kind", "_receive", "_received", "_send", "_sent", "_start",
        "meter", "scope",
    )  # fmt: skip

    def __init__(self, meter: Meter, scope: Scope, receive: Receive, send: Send) -> None:
        self.meter = meter
        # Where the routers leave what they have found; None once the request is counted. A
        # middleware that copies the scope hides it from here, unless a `Recorder` behind that
        # middleware puts the copy in.
        self.scope: Scope | None = scope
        self._receive = receive
        self._send = send
        self._received = self._sent = 0
        self._gone = False
        self._start: Message | None = None
        method = scope["method"]
        self._kind = meter.http.methods.get(method) or meter.http.add_method(method)
        self._kind[1].inc()
        self._first = self._began = meter.timer()

    async def receive(self) -> Message:
        """Pass a message of the client on."""
        message = await self._receive()
        kind = message["type"]
        if kind == "http.request":
            self._received += len(message.get("body", b""))
        elif kind == "http.disconnect":
            self._gone = True
        return message

    # A coroutine, although a function that returns the server's awaitable would save 60 ns: only
    # from around the await it is seen when the last byte was out, and that it was the server that
    # raised and not the application.
    async def send(self, message: Message) -> None:
        """Pass a message to the client on; the last one completes the response."""
        kind = message["type"]
        last = False
        if kind == "http.response.body":
            self._sent += len(message.get("body", b""))
            last = not message.get("more_body")
        elif kind == "http.response.start":
            self._start = message
            self._first = self.meter.timer()
        elif kind == "http.response.pathsend" or kind == "http.response.zerocopysend":
            last = self._hand_over(message)
        try:
            await self._send(message)
        except OSError:
            self._gone = True
            raise
        if last and self.scope is not None:
            self._finish(FAULT if self._start is None else self._start["status"])

    def end(self, error: BaseException | None = None) -> None:
        """The application has returned or raised, perhaps without a complete response."""
        if self.scope is not None:
            self._finish(CLIENT_GONE if is_abandoned(error) else FAULT)

    def _hand_over(self, message: Message) -> bool:
        """Note that the server sends from a file; whether that is all."""
        if message["type"] == "http.response.zerocopysend":
            self._sent += message.get("count") or 0
            return not message.get("more_body")
        for name, value in () if self._start is None else self._start.get("headers", ()):
            if name.lower() == b"content-length" and value.isdigit():
                self._sent += int(value)
        return True

    def _finish(self, status: int) -> None:
        meter = self.meter
        began = self._began
        elapsed = meter.timer() - began
        scope = self.scope
        assert scope is not None
        # The scope refers to this object: without the cycle both are freed at once.
        self.scope = None
        method, in_progress = self._kind
        in_progress.dec()
        # A response that was completed for nobody is still one that the client did not get.
        count, duration, overall, first_byte, request_size, response_size = meter.series(
            scope, method, CLIENT_GONE if self._gone else status
        )
        count()
        duration(elapsed)
        overall(elapsed)
        if self._start is not None:
            first_byte(self._first - began)
        request_size(self._received)
        # Servers do not send what an application has for the body of a response to HEAD.
        response_size(0 if method == "HEAD" else self._sent)


def is_abandoned(error: BaseException | None) -> bool:
    """
    Whether this says that nobody waits any more: the cancellation of any event loop.

    They have nothing else in common than being no `Exception`.
    """
    return error is not None and not isinstance(error, (Exception, KeyboardInterrupt, SystemExit))
