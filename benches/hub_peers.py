"""What one writes by hand instead of the hub of WebSockets, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import AIOHTTP_SERVER, WEBSOCKETS_SERVER, Contender, flow

__all__ = ["HUB_PEERS"]

#: No limit, no queue, no health: what every example shows.
_WEBSOCKETS: Final = """\
from websockets.asyncio.server import broadcast
sockets = set()
async def handle(websocket):
    sockets.add(websocket)
    try:
        async for message in websocket:
            await websocket.send(message)
    finally:
        sockets.discard(websocket)
"""
_AIOHTTP: Final = """\
sockets = set()
async def handle(websocket):
    sockets.add(websocket)
    try:
        async for message in websocket:
            await websocket.send_str(message.data)
    finally:
        sockets.discard(websocket)
"""

HUB_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        "websockets, one by one",
        "hub",
        WEBSOCKETS_SERVER + _WEBSOCKETS,
        {"broadcast": "for ws in list(sockets):\n    await ws.send(message)", "echo": ""},
        needs="websockets",
    ),
    flow(
        "websockets.broadcast",
        "hub",
        WEBSOCKETS_SERVER + _WEBSOCKETS,
        {"broadcast": "broadcast(sockets, message)"},
        needs="websockets",
    ),
    flow(
        "aiohttp, one by one",
        "hub",
        AIOHTTP_SERVER + _AIOHTTP,
        {"broadcast": "for ws in list(sockets):\n    await ws.send_str(message)", "echo": ""},
        needs="aiohttp",
    ),
)
