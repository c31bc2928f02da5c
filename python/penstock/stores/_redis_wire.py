"""One connection to a Redis server: commands go out at once, replies come back in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import hiredis

from penstock.errors import StoreTimeout, StoreUnavailable
from penstock.stores._redis_errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.stores._redis_stats import Counts

__all__ = ["Reply", "Waiter", "Wire", "forsake", "pack_command"]

# Its own stub knows commands of one word only.
pack_command = cast("Callable[[tuple[str | bytes | int, ...]], bytes]", hiredis.pack_command)

#: What hiredis makes of a reply; an error is a `Refusal`.
Reply = Any
#: No reply of any server is this.
_MORE: Final = object()
#: Bytes that may wait to be written before nothing more is taken on.
_FULL: Final = 64 * 1024 * 1024


def forsake(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Leave replies that nobody waits for any more."""
    for future in futures:
        if not future.cancel():
            # An error that nobody has looked at would be complained about.
            with suppress(BaseException):
                future.exception()


class Waiter(Protocol):
    """Who waits for a reply: a future, or what is called when it comes."""

    def done(self) -> bool: ...
    def set_result(self, result: Reply, /) -> object: ...
    def set_exception(self, exception: BaseException, /) -> object: ...


class _Output(Protocol):
    """What a wire wants of a transport."""

    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...
    def get_extra_info(self, name: str) -> Any: ...
    def get_write_buffer_size(self) -> int: ...


class Wire(asyncio.Protocol):
    """
    A connection on which many callers ask at once.

    Each reply goes to who asked for it: a caller that is gone leaves its place in the line. Where
    what comes cannot be told to be the reply to what was asked, the connection is given up, and
    nobody gets anything.

    Args:
        loop: That it lives in.
        where: The server, for messages.
        timeout: Seconds that a reply may take.
        counts: Of the store.
        pushed: Is called with what the server says unasked.
    """

    __slots__ = (
        "_counts",
        "_create_future",
        "_due",
        "_feed",
        "_heard",
        "_loop",
        "_next",
        "_pushed",
        "_timer",
        "_transport",
        "_wake",
        "_was_late",
        "_where",
        "closed",
        "ended",
        "on_lost",
        "pending",
        "timeout",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        where: str,
        timeout: float,  # of each reply
        counts: Counts,
        pushed: Callable[[Wire, list[Any]], object],
    ) -> None:
        reader = hiredis.Reader(protocolError=ValueError, replyError=Refusal, notEnoughData=_MORE)
        self._feed = reader.feed
        self._next = reader.gets
        self._loop = loop
        self._create_future = loop.create_future
        self._where = where
        #: Seconds that a reply may take.
        self.timeout = timeout
        self._counts = counts
        self._pushed = pushed
        self._transport: _Output | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wake = inf
        self._was_late = False
        #: When somebody was answered in time, or asked what nobody was waiting for before.
        self._heard = loop.time()
        #: Who waits for a reply, and when each has waited long enough; both in order.
        self.pending: deque[Waiter] = deque()
        self._due: deque[float] = deque()
        #: Why nothing more can be asked, once that is so.
        self.closed: str | None = None
        #: Done when that is so.
        self.ended: asyncio.Future[None] = loop.create_future()
        #: Is called once when the connection is lost, with what has happened.
        self.on_lost: Callable[[str], object] | None = None

    # --- asking -----------------------------------------------------------------------------------

    def ask(self, command: bytes) -> asyncio.Future[Reply]:
        """
        Send a command, and return the future of its reply.

        Args:
            command: One, packed.

        Returns:
            A future. Cancelling it leaves everything else as it is. It raises StoreTimeout when
            the reply is late and StoreUnavailable when the connection is lost; an error of the
            server is a result.
        """
        future: asyncio.Future[Reply] = self._create_future()
        if self.closed is not None or self._transport is None:
            future.set_exception(self.lost_error())
        elif self.is_full:
            future.set_exception(StoreUnavailable(f"Redis at {self._where} takes in nothing more"))
        else:
            self.send(command, future)
        return future

    def send(self, command: bytes, waiter: Waiter) -> None:
        """
        Send a command whose reply somebody waits for.

        Args:
            command: One, packed.
            waiter: Is told later, and once. The connection is open, and not full.
        """
        assert self._transport is not None
        now = self._loop.time()
        due = now + self.timeout
        if not self.pending:
            self._heard = now
        self.pending.append(waiter)
        self._due.append(due)
        if due < self._wake:
            self._look_at(due)
        counts = self._counts
        counts.calls += 1
        counts.bytes_out += len(command)
        self._transport.write(command)

    def begin(self, timeout: float) -> None:
        """
        Give replies another time from now on.

        Args:
            timeout: Seconds. Nobody waits for a reply now.
        """
        self.timeout = timeout
        self._look_at(inf)

    @property
    def is_full(self) -> bool:
        """Whether what was asked has to go out before more is asked."""
        transport = self._transport
        return transport is not None and transport.get_write_buffer_size() > _FULL

    def lost_error(self) -> StoreUnavailable:
        """Return what to raise when the connection is not there."""
        return StoreUnavailable(
            f"the connection to Redis at {self._where} was lost: {self.closed or 'not open yet'}"
        )

    def answer(self, reply: Reply) -> None:
        """Take what was pushed for the reply to the command that is next in line."""
        if not self.pending:
            self.abort("it confirmed what nobody had asked")
            return
        self._due.popleft()
        self._heard = self._loop.time()
        future = self.pending.popleft()
        if not future.done():
            future.set_result(reply)

    @property
    def name(self) -> str | None:
        """What the server calls the other end, if that can be told."""
        if self._transport is None:
            return None
        name = self._transport.get_extra_info("sockname")
        if not isinstance(name, tuple):
            return None
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

    # --- what asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # a stream has all that

    def data_received(self, data: bytes) -> None:
        """Give each whole reply to who waits for it."""
        if self.closed is not None:
            return
        self._counts.bytes_in += len(data)
        now = self._loop.time()
        pending, due, read = self.pending, self._due, self._next
        try:
            self._feed(data)
            while (reply := read()) is not _MORE:
                if type(reply) is hiredis.PushNotification:
                    self._pushed(self, reply)
                    if self.closed is not None:
                        return
                    continue
                if not pending:
                    self.abort("it replied to what nobody had asked")
                    return
                future = pending.popleft()
                if due.popleft() >= now:
                    self._heard = now
                if not future.done():
                    self._heard = now
                    future.set_result(reply)
        except Exception as error:  # whatever it is, the rest cannot be told apart
            self.abort(f"it sent what is not understood: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody."""
        self._end("it was closed by the server" if exc is None else str(exc) or repr(exc))

    # --- the end ----------------------------------------------------------------------------------

    def abort(self, why: str) -> None:
        """Give the connection up, and tell everybody who waits."""
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    def _end(self, why: str) -> None:
        if self.closed is not None:
            return
        self.closed = why
        self._look_at(inf)
        pending = list(self.pending)
        self.pending.clear()
        self._due.clear()
        on_lost, self.on_lost = self.on_lost, None
        try:
            # First: who is told may ask again, and is not to find this one.
            if on_lost is not None:
                on_lost(why)
        finally:
            for future in pending:
                if not future.done():
                    future.set_exception(self.lost_error())
            if not self.ended.done():
                self.ended.set_result(None)

    # --- time -------------------------------------------------------------------------------------

    @property
    def silence(self) -> float:
        """
        Seconds without an answer in time, while somebody waits, after which this is given up.

        Bytes are none: where a reply was lost on the way, all others come, and to the wrong ones.
        """
        return max(3 * self.timeout, 1.0)

    def _look_at(self, when: float) -> None:
        """Look at that time who has waited long enough; there is one timer for all."""
        self._wake = when
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when == inf else self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """Tell those who have waited long enough."""
        when, self._wake, self._timer = self._wake, inf, None
        if not self._due:
            return
        now = self._loop.time()
        if now - when > self.timeout / 4 and not self._was_late:
            # The loop was kept from running: what has come meanwhile is to be read first.
            self._was_late = True
            self._look_at(now + self.timeout / 4)
            return
        self._was_late = False
        patience = self._heard + self.silence
        if now >= patience:
            self.abort(f"it answered nobody in time for {self.silence:g} s")
            return
        late: list[Waiter] = []
        for future, due in zip(self.pending, self._due, strict=True):
            if due > now:
                patience = min(patience, due)
                break
            if not future.done():
                late.append(future)
        self._look_at(patience)
        # Last: who is told may ask again.
        for future in late:
            self._counts.timeouts += 1
            message = f"Redis at {self._where} did not answer within {self.timeout:g} s"
            future.set_exception(StoreTimeout(message, seconds=self.timeout))
