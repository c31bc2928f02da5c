"""The ASGI middleware: requests by route template, with no route matched a second time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from prometheus_client.registry import REGISTRY

from penstock.metrics._classes import Histogram
from penstock.metrics._families import Options, shared_families
from penstock.metrics._family import MAX_SERIES
from penstock.metrics._http_exchange import HTTPExchange
from penstock.metrics._meter import Meter
from penstock.metrics._routes import Recorder, path_below
from penstock.metrics._websocket_exchange import WebSocketExchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import Unpack

    from prometheus_client.registry import CollectorRegistry
    from starlette.applications import Starlette

    from penstock.metrics._asgi import Receive, Scope, Send

    Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["ASGIMiddleware", "MiddlewareOptions", "instrument"]


class ASGIMiddleware:
    """
    Counts and times the requests and WebSocket connections of an ASGI application.

    Usable as ``app.add_middleware(ASGIMiddleware, exclude=["/healthz"])`` and around any
    application; `instrument` sees more of a Starlette or FastAPI application.

    Args:
        app: The application.
        registry: Where to register; middlewares of one registry share their metrics.
        namespace: Put before every name, joined by ``_``.
        exclude: Paths that are not measured, without the ``root_path``: exact strings, or compiled
            patterns that match the whole path.
        buckets: Upper bounds of the durations by handler, in seconds.
        max_series: As for `Counter`, for each metric.
        timer: Seconds on a clock of your own, for tests.

    Raises:
        ValueError: A name is taken, or the metrics exist with other options.

    Cost: some microseconds per request, and a few tens of nanoseconds per message of its body or
    of a WebSocket. Several event loops may run one middleware.
    """

    __slots__ = ("_exact", "_excludes_any", "_meter", "_patterns", "app")

    def __init__(
        self,
        app: Application,
        *,
        registry: CollectorRegistry = REGISTRY,
        namespace: str = "",
        exclude: Iterable[str | re.Pattern[str]] = (),
        buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
        max_series: int | None = MAX_SERIES,
        timer: Callable[[], float] | None = None,
    ) -> None:
        # Not private: whoever walks a stack of middlewares goes from app to app.
        self.app = app
        self._exact, self._patterns = _split(exclude)
        self._excludes_any = bool(self._exact or self._patterns)
        options = Options(tuple(buckets), max_series, timer)
        self._meter = Meter(shared_families(registry, namespace, options), timer)

    # A coroutine function, since servers ask whether it is one to tell ASGI 3 from ASGI 2.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one connection.

        Raises:
            Exception: What the application raises, unchanged.
        """
        meter = self._meter
        key = meter.key
        kind = scope["type"]
        exchange: HTTPExchange | WebSocketExchange
        if (key in scope or self._excludes_any) and self._passes(scope):
            await self.app(scope, receive, send)
            return
        if kind == "http":
            exchange = HTTPExchange(meter, scope, receive, send)
        elif kind == "websocket":
            exchange = WebSocketExchange(meter, scope, receive, send)
        else:
            await self.app(scope, receive, send)
            return
        scope[key] = exchange
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.end(error)
            raise
        else:
            if exchange.scope is not None:
                exchange.end()
        finally:
            # What a server has given refers to its scope: that would be a cycle.
            scope[key] = None

    @property
    def key(self) -> str:
        """Under which key a scope says what is being measured."""
        return self._meter.key

    def _passes(self, scope: Scope) -> bool:
        """Whether to leave a connection alone."""
        if scope["type"] not in {"http", "websocket"}:
            return True
        further_out = scope.get(self._meter.key)
        # Where that is of this middleware itself, the application makes a request of its own.
        if further_out is not None and further_out.meter is not self._meter:
            return True
        path = path_below(scope, scope.get("root_path", ""))
        return path in self._exact or any(pattern.fullmatch(path) for pattern in self._patterns)


class MiddlewareOptions(TypedDict, total=False):
    """The options of `ASGIMiddleware`."""

    registry: CollectorRegistry
    namespace: str
    exclude: Iterable[str | re.Pattern[str]]
    buckets: Sequence[float]
    max_series: int | None
    timer: Callable[[], float] | None


def instrument(app: Starlette, **options: Unpack[MiddlewareOptions]) -> None:
    """
    Measure a Starlette or FastAPI application from outside of all its middlewares.

    Beyond ``app.add_middleware(ASGIMiddleware)``: time and refusals of every middleware count, also
    of those added later, and the pages that the application makes of unhandled exceptions; and
    middlewares that copy the scope do not hide the route.

    Args:
        app: The application; a mounted one may be instrumented too, and is then counted once.
        options: Those of `ASGIMiddleware`.

    Raises:
        RuntimeError: The application has already started.
        ValueError: A name is taken, or the metrics exist with other options.
    """
    from starlette.middleware import Middleware

    if app.middleware_stack is not None:
        raise RuntimeError("an application must be instrumented before it starts")
    build = app.build_middleware_stack
    outermost = ASGIMiddleware(app.router, **options)

    def build_measured() -> ASGIMiddleware:
        outermost.app = build()
        return outermost

    app.user_middleware.append(Middleware(Recorder, key=outermost.key))
    # Where the stack is built, since add_middleware would put every later middleware outside.
    setattr(app, "build_middleware_stack", build_measured)  # noqa: B010


def _split(
    exclude: Iterable[str | re.Pattern[str]],
) -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """Return exact paths and patterns, checked."""
    if isinstance(exclude, str):
        raise TypeError("exclude must be a list of paths or compiled patterns, got str")
    exact = set()
    patterns = []
    for item in exclude:
        if isinstance(item, re.Pattern) and isinstance(item.pattern, str):
            patterns.append(item)
        elif not isinstance(item, str):
            raise TypeError(
                f"exclude must be paths or compiled patterns, got {type(item).__name__}"
            )
        elif not item.startswith("/"):
            raise ValueError(f"excluded paths must start with '/', got {item!r}")
        else:
            exact.add(item)
    return frozenset(exact), tuple(patterns)
