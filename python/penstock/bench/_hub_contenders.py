"""Contenders of the hub rows: penstock's own; what one writes by hand is with the peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Contender

__all__ = ["AIOHTTP_SERVER", "HUBS", "WEBSOCKETS_SERVER"]

#: Serves with ``handle(websocket)``, which is yet to be defined; ``start`` returns the port.
WEBSOCKETS_SERVER: Final = """\
from websockets.asyncio.server import serve
async def start():
    global server
    server = await serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None)
    return server.sockets[0].getsockname()[1]
async def end():
    server.close()
    await server.wait_closed()
"""
AIOHTTP_SERVER: Final = """\
from aiohttp import web
async def respond(request):
    websocket = web.WebSocketResponse(compress=False)
    await websocket.prepare(request)
    await handle(websocket)
    return websocket
async def start():
    global runner
    app = web.Application()
    app.router.add_get("/", respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1]
async def end():
    await runner.cleanup()
"""
_OURS: Final = """\
hub = penstock.WebSocketHub()
async def handle(websocket):
    async with hub.serve(websocket) as client:
        async for message in client:
            await client.send(message)
"""
_OPS: Final = {"broadcast": "hub.broadcast(message)", "echo": ""}

HUBS: Final[tuple[Contender, ...]] = (
    flow(
        "penstock WebSocketHub, websockets",
        "hub",
        WEBSOCKETS_SERVER + _OURS,
        _OPS,
        needs="websockets",
        backend="native",
    ),
    flow(
        "penstock WebSocketHub, aiohttp",
        "hub",
        AIOHTTP_SERVER + _OURS,
        _OPS,
        needs="aiohttp",
        backend="native",
    ),
)
