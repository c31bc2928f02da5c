"""The metrics of WebSocket connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.metrics._maker import Maker

__all__ = ["WebSocketFamilies"]

_BUCKETS: Final = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)


class WebSocketFamilies:
    """
    The metrics of WebSocket connections.

    Args:
        make: Makes the metrics.
    """

    __slots__ = ("connections", "duration", "in_progress", "messages")

    def __init__(self, make: Maker) -> None:
        self.connections = make.counter(
            "websocket_connections",
            "Connections that have ended: by close code, or by HTTP status if never accepted.",
            "handler", "status",
        )  # fmt: skip
        self.in_progress = make.gauge(
            "websocket_connections_in_progress", "Connections that are open, or about to be."
        )
        self.duration = make.histogram(
            "websocket_connection_duration_seconds",
            "Time from the request to the end of an accepted connection.",
            _BUCKETS, "handler",
        )  # fmt: skip
        self.messages = make.counter(
            "websocket_messages", "Messages from the client (in) and to it (out).",
            "handler", "direction",
        )  # fmt: skip
