"""What is to be sent to one client of a `WebSocketHub`: a bounded queue, and who empties it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from penstock.errors import ItemDropped
from penstock.pools._hub_sockets import Beginning, Pinging, data_of

if TYPE_CHECKING:
    from asyncio import Future, Task
    from collections.abc import Awaitable

    from penstock.pools._hub_client import HubClient
    from penstock.pools._hub_sockets import Data

__all__ = ["Item", "Outbox"]


class Item:
    """A message, and who waits until it was sent."""

    __slots__ = ("data", "future", "size")

    def __init__(self, data: Data, size: int, future: Future[None] | None = None) -> None:
        self.data = data
        self.size = size
        self.future = future

    def end(self, error: Exception | None = None) -> None:
        """Tell who waits for it."""
        future = self.future
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class Outbox:
    """
    Sends to one client, in order, and holds up nobody but that client.

    What can be sent without waiting is sent at once; a task is there only while something waits.
    """

    __slots__ = ("_begin", "_client", "_is_ping_due", "_socket", "_through", "current", "queue",
        "task")  # fmt: skip

    def __init__(self, client: HubClient) -> None:
        self._client = client
        self._socket = client._socket
        self._begin = client._socket.begin if isinstance(client._socket, Beginning) else None
        self._is_ping_due = False
        self._through: Future[None] | None = None
        self.queue: deque[Item] = deque()
        #: What is being sent.
        self.current: Item | None = None
        self.task: Task[None] | None = None

    def put(self, data: Data, size: int) -> bool:
        """Send a message, or queue it; False if it was dropped, or the client is closed."""
        return self._put(data, size, False) is not False

    def put_and_wait(self, data: Data, size: int) -> Future[None] | bool:
        """The same, with a future to wait for, unless it was sent at once or cannot be."""
        return self._put(data, size, True)

    def _put(self, data: Data, size: int, is_awaited: bool) -> Future[None] | bool:
        rest: Any = False
        if self.task is None:
            if self._begin is not None:
                try:
                    rest = self._begin(data)
                except Exception as error:
                    self._client._lost(error)
                    return False
            if rest is None:
                self._count(size)
                return True
            item = self._item(data, size, is_awaited)
            self._start(item, rest)
            return item.future or True
        item = self._item(data, size, is_awaited)
        if len(self.queue) < self._client._core.options.queue:
            self.queue.append(item)
            return item.future or True
        return self._overflow(item)

    def _item(self, data: Data, size: int, is_awaited: bool) -> Item:
        loop = self._client._core.here()
        return Item(data, size, loop.create_future() if is_awaited else None)

    def _overflow(self, item: Item) -> Future[None] | bool:
        """Make room, or do without."""
        client, queue = self._client, self.queue
        tally, policy = client._core.tally, client._core.options.on_slow
        tally.dropped += 1
        if policy == "close":
            client._too_slow(len(queue))
            item.end(client._gone())
            return item.future or False
        new = item
        if policy == "drop_oldest":
            queue.append(item)
            item = queue.popleft()
        item.end(ItemDropped(f"{len(queue)} messages wait for the client already"))
        return new.future or item is not new

    def withdraw(self, future: Future[None]) -> None:
        """Take back what somebody waited for, if it was not begun with."""
        for item in self.queue:
            if item.future is future:
                self.queue.remove(item)
                return

    def ping(self) -> None:
        """Send a ping before whatever waits."""
        self._is_ping_due = True
        if self.task is None:
            self._start(None, False)

    def _start(self, item: Item | None, rest: Any) -> None:
        client = self._client
        self.current = item
        task = client._core.create_task(self._run(item, rest), client._context)
        if not task.done():  # as one does that runs at once, where tasks are eager
            self.task = task

    async def _run(self, item: Item | None, rest: Awaitable[object] | bool) -> None:
        """Send until nothing is left."""
        socket, queue = self._socket, self.queue
        try:
            while True:
                if item is not None:
                    await (socket.send(item.data) if isinstance(rest, bool) else rest)
                    self.current = None
                    self._count(item.size)
                    item.end()
                    rest = False
                if self._is_ping_due:
                    self._is_ping_due = False
                    await self._ping()
                if not queue:
                    break
                self.current = item = queue.popleft()
        except Exception as error:
            self.task = None
            self._client._lost(error)
        except asyncio.CancelledError:
            # By the end of the client, which sees to the rest, or of the loop.
            if self.task is asyncio.current_task():
                self.task = None
                self._client._drop()
            raise
        self.task = None
        if self._through is not None and not self._through.done():
            self._through.set_result(None)

    async def _ping(self) -> None:
        client = self._client
        client._core.tally.pings += 1
        message = client._core.options.ping
        if message is not None:
            await self._socket.send(data_of(message()))
        elif isinstance(self._socket, Pinging):
            pong = await self._socket.ping()
            if pong is not None:
                pong.add_done_callback(self._on_pong)

    def _on_pong(self, pong: Future[object]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._client._answered()

    def _count(self, size: int) -> None:
        client = self._client
        tally = client._core.tally
        tally.messages_out += 1
        tally.bytes_out += size
        client._active = client._core.now()

    async def drained(self) -> None:
        """Wait until nothing is left to be sent."""
        while self.task is not None:
            self._through = asyncio.get_running_loop().create_future()
            await self._through

    def end(self) -> None:
        """Give up what is left."""
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
        left = list(self.queue)
        if self.current is not None:
            left.append(self.current)
            self.current = None
        self.queue.clear()
        self._client._core.tally.unsent += len(left)
        for item in left:
            item.end(self._client._gone())
        if self._through is not None and not self._through.done():
            self._through.set_result(None)
