"""The ASGI middleware: requests by route template, with no route matched a second time."""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from prometheus_client.registry import REGISTRY

from penstock.metrics._classes import MAX_SERIES, Histogram
from penstock.metrics._families import Options, shared_families
from penstock.metrics._http_exchange import HTTPExchange
from penstock.metrics._routes import Recorder, Templates, path_below
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

    __slots__ = ("_exact", "_families", "_has_excluded", "_patterns", "_templates", "_timer", "app")

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
        self._has_excluded = bool(self._exact or self._patterns)
        self._families = shared_families(
            registry, namespace, Options(tuple(buckets), max_series, timer)
        )
        self._templates = Templates()
        self._timer = perf_counter if timer is None else timer

    # A coroutine function, since servers ask whether it is one to tell ASGI 3 from ASGI 2.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one connection.

        Raises:
            Exception: What the application raises, unchanged.
        """
        kind = scope["type"]
        if kind == "http":
            make: type[HTTPExchange | WebSocketExchange] = HTTPExchange
        elif kind == "websocket":
            make = WebSocketExchange
        else:
            await self.app(scope, receive, send)
            return
        families = self._families
        further_out = scope.get(families.key)
        # Where it is of this middleware itself, the application makes a request of its own.
        if (further_out is not None and further_out.templates is not self._templates) or (
            self._has_excluded and self._excludes(scope)
        ):
            await self.app(scope, receive, send)
            return
        exchange = make(families, self._templates, self._timer, scope, receive, send)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.end(error)
            raise
        else:
            exchange.end()
        finally:
            # Servers refer from what they have given to the scope: a cycle, were this still there.
            scope.pop(families.key, None)

    @property
    def key(self) -> str:
        """Under which key a scope says what is being measured."""
        return self._families.key

    def _excludes(self, scope: Scope) -> bool:
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
