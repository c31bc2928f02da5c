"""The event loop that a Redis store belongs to, and who listens there to what others change."""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop
from typing import TYPE_CHECKING

from penstock.errors import ClosedError, WrongEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.stores._redis_client import Client, Maker
    from penstock.stores._redis_options import Options
    from penstock.stores._redis_stats import Counts
    from penstock.stores._store import Message, Record

__all__ = ["Binding"]


def _maker(
    url: str, options: Options, counts: Counts, encode: Callable[[str, Record], bytes]
) -> tuple[str, Maker]:
    """Return the server that *url* names, and what makes a client for a loop."""
    try:
        from penstock.stores._redis_client import maker
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] in {"hiredis", "redis"}:
            message = "RedisStore needs the extra: pip install 'penstock[redis]'"
            raise ImportError(message, name=error.name) from error
        raise
    return maker(url, options, counts, encode)


class Binding:
    """
    The connections of a store: made in the loop that it is used in, and anew when that is closed.

    Args:
        url: Of the server.
        options: Of the store.
        counts: Of the store.
        encode: Makes bytes of a record.

    Raises:
        ImportError: redis or hiredis is not installed.
    """

    __slots__ = ("_counts", "_left", "_listeners", "_make", "client", "closed", "where")

    def __init__(
        self,
        url: str,
        options: Options,
        counts: Counts,
        encode: Callable[[str, Record], bytes],
    ) -> None:
        #: The server, without its password.
        self.where, self._make = _maker(url, options, counts, encode)
        self.client: Client | None = None
        self.closed = False
        self._counts = counts
        self._listeners: list[tuple[Callable[[Message], None], Callable[[], None]]] = []
        self._left = 0

    def join(self) -> Client:
        """
        Return the client of the running loop, which the store is bound to from now on.

        Raises:
            ClosedError: The store is closed.
            WrongEventLoop: It is bound to another loop.
            RuntimeError: No loop runs.
        """
        client, loop = self.client, get_running_loop()
        if client is not None and client.loop is loop:
            return client
        if self.closed:
            raise ClosedError(f"the store over Redis at {self.where} is closed")
        if client is not None and not client.loop.is_closed():
            message = f"the store over Redis at {self.where} is bound to another event loop"
            raise WrongEventLoop(message)
        self.client = client = self._make(loop, self._receive, self._lost)
        if self._listeners:
            # They heard nothing since the loop before was closed.
            client.listen()
            self._lost()
        return client

    async def listen(self, receive: Callable[[Message], None], lost: Callable[[], None]) -> None:
        """Begin to call *receive* and *lost*."""
        client = self.join()
        listener = receive, lost
        self._listeners.append(listener)
        keeper = client.listen()
        if keeper is not None:
            try:
                await keeper.tried()
            except CancelledError:  # who tries again would be told everything twice
                if listener in self._listeners:
                    self._listeners.remove(listener)
                raise

    async def unlisten(self) -> None:
        """Stop it, once it was called as often as `listen`."""
        self._left += 1
        if self._left >= len(self._listeners):
            self._left = 0
            self._listeners.clear()
            if self.client is not None and not self.client.loop.is_closed():
                await self.client.unlisten()

    def _receive(self, message: Message) -> None:
        self._counts.messages_in += 1
        for receive, _ in self._listeners:
            self._call(receive, message)

    def _lost(self) -> None:
        self._counts.resyncs += 1
        for _, lost in self._listeners:
            self._call(lost)

    def _call(self, listener: Callable[..., None], *args: object) -> None:
        """Call a listener, whose errors are not those of the connection."""
        try:
            listener(*args)
        except Exception as error:
            context = {"message": "a listener of a RedisStore has failed", "exception": error}
            if self.client is not None:
                self.client.loop.call_exception_handler(context)

    def begin_anew(self) -> object:
        """Forget the connections and who listens, and return them."""
        left = self.client, self._listeners
        self.client, self._listeners, self._left = None, [], 0
        return left

    async def aclose(self) -> None:
        """Close the connections, and make none any more."""
        self.closed = True
        client, self.client = self.client, None
        self._listeners.clear()
        if client is not None and not client.loop.is_closed():
            await client.aclose()
