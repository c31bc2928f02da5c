"""One HTTP request and its response, measured as they pass by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock.metrics._asgi import Message, Receive, Scope, Send
    from penstock.metrics._families import Families
    from penstock.metrics._routes import Templates

__all__ = ["CLIENT_GONE", "FAULT", "HTTPExchange", "is_abandoned"]

CLIENT_GONE: Final = 499  # nginx's, and since then everybody's
FAULT: Final = 500


class HTTPExchange:
    """
    Stands between the server and the application for one request.

    It is counted when the response is complete, so that background tasks take no part; or, if
    that never happens, when the application returns or raises.

    Args:
        families: What to count in.
        templates: Finds the route template.
        timer: Seconds.
        scope, receive, send: From the server.
    """

    __slots__ = (
        "_began", "_families", "_first", "_gone", "_headers", "_in_progress", "_method", "_receive",
        "_received", "_send", "_sent", "_status", "_timer", "open", "scope", "templates",
    )  # fmt: skip

    def __init__(
        self,
        families: Families,
        templates: Templates,
        timer: Callable[[], float],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        # Where the routers leave what they have found. A middleware that copies the scope hides it
        # from here, unless a `Recorder` behind that middleware puts the copy in.
        self.scope: Scope | None = scope
        self.open = True
        self._families = http = families.http
        self.templates = templates
        self._timer = timer
        self._receive = receive
        self._send = send
        self._status = FAULT
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self._first: float | None = None
        self._received = 0
        self._sent = 0
        self._gone = False
        scope[families.key] = self
        method = scope["method"]
        self._method, self._in_progress = http.methods.get(method) or http.add_method(method)
        self._in_progress.inc()
        self._began = timer()

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
            self._status = message["status"]
            self._headers = message.get("headers", ())
            self._first = self._timer()
        elif kind == "http.response.pathsend" or kind == "http.response.zerocopysend":
            last = self._hand_over(message)
        try:
            await self._send(message)
        except OSError:
            self._gone = True
            raise
        if last and self.open:
            # A response that was completed for nobody is still one that the client did not get.
            self._finish(CLIENT_GONE if self._gone else self._status)

    def end(self, error: BaseException | None = None) -> None:
        """The application has returned or raised."""
        if self.open:
            gone = self._gone or is_abandoned(error)
            self._finish(CLIENT_GONE if gone else FAULT)

    def _hand_over(self, message: Message) -> bool:
        """Note that the server sends from a file; whether that is all."""
        if message["type"] == "http.response.zerocopysend":
            self._sent += message.get("count") or 0
            return not message.get("more_body")
        for name, value in self._headers:
            if name.lower() == b"content-length" and value.isdigit():
                self._sent += int(value)
        return True

    def _finish(self, status: int) -> None:
        elapsed = self._timer() - self._began
        self.open = False
        self._in_progress.dec()
        scope = self.scope
        # The scope refers to this object: without the cycle both are freed at once.
        self.scope = None
        assert scope is not None
        method = self._method
        handler = self.templates.find(scope)
        http = self._families
        series = http.series.get((method, handler, status))
        if series is None:
            series = http.add_series(method, handler, status)
        count, duration, overall, first_byte, request_size, response_size = series
        if elapsed < 0.0:  # a timer that was set back
            elapsed = 0.0
        count()
        duration(elapsed)
        overall(elapsed)
        if self._first is not None:
            first_byte(max(self._first - self._began, 0.0))
        request_size(self._received)
        # Servers do not send what an application has for the body of a response to HEAD.
        response_size(0 if method == "HEAD" else self._sent)


def is_abandoned(error: BaseException | None) -> bool:
    """
    Whether this says that nobody waits any more: the cancellation of any event loop.

    They have nothing else in common than being no `Exception`.
    """
    return error is not None and not isinstance(error, (Exception, KeyboardInterrupt, SystemExit))
