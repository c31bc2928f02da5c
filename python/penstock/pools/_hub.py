"""`WebSocketHub`: the WebSockets that are connected, and what is sent to many of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock import _components
from penstock._waiters import seconds_of
from penstock.flow._deadline import sooner
from penstock.pools._hub_adapters import socket_of
from penstock.pools._hub_core import Core
from penstock.pools._hub_families import WEBSOCKET_HUB_FIELDS
from penstock.pools._hub_options import HubOptions, check_close, groups_of
from penstock.pools._hub_serving import Serving
from penstock.pools._hub_sockets import data_of, size_of
from penstock.pools._hub_stats import HubStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from penstock.pools._hub_client import HubClient
    from penstock.pools._hub_closing import Closing
    from penstock.pools._hub_options import OnSlow
    from penstock.pools._hub_sockets import Data

__all__ = ["WebSocketHub"]

#: Seconds for which the end waits for sockets that were dropped already.
_PATIENCE = 1.0


class WebSocketHub:
    """
    The WebSockets of a server: how many there may be, who still lives, and what all are told.

    ``async with hub.serve(websocket) as client`` in the coroutine that serves a WebSocket: of
    Starlette or FastAPI, of aiohttp, of websockets, or anything with the methods of a `HubSocket`.
    ``hub.broadcast(data)`` sends to all of them; one that does not read delays no other.

    Args:
        max_connections: How many may be connected; one more is turned away at once.
        health_interval: Seconds after which a client of which nothing was heard is sent a ping.
            None: never.
        health_timeout: Seconds that it has for the answer, and any client for its goodbye.
        idle_timeout: Seconds after which a client is closed to and from which no message went.
            None: never.
        queue: How many messages may wait to be sent to one client.
        on_slow: What happens to one more. ``"drop_oldest"``: the one that has waited longest makes
            room. ``"drop_newest"``: it is dropped itself. ``"close"``: the client is closed.
        ping: A plain function; returns a message to send as a ping, where the protocol's own cannot
            be used, as with ASGI; whatever comes then is an answer. None: pings of the protocol.
        timer: Seconds on a clock of your own, by which clients are idle, or do not answer.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range.

    Cost: a client has no task but while messages wait for it, and there is one timer for all.
        Belongs to the event loop in which it is used first.
    """

    __slots__ = ("__weakref__", "_core")

    def __init__(
        self,
        *,
        max_connections: int = 1000,
        health_interval: float | timedelta | None = 60.0,
        health_timeout: float | timedelta = 10.0,
        idle_timeout: float | timedelta | None = 300.0,
        queue: int = 100,
        on_slow: OnSlow = "drop_oldest",
        ping: Callable[[], Data] | None = None,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        options = HubOptions.checked(
            max_connections=max_connections,
            health_interval=health_interval,
            health_timeout=health_timeout,
            idle_timeout=idle_timeout,
            queue=queue,
            on_slow=on_slow,
            ping=ping,
            timer=timer,
            name=name,
        )
        self._core = Core(options)
        _components.enter(self)

    @property
    def name(self) -> str | None:
        """
        The name given to the hub.
        """
        return self._core.options.name

    @property
    def closed(self) -> bool:
        """
        Whether it takes in nobody any more.
        """
        return self._core.is_closed

    @property
    def groups(self) -> frozenset[str]:
        """
        The groups that have members.
        """
        return frozenset(self._core.groups)

    def clients(self, group: str | None = None) -> tuple[HubClient, ...]:
        """
        Return who is connected, of a group if one is given.
        """
        return tuple(self._core.members(group))

    def __len__(self) -> int:
        return len(self._core.clients)

    def __bool__(self) -> bool:
        return True  # even if it is empty

    # --- who is in --------------------------------------------------------------------------------

    def serve(self, websocket: object, groups: Iterable[str] = ()) -> Serving:
        """
        Return a block during which a WebSocket is in the hub, and at whose end it is closed.

        It is accepted, where that was not done. At the end of the block what waits is sent, and the
        close code is 1000, 1011 if the block has raised, 1001 if it was cancelled. A `ClosedError`
        of this client ends the block as if it had come to its end: that a peer leaves is no error.

        Args:
            websocket: Of Starlette, aiohttp (prepared) or websockets, or a `HubSocket`.
            groups: Which it is in from the start.

        Returns:
            For ``async with``, which gives a `HubClient`.

        Raises:
            LimitExceeded: On entry: there are too many; the WebSocket was closed with 1013, "try
                again later".
            ClosedError: On entry: the hub is closed; the WebSocket was closed with 1001.
            TypeError: On entry: it is of no kind that is known, or a group is no str.
            ValueError: On entry: it is in the hub already, or not prepared.
            WrongEventLoop: On entry: the hub belongs to another event loop.

        Cost: no task, and one entry in a heap.
        """
        return Serving(self._core, websocket, groups)

    def add(self, websocket: object, groups: Iterable[str] = ()) -> HubClient:
        """
        Take in a WebSocket that was accepted; whoever does so has to ``close()`` the client.

        See `serve`, which is for most uses; here nothing is done to a WebSocket that is refused.
        """
        core = self._core
        core.here()
        socket = socket_of(websocket)
        names = groups_of(groups)
        core.reserve(websocket)
        return core.add(websocket, socket, names)

    def broadcast(
        self, data: Data, group: str | None = None, *, exclude: HubClient | None = None
    ) -> int:
        """
        Send a message to all clients, or to those of a group.

        It returns at once. Whoever's socket has no room gets it when there is some, after what
        waits already; see *on_slow*.

        Args:
            data: A text, or bytes.
            group: Which of them; None for all.
            exclude: Who does not get it, such as who has sent it.

        Returns:
            To how many it was sent, or waits to be.

        Raises:
            TypeError: *data* is neither a text nor bytes.
            WrongEventLoop: The hub belongs to another event loop.

        Cost: for each client what its socket takes to write; an entry in a queue if that is full.
        """
        data = data_of(data)
        core = self._core
        core.here()
        core.tally.broadcasts += 1
        size, sent = size_of(data), 0
        for client in core.members(group):
            # One may have been closed on behalf of another.
            if client is not exclude and client._is_open:
                sent += client._outbox.put(data, size)
        return sent

    # --- the end ----------------------------------------------------------------------------------

    async def close(
        self,
        code: int = 1001,
        reason: str = "going away",
        *,
        group: str | None = None,
        timeout: float | timedelta | None = 10,  # noqa: ASYNC109  # of the goodbyes
    ) -> int:
        """
        Close all clients that are there now, or those of a group; the hub goes on.

        Args:
            code: One of RFC 6455, or of your own from 3000 on.
            reason: At most 123 bytes.
            group: Which of them; None for all.
            timeout: Seconds for what waits to be sent, and for the goodbyes; after that
                connections are dropped. None: as long as it takes. The ambient ``deadline()``
                counts where it is sooner.

        Returns:
            How many that were.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: One is out of its range.
            WrongEventLoop: The hub belongs to another event loop.

        Cost: a task for each client, which goes on if the caller is cancelled.
        """
        check_close(code, reason)
        core = self._core
        core.here()
        closings = self._begin_close(code, reason, group, sooner(seconds_of(timeout))[0])
        if closings:
            await asyncio.wait([closing.task for closing in closings])
        return len(closings)

    def _begin_close(
        self, code: int, reason: str, group: str | None, seconds: float | None
    ) -> list[Closing]:
        members = self._core.members(group)
        begun = [each._begin_close("hub", code, reason, seconds=seconds) for each in members]
        return [closing for closing in begun if closing is not None]

    async def aclose(self, timeout: float | timedelta | None = 10) -> None:  # noqa: ASYNC109  # of closing
        """
        Take in nobody any more, send what waits, and close all clients with 1001.

        Args:
            timeout: Seconds for all of it; after that connections are dropped. None: as long as it
                takes. The ambient ``deadline()`` counts where it is sooner.

        Raises:
            WrongEventLoop: The hub belongs to another event loop.

        Cost: a task for each client, which goes on if the caller is cancelled.
        """
        seconds = seconds_of(timeout)
        core = self._core
        core.is_closed = True
        if core.loop is None:
            return
        core.here()
        seconds = sooner(seconds)[0]
        self._begin_close(1001, "going away", None, seconds)
        closings = list(core.closings)
        if not closings:
            return
        tasks = [closing.task for closing in closings]
        _, late = await asyncio.wait(tasks, timeout=seconds)
        if late:
            for closing in closings:
                closing.finish()
                closing.task.cancel()
            await asyncio.wait(tasks, timeout=_PATIENCE)

    async def __aenter__(self) -> Self:
        self._core.here()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # --- what it tells ----------------------------------------------------------------------------

    def stats(self) -> HubStats:
        """
        Return what the hub has done so far.
        """
        core, tally = self._core, self._core.tally
        return HubStats(
            connections=len(core.clients),
            closing=len(core.leaving),
            peak=tally.peak,
            max_connections=core.options.max_connections,
            groups=len(core.groups),
            queued=sum(client.pending for client in [*core.clients.values(), *core.leaving]),
            accepted=tally.accepted,
            refused=tally.refused,
            aborted=tally.aborted,
            messages_in=tally.messages_in,
            messages_out=tally.messages_out,
            bytes_in=tally.bytes_in,
            bytes_out=tally.bytes_out,
            broadcasts=tally.broadcasts,
            dropped=tally.dropped,
            unsent=tally.unsent,
            pings=tally.pings,
            pongs=tally.pongs,
            **{f"closed_{cause}": number for cause, number in tally.closed.items()},
        )

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        state = "closed" if self.closed else f"{len(self)} of {self._core.options.max_connections}"
        return f"WebSocketHub({state}{name})"


_components.describe("websocket_hub", HubStats, WEBSOCKET_HUB_FIELDS)
