"""`HubClient`: a WebSocket that is in a `WebSocketHub`."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING

from penstock.errors import ClosedError
from penstock.flow._deadline import _ambient, ambient
from penstock.pools._hub_closing import Closing
from penstock.pools._hub_inbox import Inbox
from penstock.pools._hub_options import check_close, groups_of
from penstock.pools._hub_outbox import Outbox
from penstock.pools._hub_sockets import data_of, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import EllipsisType

    from penstock.flow._deadline import Due
    from penstock.pools._hub_core import Core
    from penstock.pools._hub_sockets import Data, HubSocket
    from penstock.pools._hub_stats import Cause

__all__ = ["ClientClosed", "HubClient"]


class ClientClosed(ClosedError):
    """
    Something was to be sent to a client that is gone.
    """

    client: HubClient


class HubClient:
    """
    A client of a `WebSocketHub`; made by ``serve()`` and ``add()``.

    ``async for message in client`` gives what it sends, until it leaves or is closed.

    Cost: belongs to the event loop of the hub.
    """

    __slots__ = ("__weakref__", "_active", "_cause", "_closing", "_context", "_core", "_end",
        "_error", "_groups", "_heard", "_inbox", "_is_open", "_is_suspected", "_outbox", "_socket",
        "_suspect", "_websocket")  # fmt: skip

    def __init__(self, core: Core, websocket: object, socket: HubSocket) -> None:
        self._core = core
        self._socket = socket
        #: In which it is sent: that of the server coroutine, under no deadline of its.
        self._context = copy_context()
        self._context.run(_ambient.set, None)
        self._is_open = True
        self._cause: Cause | None = None
        #: When a message came or went, and when something came.
        self._active = self._heard = core.now()
        #: Whether an answer is waited for, and what was being sent when that began.
        self._is_suspected = False
        self._suspect: object = None
        self._websocket = websocket
        self._groups: set[str] = set()
        self._end: tuple[int | None, str] = (None, "")
        self._closing: Closing | None = None
        self._error: Exception | None = None
        self._outbox = Outbox(self)
        self._inbox = Inbox(self)

    @property
    def websocket(self) -> object:
        """
        What was handed to the hub.
        """
        return self._websocket

    @property
    def closed(self) -> bool:
        """
        Whether nothing can be sent to it, nor comes from it, any more.
        """
        return not self._is_open

    @property
    def cause(self) -> Cause | None:
        """
        Who or what has closed it: ``"peer"``, ``"handler"`` (its server), ``"hub"``, ``"idle"``,
        ``"health"``, ``"slow"`` or ``"error"``; None while it lives.
        """
        return self._cause

    @property
    def close_code(self) -> int | None:
        """
        The code with which it ended, that of who said goodbye first; None while it lives.
        """
        return self._end[0]

    @property
    def close_reason(self) -> str:
        """
        What was said for a reason.
        """
        return self._end[1]

    @property
    def pending(self) -> int:
        """
        How many messages wait to be sent.
        """
        return len(self._outbox.queue)

    @property
    def groups(self) -> frozenset[str]:
        """
        The groups that it is in.
        """
        return frozenset(self._groups)

    def join(self, *groups: str) -> None:
        """
        Be in some more groups.

        Raises:
            TypeError: A group is no str.
        """
        groups = groups_of(groups)
        if self._is_open:
            self._groups.update(groups)
            self._core.join(self, groups)

    def leave(self, *groups: str) -> None:
        """
        Be in some groups no longer.
        """
        self._groups.difference_update(groups)
        self._core.leave(self, groups)

    # --- messages ---------------------------------------------------------------------------------

    async def send(self, data: Data) -> None:
        """
        Send a message, and return when it was handed to the socket, which has room for the next.

        Messages are sent in the order in which they were handed in, those of ``broadcast()``
        included. A caller that is cancelled takes his back if it was not begun with.

        Args:
            data: A text, or bytes.

        Raises:
            TypeError: *data* is neither.
            ClosedError: The client is closed; ``serve()`` lets it end its block quietly.
            ItemDropped: Too many messages waited, as ``on_slow`` says.
            DeadlineExceeded: The ambient ``deadline()`` was over first.
            WrongEventLoop: The hub belongs to another event loop.

        Cost: what the socket takes; a task and a future while messages wait.
        """
        if type(data) is not str:
            data = data_of(data)
        self._core.here()
        if not self._is_open:
            raise self._gone()
        due = ambient()
        if due is not None and due.remaining() <= 0:
            raise due.error()
        sent = self._outbox.put_and_wait(data, size_of(data))
        if sent is True:
            return
        if sent is False:
            raise self._gone()
        if due is None:
            await self._wait(sent)
        else:
            await self._wait_until(sent, due)

    async def _wait(self, future: asyncio.Future[None]) -> None:
        try:
            await future
        except asyncio.CancelledError:
            self._outbox.withdraw(future)
            raise

    async def _wait_until(self, future: asyncio.Future[None], due: Due) -> None:
        def expire() -> None:
            if not future.done():
                self._outbox.withdraw(future)
                future.set_exception(due.error())

        timer = future.get_loop().call_later(due.remaining(), expire)
        try:
            await self._wait(future)
        finally:
            timer.cancel()

    def send_nowait(self, data: Data) -> bool:
        """
        Send a message, or have it wait for its turn.

        Returns:
            False if it was dropped, since too many wait, or the client is closed.

        Raises:
            TypeError: *data* is neither a text nor bytes.
            WrongEventLoop: The hub belongs to another event loop.

        Cost: what the socket takes if nothing waits.
        """
        data = data_of(data)
        self._core.here()
        return self._is_open and self._outbox.put(data, size_of(data))

    async def receive(self) -> Data:
        """
        Return the next message.

        Raises:
            ClosedError: The client has left, or is closed.
            RuntimeError: Another task receives from it. Errors of the socket pass through.

        Cost: what the socket takes.
        """
        data = await self._inbox.get()
        if data is None:
            raise self._gone()
        return data

    def __aiter__(self) -> AsyncIterator[Data]:
        return self

    async def __anext__(self) -> Data:
        data = await self._inbox.get()
        if data is None:
            raise StopAsyncIteration
        return data

    # --- the end ----------------------------------------------------------------------------------

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Send what waits, say goodbye, and return when the client is gone.

        Args:
            code: One of RFC 6455, or of your own from 3000 on.
            reason: At most 123 bytes.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: The code is none that may be sent, or the reason is too long.

        Cost: ``health_timeout`` at most, then the connection is dropped. It goes on if the caller
            is cancelled.
        """
        check_close(code, reason)
        self._core.here()
        closing = self._begin_close("hub", code, reason)
        if closing is not None:
            await closing.ended()

    def _begin_close(
        self,
        cause: Cause,
        code: int,
        reason: str,
        *,
        is_drained: bool = True,
        seconds: float | EllipsisType | None = ...,
    ) -> Closing | None:
        """Close it in the background, unless that is done; return what does so, if it has to be."""
        if self._is_open:
            self._stop(cause, code, reason)
            if seconds is ...:
                seconds = self._core.options.health_timeout
            self._closing = closing = Closing(self, code, reason, is_drained, seconds)
            self._core.start(closing)
        return self._closing

    def _stop(self, cause: Cause, code: int | None, reason: str) -> None:
        self._is_open = False
        self._cause = cause
        self._end = (code, reason)
        self._core.stop(self)
        if cause != "peer":
            self._inbox.call_off()

    def _left(self) -> None:
        """The peer is gone."""
        if self._is_open:
            code = getattr(self._socket, "close_code", None)
            reason = getattr(self._socket, "close_reason", "")
            self._stop("peer", code or 1006, reason)
            self._outbox.end()
            self._core.finish(self)

    def _drop(self) -> None:
        """The loop ends: there is no time for a goodbye."""
        if self._is_open:
            self._stop("error", 1006, "")
            self._outbox.end()
            self._core.tally.aborted += 1
            self._socket.abort()
            self._core.finish(self)

    def _lost(self, error: Exception) -> None:
        """Nothing can be sent, or received, any more."""
        if not self._is_open:
            return
        self._error = error
        if isinstance(error, OSError):
            self._left()
        else:
            self._begin_close("error", 1011, "", is_drained=False, seconds=self._core.grace)

    def _too_slow(self, waiting: int) -> None:
        """Too many messages wait."""
        reason = f"too slow: {waiting} messages wait"
        self._begin_close("slow", 1008, reason, is_drained=False)

    def _answered(self) -> None:
        """It lives."""
        self._heard = self._core.now()
        if self._is_suspected:
            self._is_suspected = False
            self._inbox.end_ahead()
            self._core.tally.pongs += self._core.health.can_answer(self)

    @property
    def _is_read(self) -> bool:
        """Whether what it answers would be seen."""
        return self._inbox.is_read

    def _read_ahead(self) -> bool | None:
        """See to it that somebody reads: False if somebody did, None if too much lies there."""
        return self._inbox.read_ahead()

    def _gone(self) -> ClosedError:
        """What to raise when something is to be sent."""
        code, reason = self._end
        said = "" if code is None else f" with {code}{reason and f' ({reason})'}"
        error = ClientClosed(f"the client was closed{said}")
        error.client = self
        error.__cause__ = self._error
        return error

    def __repr__(self) -> str:
        state = f"pending={self.pending}" if self._is_open else f"closed by {self._cause}"
        return f"<HubClient {type(self._websocket).__name__}, {state}>"
