"""What comes from one client of a `WebSocketHub`, and how whoever waits for it is called off."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from penstock.pools._hub_sockets import size_of

if TYPE_CHECKING:
    from asyncio import Task

    from penstock.pools._hub_client import HubClient
    from penstock.pools._hub_sockets import Data

__all__ = ["Inbox"]


class Inbox:
    """
    Receives from one client.

    The server coroutine reads from the socket itself. Only while a client is suspected of being
    gone, and nobody reads, a task does so ahead: the answer to a ping may be among what waits.
    """

    __slots__ = ("_ahead", "_ahead_task", "_cancelling", "_client", "_error", "_is_called_off",
        "_is_over", "_receive", "task")  # fmt: skip

    def __init__(self, client: HubClient) -> None:
        self._client = client
        self._receive = client._socket.receive
        self._ahead: deque[Data] = deque()
        self._ahead_task: Task[None] | None = None
        self._error: Exception | None = None
        self._is_called_off = False
        self._is_over = False
        self._cancelling = 0
        #: Who is reading.
        self.task: Task[object] | None = None

    async def get(self) -> Data | None:
        """Return the next message, None when the client is closed."""
        if self.task is not None:
            raise RuntimeError("another task receives from this client already")
        client = self._client
        if self._ahead_task is not None or self._ahead or self._error is not None:
            await self._stop_ahead()
            if self._ahead:
                return self._ahead.popleft()
            if self._error is not None:
                error, self._error = self._error, None
                raise error
        # Of one that has left by itself there may be messages that nobody has read yet.
        if self._is_over or (not client._is_open and client.cause != "peer"):
            return None
        self.task = asyncio.current_task()
        try:
            data = await self._receive()
        except asyncio.CancelledError:
            if self._is_called_off and self._recall():
                return None
            raise
        except Exception as error:
            self.task = None
            client._lost(error)
            raise
        finally:
            # Somebody on the way may have swallowed it.
            if self._is_called_off:
                self._recall()
            self.task = None
        return self._took(data)

    def _took(self, data: Data | None) -> Data | None:
        client = self._client
        if data is None:
            self._is_over = True
            client._left()
            return None
        tally = client._core.tally
        tally.messages_in += 1
        tally.bytes_in += size_of(data)
        client._heard = client._active = client._core.now()
        if client._is_suspected:
            client._answered()
        return data

    def call_off(self) -> None:
        """Let whoever waits for a message go on without."""
        self.end_ahead()
        task = self.task
        # Not one that is running: it sees by itself that the client is closed.
        if task not in {None, asyncio.current_task()} and not self._is_called_off:
            assert task is not None
            self._is_called_off = True
            self._cancelling = task.cancelling()
            task.cancel()

    def end_ahead(self) -> None:
        """Read ahead no more."""
        task = self._ahead_task
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _recall(self) -> bool:
        """Take the cancellation back; False if somebody else has cancelled the task as well."""
        self._is_called_off = False
        return self.task is None or self.task.uncancel() <= self._cancelling

    @property
    def is_read(self) -> bool:
        """Whether somebody is reading."""
        return self.task is not None or self._ahead_task is not None

    def read_ahead(self) -> bool | None:
        """Read until somebody else does: False if somebody did, None if too much lies there."""
        client = self._client
        if self.task is not None:
            return False
        if len(self._ahead) >= client._core.options.queue:
            return None
        if self._ahead_task is None:
            task = client._core.create_task(self._read_ahead(), client._context)
            self._ahead_task = task
            task.add_done_callback(self._end)
        return True

    def _end(self, _: object) -> None:
        self._ahead_task = None

    async def _read_ahead(self) -> None:
        client, limit = self._client, self._client._core.options.queue
        try:
            while client._is_suspected and client._is_open and len(self._ahead) < limit:
                data = self._took(await self._receive())
                if data is not None:
                    self._ahead.append(data)
        except Exception as error:
            client._lost(error)
            self._error = error

    async def _stop_ahead(self) -> None:
        task = self._ahead_task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
