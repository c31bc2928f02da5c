"""What a `WebSocketHub` counts, and what it tells of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["Cause", "HubStats", "Tally"]

#: Why a client was closed.
Cause = Literal["peer", "handler", "hub", "idle", "health", "slow", "error"]


class Tally:
    """The counters of a hub; all of them change in the thread of its event loop."""

    __slots__ = (
        "aborted", "accepted", "broadcasts", "bytes_in", "bytes_out", "closed", "dropped",
        "messages_in", "messages_out", "peak", "pings", "pongs", "refused", "unsent",
    )  # fmt: skip

    def __init__(self) -> None:
        self.aborted = 0
        self.accepted = 0
        self.broadcasts = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.closed: dict[Cause, int] = dict.fromkeys(get_args(Cause), 0)
        self.dropped = 0
        self.messages_in = 0
        self.messages_out = 0
        self.peak = 0
        self.pings = 0
        self.pongs = 0
        self.refused = 0
        self.unsent = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStats:
    """
    What a `WebSocketHub` has done so far.

    Args:
        connections: Clients that are connected.
        closing: Clients that are being closed; they still count against the limit.
        peak: The most clients that there were at once.
        max_connections: How many there may be.
        groups: Groups that have members.
        queued: Messages that wait to be sent.
        accepted: Clients that were taken in.
        refused: WebSockets that were turned away because there were too many.
        closed_peer: Clients that left, or whose connection was lost.
        closed_handler: Clients whose server coroutine has ended.
        closed_hub: Clients that ``close()`` or ``aclose()`` has closed.
        closed_idle: Clients that were closed because no message came or went.
        closed_health: Clients that were closed because they did not answer.
        closed_slow: Clients that were closed because too many messages waited for them.
        closed_error: Clients to which nothing could be sent any more.
        aborted: Connections that were dropped, since the peer did not say goodbye in time.
        messages_in: Messages that were received.
        messages_out: Messages that were handed to a socket.
        bytes_in: Their bytes.
        bytes_out: Their bytes.
        broadcasts: Calls of ``broadcast()``.
        dropped: Messages that were dropped because too many waited.
        unsent: Messages that still waited when their client was closed.
        pings: Pings that were sent.
        pongs: Answers to them.
    """

    connections: int = 0
    closing: int = 0
    peak: int = 0
    max_connections: int = 0
    groups: int = 0
    queued: int = 0
    accepted: int = 0
    refused: int = 0
    closed_peer: int = 0
    closed_handler: int = 0
    closed_hub: int = 0
    closed_idle: int = 0
    closed_health: int = 0
    closed_slow: int = 0
    closed_error: int = 0
    aborted: int = 0
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    broadcasts: int = 0
    dropped: int = 0
    unsent: int = 0
    pings: int = 0
    pongs: int = 0
