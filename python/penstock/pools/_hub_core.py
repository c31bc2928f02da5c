"""What a `WebSocketHub` and its clients have in common."""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from penstock import _forks
from penstock.errors import ClosedError, LimitExceeded, WrongEventLoop
from penstock.flow._deadline import _ambient
from penstock.pools._hub_client import HubClient
from penstock.pools._hub_health import Health
from penstock.pools._hub_stats import Tally

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Coroutine, Iterable

    from penstock.pools._hub_closing import Closing
    from penstock.pools._hub_options import HubOptions
    from penstock.pools._hub_sockets import HubSocket

__all__ = ["Core"]

#: Seconds that a peer which does not answer has for its goodbye.
_GRACE = 1.0


class Core:
    """Who is in a hub, and what is counted; belongs to one event loop at a time."""

    __slots__ = ("__weakref__", "clients", "closings", "context", "groups", "health", "is_closed",
        "leaving", "loop", "opening", "options", "tally", "tasks")  # fmt: skip

    def __init__(self, options: HubOptions) -> None:
        self.options = options
        self.tally = Tally()
        self.is_closed = False
        #: In which the timer runs: under no caller's deadline.
        self.context = copy_context()
        self.context.run(_ambient.set, None)
        self._begin_anew()
        _forks.enter(self)

    def _begin_anew(self) -> object:
        """Be empty, and bound to no loop."""
        # A fork may come before the first of them was set.
        before = [getattr(self, slot, None) for slot in ("clients", "groups", "closings", "leaving",
            "tasks", "health", "loop")]  # fmt: skip
        self.loop: AbstractEventLoop | None = None
        #: By the ids of their sockets, so that none is in it twice.
        self.clients: dict[int, HubClient] = {}
        self.groups: dict[str, dict[HubClient, None]] = {}
        #: Those who are being closed; they count until their connection is gone.
        self.leaving: set[HubClient] = set()
        self.closings: set[Closing] = set()
        #: The loop itself holds them but weakly.
        self.tasks: set[Task[Any]] = set()
        #: The ids of those that are about to be let in.
        self.opening: set[int] = set()
        self.health = Health(self)
        return before

    # --- the loop ---------------------------------------------------------------------------------

    def here(self) -> AbstractEventLoop:
        """
        Return the running loop, which the hub is bound to from now on.

        Raises:
            RuntimeError: There is none.
            WrongEventLoop: The hub is bound to another one.
        """
        loop = asyncio._get_running_loop()
        if loop is self.loop and loop is not None:
            return loop
        if loop is None:
            raise RuntimeError("a WebSocketHub needs a running event loop")
        if self.loop is not None and not self.loop.is_closed():
            raise WrongEventLoop("the hub is bound to another event loop")
        if self.loop is not None:  # what is left there never ends
            for client in [*self.clients.values(), *self.leaving]:
                client._is_open = False
                client._cause = client._cause or "hub"
                self.tally.closed[client._cause] += client not in self.leaving
            self._begin_anew()
        self.loop = loop
        return loop

    def now(self) -> float:
        """What time it is."""
        timer = self.options.timer
        if timer is not None:
            return timer()
        assert self.loop is not None
        return self.loop.time()

    def create_task(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task[None]:
        """Run a coroutine in the loop, and hold it."""
        assert self.loop is not None
        task = self.loop.create_task(coroutine, context=context)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    @property
    def grace(self) -> float:
        """Seconds that a peer which does not answer has for its goodbye."""
        return min(_GRACE, self.options.health_timeout)

    # --- who is in --------------------------------------------------------------------------------

    def reserve(self, websocket: object) -> None:
        """
        Keep a place for a client that is to be added.

        Raises:
            ValueError: It is in already, or about to be.
            ClosedError: The hub is closed.
            LimitExceeded: There is no place.
        """
        self.here()
        if id(websocket) in self.clients or id(websocket) in self.opening:
            raise ValueError(f"{websocket!r} is in the hub already")
        if self.is_closed:
            raise ClosedError(f"{self.title} is closed")
        taken = len(self.clients) + len(self.leaving) + len(self.opening)
        limit = self.options.max_connections
        if taken >= limit:
            self.tally.refused += 1
            message = f"{self.title} has {taken} of {limit} connections"
            raise LimitExceeded(message, waiting=taken, max_waiting=limit)
        self.opening.add(id(websocket))

    def add(self, websocket: object, socket: HubSocket, groups: Iterable[str]) -> HubClient:
        """
        Let a client in whose place was reserved.

        Raises:
            ClosedError: The hub was closed meanwhile.
        """
        self.opening.discard(id(websocket))
        if self.is_closed:
            raise ClosedError(f"{self.title} is closed")
        client = HubClient(self, websocket, socket)
        self.clients[id(websocket)] = client
        client.join(*groups)
        tally = self.tally
        tally.accepted += 1
        tally.peak = max(tally.peak, len(self.clients))
        self.health.add(client)
        return client

    def stop(self, client: HubClient) -> None:
        """Take a client out, since it is being closed."""
        assert client.cause is not None
        self.tally.closed[client.cause] += 1
        self.clients.pop(id(client.websocket), None)
        self.leave(client, client.groups)
        self.leaving.add(client)
        self.health.remove(client)

    def finish(self, client: HubClient) -> None:
        """Free its place."""
        self.leaving.discard(client)

    def start(self, closing: Closing) -> None:
        """Run the end of a client."""
        closing.task = self.create_task(closing.run(), self.context.copy())
        self.closings.add(closing)

        def ended(_: object) -> None:
            closing.finish()  # if it was cancelled before it began
            self.closings.discard(closing)

        closing.task.add_done_callback(ended)

    # --- groups -----------------------------------------------------------------------------------

    def join(self, client: HubClient, groups: Iterable[str]) -> None:
        """Put a client into groups."""
        for group in groups:
            self.groups.setdefault(group, {})[client] = None

    def leave(self, client: HubClient, groups: Iterable[str]) -> None:
        """Take it out again."""
        for group in groups:
            members = self.groups.get(group)
            if members is not None:
                members.pop(client, None)
                if not members:
                    del self.groups[group]

    def members(self, group: str | None) -> list[HubClient]:
        """Return who is in a group, or in the hub."""
        return list(self.clients.values() if group is None else self.groups.get(group, ()))

    @property
    def title(self) -> str:
        """How messages call the hub."""
        return "the hub" if self.options.name is None else f"hub {self.options.name!r}"
