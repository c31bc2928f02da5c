"""ASGI middleware: what a request costs above the bare application."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import build, each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

__all__ = ["MIDDLEWARE_ROWS"]

_BARE: Final = Contender("bare application", frozenset({"middleware"}), "")
_PATHS: Final = 100
# A request is a thousand times an increment: its rounds have to be longer.
_ROUND_FACTOR: Final = 4
_US: Final = 1_000

_STARLETTE: Final = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
async def endpoint(request):
    return PlainTextResponse("ok")
f = Starlette(routes=[Route(f"/things{i}/{{key}}", endpoint) for i in range(routes)])
"""
_FASTAPI: Final = """\
from fastapi import FastAPI
f = FastAPI()
async def endpoint(key: str):
    return {"key": key}
for i in range(routes):
    f.get(f"/things{i}/{{key}}")(endpoint)
"""


@dataclass(frozen=True, slots=True)
class _Application:
    framework: str
    make: str
    needs: str
    routes: int

    @property
    def title(self) -> str:
        return f"{self.framework}, {self.routes} routes"


def _scope(path: str) -> dict[str, object]:
    """Return what a server hands over; a new one for each request, since applications change it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"user-agent", b"bench")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8_000),
        "state": {},
    }


async def _receive() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: MutableMapping[str, object]) -> None:
    pass


def _application(what: _Application, contender: Contender) -> object:
    """Build the application, with the contender around it."""
    alone = Contender(
        contender.name,
        contender.kinds,
        f"{what.make}\n{contender.make}",
        needs=contender.needs,
        backend=contender.backend,
    )
    # Built first without the contender: a framework that is missing is said to be just that.
    build(Contender(what.framework, frozenset(), what.make, needs=what.needs), routes=1)
    registry = importlib.import_module("prometheus_client").CollectorRegistry()
    return build(alone, routes=what.routes, registry=registry)["f"]


async def _check(app: object, path: str) -> None:
    """Check that *path* is answered: errors are cheaper than answers."""
    seen: list[object] = []

    async def send(message: MutableMapping[str, object]) -> None:
        seen.append(message.get("status"))

    call = cast("Callable[..., Awaitable[None]]", app)
    await call(_scope(path), _receive, send)
    if seen[:1] != [200]:
        msg = f"{path} is answered with {seen}"
        raise BenchError(msg)


def _measure(
    what: _Application, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    event_loop = asyncio.new_event_loop()
    asyncio.set_event_loop(event_loop)
    paths: list[object] = [f"/things{i % what.routes}/{i}" for i in range(_PATHS)]
    runners: dict[str, Runner] = {}

    def prepare(contender: Contender) -> None:
        app = _application(what, contender)
        for path in paths[: what.routes]:
            event_loop.run_until_complete(_check(app, str(path)))
        loop = compile_loop(
            "await f(scope(k), receive, send)", {}, bind="scope, receive, send = v", coroutine=True
        )
        given = (_scope, _receive, _send)
        runner = AsyncRunner(SyncRunner(loop, app, paths, plan.clock, value=given), event_loop)
        runner(1)
        runners[contender.name] = runner

    try:
        each([_BARE, *contenders], row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=_ROUND_FACTOR * plan.round_ns)
    finally:
        asyncio.set_event_loop(None)
        event_loop.close()
    _report(what, row, samples, outcome)


def _report(
    what: _Application, row: Row, samples: dict[str, list[float]], outcome: Outcome
) -> None:
    """Write down whole requests, and what is left of each without the bare one of its round."""
    whole = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
    bare = whole.get(_BARE.name, [])
    above = {
        name: [spent - least for spent, least in zip(spans, bare, strict=True)]
        for name, spans in whole.items()
        if bare and name != _BARE.name
    }
    outcome.results += [
        Result(
            row.name,
            "middleware: a request, above the bare application",
            what.title,
            "us",
            above,
            digits=1,
            steady=False,
        ),
        Result(
            f"{row.name}.whole",
            "whole request: bare, and with middleware",
            what.title,
            "us",
            whole,
            digits=1,
        ),
    ]


_APPLICATIONS: Final = tuple(
    _Application(framework, make, framework.lower(), routes)
    for framework, make in (("Starlette", _STARLETTE), ("FastAPI", _FASTAPI))
    for routes in (5, 100)
)

MIDDLEWARE_ROWS: Final[tuple[Row, ...]] = tuple(
    Row(
        f"middleware.{what.framework.lower()}-{what.routes}",
        "middleware",
        f"a request above the bare application, {what.title}",
        partial(_measure, what),
    )
    for what in _APPLICATIONS
)
