"""What a Redis store has in one event loop: its connection, and what it knows of the server."""

from __future__ import annotations

from math import ceil, floor, inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from penstock.errors import StoreTimeout
from penstock.stores._redis_errors import Refusal, error_of
from penstock.stores._redis_link import Link
from penstock.stores._redis_scripts import SCRIPTS
from penstock.stores._redis_wire import forsake, pack_command

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Sequence
    from types import UnionType

    from penstock.errors import StoreError
    from penstock.stores._redis_address import Address
    from penstock.stores._redis_options import Options
    from penstock.stores._redis_scripts import Script
    from penstock.stores._redis_stats import Counts
    from penstock.stores._redis_wire import Reply, Wire

__all__ = ["Running", "Session"]

T = TypeVar("T")

#: How often a server is asked what time it is, where it matters.
_QUESTIONS: Final = 3
#: Microseconds by which clocks that nobody sets may run apart.
_STEP: Final = 100_000
_TIME: Final = pack_command(("TIME",))


class Running:
    """
    A script that was sent.

    Args:
        session: Of the store.
        wire: Where it was sent.
        script: One.
        keys: All that it touches.
        args: Whatever else it takes.
        until: ``monotonic()`` after which it is to do nothing, which its second argument says;
            None: it does what it does whenever it comes.
    """

    __slots__ = ("_args", "_future", "_keys", "_script", "_session", "_until", "_wire")

    def __init__(
        self,
        session: Session,
        wire: Wire,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
        until: float | None,
    ) -> None:
        self._session = session
        self._wire = wire
        self._script = script
        self._keys = keys
        self._args = args
        self._until = until
        self._future: Future[Reply] | None = None

    def send(self, *, unknown: bool = False) -> None:
        """Send it; with its text where it is not known."""
        args = self._args
        if self._until is not None:
            args = (args[0], self._session.moments(self._until)[0], *args[2:])
        call = self._script.call_unknown if unknown else self._script.call
        self._future = self._wire.ask(call(self._keys, args))

    def leave(self) -> None:
        """Do without the reply."""
        if self._future is not None:
            forsake((self._future,))

    async def reply(self, kind: type[T], *kinds: type | UnionType) -> T:
        """
        Return the reply.

        Args:
            kind: Of the reply.
            kinds: If it is a list, of what is in it.

        Raises:
            StoreError: There is none, or none of that kind.
        """
        assert self._future is not None
        reply = await self._future
        if type(reply) is Refusal and reply.code == "NOSCRIPT":
            self._session.counts.script_loads += 1
            self.send(unknown=True)
            reply = await self._future
        if type(reply) is Refusal and reply.code == "LATE":
            # Unless it was that late, one of the two clocks was set.
            await self._session.tell_time(self._wire)
            self.send()
            reply = await self._future
            if type(reply) is Refusal and reply.code == "LATE":
                seconds = self._session.options.timeout
                where = f"Redis at {self._session.address}"
                raise StoreTimeout(f"{where} was not reached within {seconds:g} s", seconds=seconds)
        if type(reply) is not kind:
            raise self._session.surprised(self._wire, reply)
        if isinstance(reply, list) and not (
            len(reply) == len(kinds) and all(map(isinstance, reply, kinds))
        ):
            raise self.surprised()
        return reply

    def surprised(self) -> StoreError:
        """Return what to raise for a reply that cannot be one to this script."""
        return self._session.surprised(self._wire, None)


class Session:
    """
    The connection for data, and how one asks on it.

    Args:
        loop: That it lives in.
        address: Of the server.
        options: Of the store.
        counts: Of the store.
        pushed: Is called with what the server says unasked.
        lost: Is called when the connection is no more.
    """

    __slots__ = ("_offsets", "_step", "address", "counts", "link", "loop", "options")

    def __init__(
        self,
        loop: AbstractEventLoop,
        address: Address,
        options: Options,
        counts: Counts,
        *,
        pushed: Callable[[Wire, list[Any]], object],
        lost: Callable[[], object],
    ) -> None:
        self.loop = loop
        self.address = address
        self.options = options
        self.counts = counts
        self._offsets = 0, 0
        #: When it was seen last that one of the two clocks was set, and what had been before.
        self._step = -inf, (0, 0)
        self.link = self.new_link(self._greet, pushed, lost)

    def new_link(
        self,
        greet: Callable[[Wire], Any],
        pushed: Callable[[Wire, list[Any]], object],
        lost: Callable[[], object],
    ) -> Link:
        """Return a connection to the same server."""
        return Link(
            self.loop,
            self.address,
            timeout=self.options.timeout,
            connect_timeout=self.options.connect_timeout,
            counts=self.counts,
            greet=greet,
            pushed=pushed,
            lost=lost,
        )

    async def _greet(self, wire: Wire) -> None:
        """Make the scripts known, and ask to be told of changes if that is wanted."""
        # Those who may not load scripts, or may not write at all, can still read.
        futures = [wire.ask(script.load()) for script in SCRIPTS]
        try:
            await self.tell_time(wire)
            if self.options.backplane == "tracking":
                names = self.options.names
                tracking = ["CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP"]
                for prefix in (names.entry, names.tag, names.pattern):
                    tracking += "PREFIX", prefix
                self.checked(await wire.ask(pack_command(tuple(tracking))))
            for future in futures:
                await future
        finally:
            forsake(futures)

    def checked(self, reply: Reply) -> Reply:
        """
        Return a reply.

        Raises:
            StoreError: It is a refusal.
        """
        if type(reply) is Refusal:
            raise error_of(reply, str(self.address))
        return reply

    def surprised(self, wire: Wire, reply: object) -> StoreError:
        """Return what to raise for a reply that cannot be one to what was asked."""
        if type(reply) is Refusal:
            return error_of(reply, str(self.address))
        wire.abort("it replied to something else than what was asked")
        return wire.lost_error()

    async def start(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
        patience: float | None = None,
    ) -> Running:
        """
        Send a script, and return what its reply is waited for with.

        Args:
            script: One.
            keys: All that it touches.
            args: Whatever else it takes.
            patience: Seconds from its sending after which it is to do nothing, see `Running`.

        Raises:
            StoreError: There is no connection.
            ValueError: A key is no text.
        """
        wire = self.link.wire or await self.link.connected()
        # To connect may take longer than any answer.
        until = None if patience is None else monotonic() + patience
        running = Running(self, wire, script, keys, args, until)
        running.send()
        return running

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
        kind: type[T],
        *kinds: type | UnionType,
    ) -> T:
        """Run a script, and return its reply, which is of that kind; see `start` and `Running`."""
        return await (await self.start(script, keys, args)).reply(kind, *kinds)

    # --- time -------------------------------------------------------------------------------------

    async def tell_time(self, wire: Wire | None = None) -> None:
        """Find out how far the server's clock is from the one of this process."""
        wire = wire or self.link.wire or await self.link.connected()
        asked = monotonic()
        reply = await wire.ask(_TIME)
        told = monotonic()
        if type(reply) is not list or len(reply) != 2 or not all(map(bytes.isdigit, reply)):
            raise self.surprised(wire, reply)
        # It was that time there somewhere between the question and the answer.
        theirs = int(reply[0]) * 1_000_000 + int(reply[1])
        before, now = self._offsets, (theirs - ceil(told * 1e6), theirs - floor(asked * 1e6))
        self._offsets = now
        if before != (0, 0) and (now[1] < before[0] - _STEP or now[0] > before[1] + _STEP):
            _, (low, high) = self._step if self._step[0] > -inf else (0, before)
            self._step = told, (min(low, before[0]), max(high, before[1]))

    async def tell_time_well(self) -> None:
        """Find out as exactly as a few questions can tell."""
        await self.tell_time()
        low, high = self._offsets
        for _ in range(_QUESTIONS):
            await self.tell_time()
            lowest, highest = max(low, self._offsets[0]), min(high, self._offsets[1])
            if lowest <= highest:  # unless a clock was set in between
                self._offsets = lowest, highest
            low, high = self._offsets

    def moments(self, at: float) -> tuple[int, int]:
        """Return what time it was on the server when ``monotonic()`` was *at*, from and to."""
        low, high = self._offsets
        when, before = self._step
        if at < when:
            low, high = min(low, before[0]), max(high, before[1])
        return max(0, floor(at * 1e6) + low), max(0, ceil(at * 1e6) + high)

    async def ping(self) -> None:
        """
        Return when the server answers.

        Raises:
            StoreError: It does not.
        """
        wire = self.link.wire or await self.link.connected()
        reply = await wire.ask(pack_command(("PING",)))
        if reply != b"PONG":
            raise self.surprised(wire, reply)

    async def close(self) -> None:
        """Close the connection."""
        await self.link.close()
