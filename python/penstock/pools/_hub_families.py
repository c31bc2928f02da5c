"""What metrics show of hubs of WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["WEBSOCKET_HUB_FIELDS"]

Fields = tuple[tuple[str, "FieldType", str], ...]

WEBSOCKET_HUB_FIELDS: Final[Fields] = (
    ("connections", "gauge", "Clients that are connected."),
    ("closing", "gauge", "Clients that are being closed."),
    ("peak", "gauge", "The most clients that there were at once."),
    ("max_connections", "gauge", "How many clients there may be."),
    ("groups", "gauge", "Groups that have members."),
    ("queued", "gauge", "Messages that wait to be sent."),
    ("accepted", "counter", "Clients that were taken in."),
    ("refused", "counter", "WebSockets that were turned away because there were too many."),
    ("closed_peer", "counter", "Clients that left, or whose connection was lost."),
    ("closed_handler", "counter", "Clients whose server coroutine has ended."),
    ("closed_hub", "counter", "Clients that the hub was told to close."),
    ("closed_idle", "counter", "Clients that were closed because no message came or went."),
    ("closed_health", "counter", "Clients that were closed because they did not answer."),
    ("closed_slow", "counter", "Clients that were closed because too many messages waited."),
    ("closed_error", "counter", "Clients to which nothing could be sent any more."),
    ("aborted", "counter", "Connections that were dropped without a goodbye of the peer."),
    ("messages_in", "counter", "Messages that were received."),
    ("messages_out", "counter", "Messages that were handed to a socket."),
    ("bytes_in", "counter", "Bytes of the messages that were received."),
    ("bytes_out", "counter", "Bytes of the messages that were handed to a socket."),
    ("broadcasts", "counter", "Calls of broadcast()."),
    ("dropped", "counter", "Messages that were dropped because too many waited."),
    ("unsent", "counter", "Messages that still waited when their client was closed."),
    ("pings", "counter", "Pings that were sent."),
    ("pongs", "counter", "Answers to pings."),
)
