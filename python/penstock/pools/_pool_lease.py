"""What `Pool.acquire` returns: to be awaited, or for ``async with``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from penstock import _backend
from penstock.pools._pool_stock import GIVEN_BACK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from types import TracebackType

    from penstock.pools._pool import Pool
    from penstock.pools._pool_link import Link

__all__ = ["Lease"]

C = TypeVar("C")


class Lease(Generic[C]):
    """A connection for a while; see `Pool.acquire`."""

    __slots__ = ("_link", "_number", "_pool", "_seconds")

    def __init__(self, pool: Pool[C], seconds: float | None) -> None:
        self._pool = pool
        self._seconds = seconds
        self._link: Link[C] | None = None

    def __await__(self) -> Generator[object, None, C]:
        stock = self._pool._stock
        link = None if stock is None else stock.grab()
        # No Ready: asyncio wraps what is no coroutine, up to 3.11 by `yield from`.
        return self._take().__await__() if link is None else _given(link.raw)

    def __aenter__(self) -> Awaitable[C]:
        if self._link is not None:
            raise RuntimeError("a lease is entered once: call acquire() again")
        stock = self._pool._stock
        link = None if stock is None else stock.grab()
        if link is None:
            return self._enter()
        self._link, self._number = link, link.lease
        return _backend.Ready(link.raw)

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Awaitable[None]:
        link = self._link
        if link is not None:
            self._link = None
            if link.lease != self._number:
                raise RuntimeError(GIVEN_BACK)
            link.stock.give_back(link, failed=kind is not None)
        return _backend.Ready(None)

    async def _take(self) -> C:
        link = await self._pool._stocked().take(self._seconds)
        return link.raw

    async def _enter(self) -> C:
        link = await self._pool._stocked().take(self._seconds)
        self._link, self._number = link, link.lease
        return link.raw


def _given(raw: C) -> Generator[object, None, C]:
    return raw
    yield
