"""A web server of a test's own, on the loop of the test, that answers as it is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Site", "serving"]


class Site:
    """What was asked of the server, and what it answers."""

    def __init__(self) -> None:
        self.url = ""
        #: Method, path and body of each request.
        self.asked: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        #: Of the next answers: a status, or a status and headers; "drop": the connection is cut.
        self.plan: list[int | tuple[int, dict[str, str]] | str] = []
        #: Connections that requests came over.
        self.peers: set[object] = set()
        self.most_at_once = 0
        self._now = 0
        #: Those who ask for /held wait until it is set; /begun is set when one does.
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs, await request.read()))
        self.headers.append(dict(request.headers))
        self.peers.add(request.transport)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            return await self._answer(request)
        finally:
            self._now -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/held":
            self.begun.set()
            await self.gate.wait()
        if request.path == "/halves":
            status = self.plan.pop(0) if self.plan else 200
            assert isinstance(status, int)
            response = web.StreamResponse(status=status)
            await response.prepare(request)
            await response.write(b"one ")
            self.begun.set()
            await self.gate.wait()
            await response.write(b"two")
            return response
        await asyncio.sleep(0)
        step = self.plan.pop(0) if self.plan else 200
        if step == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, headers = step if isinstance(step, tuple) else (step, {})
        assert isinstance(status, int)
        body = f'{{"path": "{request.path}", "status": {status}}}'
        if request.path == "/large":  # more than is read without being asked for
            body = body.ljust(4_000_000)
        return web.Response(
            status=status, headers=headers, text=body, content_type="application/json"
        )


@asynccontextmanager
async def serving() -> AsyncIterator[Site]:
    """Serve on a free port of the loopback interface."""
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        where = web.TCPSite(runner, "127.0.0.1", 0)
        await where.start()
        host, port = runner.addresses[0][:2]
        site.url = f"http://{host}:{port}"
        yield site
    finally:
        site.gate.set()
        await runner.cleanup()
