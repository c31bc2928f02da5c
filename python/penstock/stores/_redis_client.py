"""All that a Redis store has in one event loop, and what ends with it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.stores._redis_address import Address
from penstock.stores._redis_bus import Bus, Keeper
from penstock.stores._redis_leases import Leases
from penstock.stores._redis_options import Names
from penstock.stores._redis_reads import Reads
from penstock.stores._redis_session import Session
from penstock.stores._redis_tracking import Tracking
from penstock.stores._redis_writes import Writes

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from penstock.stores._redis_options import Options
    from penstock.stores._redis_stats import Counts
    from penstock.stores._redis_wire import Wire
    from penstock.stores._store import Message, Record

    Receive: TypeAlias = Callable[[Message], object]
    Maker: TypeAlias = Callable[[AbstractEventLoop, Receive, Callable[[], object]], "Client"]

__all__ = ["Client", "maker"]


def maker(
    url: str, options: Options, counts: Counts, encode: Callable[[str, Record], bytes]
) -> tuple[str, Maker]:
    """Return the server that *url* names, and what makes a client for a loop."""
    address = Address(url)
    options = replace(options, names=Names(options.names.namespace, address.db))

    def make(
        loop: AbstractEventLoop,
        receive: Receive,
        lost: Callable[[], object],
    ) -> Client:
        return Client(loop, address, options, counts, encode, receive, lost)

    return str(address), make


class Client:
    """
    The connections of a store in one loop.

    Args:
        loop: One.
        address: Of the server.
        options: Of the store.
        counts: Of the store.
        encode: Makes bytes of a record.
        receive: Is called with each message of others.
        lost: Is called when messages may be missing.
    """

    __slots__ = (
        "_keeper",
        "_lost",
        "_tracking",
        "address",
        "bus",
        "leases",
        "loop",
        "reads",
        "session",
        "writes",
    )

    def __init__(
        self,
        loop: AbstractEventLoop,
        address: Address,
        options: Options,
        counts: Counts,
        encode: Callable[[str, Record], bytes],
        receive: Receive,
        lost: Callable[[], object],
    ) -> None:
        self.loop = loop
        self.address = address
        self._lost = lost
        self._keeper: Keeper | None = None
        # Not that of a parent or of a loop before: their messages are those of others.
        sender = secrets.token_hex(8)
        self.session = Session(
            loop, address, options, counts, pushed=self._pushed, lost=self._data_lost
        )
        self.reads = Reads(self.session)
        self.writes = Writes(self.session, sender, encode)
        self._tracking = Tracking(self.session, receive)
        if self._tracks:
            self.writes.on_written = self._tracking.note
        self.bus = Bus(self.session, sender, receive, self._woken, self._bus_lost)
        self.leases = Leases(self.session, self.bus.link.connected)

    @property
    def is_listening(self) -> bool:
        """Whether messages come in now."""
        link = self.session.link if self._tracks else self.bus.link
        return self._keeper is not None and link.wire is not None

    @property
    def _tracks(self) -> bool:
        return self.session.options.backplane == "tracking"

    def listen(self) -> Keeper | None:
        """Keep the connection open that messages come over."""
        if self._keeper is None and self.session.options.backplane is not None:
            link = self.session.link if self._tracks else self.bus.link
            self._keeper = Keeper(link, self.session, self._lost)
        return self._keeper

    async def unlisten(self) -> None:
        """Stop that."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.stop()

    def _woken(self, key: str) -> None:
        self.leases.woken(key)

    def _bus_lost(self) -> None:
        self.leases.wake_all()
        if not self._tracks and self._keeper is not None:
            self._lost()

    def _data_lost(self) -> None:
        if self._tracks and self._keeper is not None:
            self._lost()

    def _pushed(self, wire: Wire, push: list[Any]) -> None:
        if not self._tracks or push[:1] != [b"invalidate"] or len(push) != 2:
            # It may stand where a reply should, and all after it would go to the wrong ones.
            wire.abort("it said what nobody wants to know")
        elif self._keeper is not None:
            self._tracking.pushed(wire, push)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.unlisten()
        await self._tracking.aclose()
        self.reads.close()
        self.leases.wake_all()
        await self.bus.link.close()
        await self.session.close()
