"""The line in front of a pool of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from penstock._waiters import Waiters
from penstock.errors import PoolTimeout
from penstock.flow._deadline import sooner
from penstock.pools._pool_lapses import Lapses

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

    from penstock._waiters import TaskWaiter

__all__ = ["AGAIN", "Line"]

#: The priority of who was handed a connection that turned out to be dead: in front of all others.
AGAIN = -1


class Stocked(Protocol):
    """What there is behind the line."""

    def sizes(self) -> tuple[int, int, int, int]:
        """Return how many there are, idle, leased, and waited for."""
        ...

    @property
    def last_error(self) -> BaseException | None:
        """Why there are not more."""
        ...


class Line(Waiters):
    """
    Permits, one for each connection that there is, and one that is never given back.

    So a waiter gets whatever comes first: a connection that is given back, or one that was made.
    The one permit is there because a line cannot have none.
    """

    __slots__ = ("__weakref__", "_lapses", "_stocked")

    def __init__(self, stocked: Stocked, timer: Callable[[], float] | None) -> None:
        super().__init__(1, "priority", None, timer)
        self._stocked = stocked
        self._lapses = Lapses(self)
        self.try_acquire()

    _time_left = staticmethod(sooner)

    def _alarm(
        self, loop: AbstractEventLoop, waiter: TaskWaiter, ticket: int, seconds: float
    ) -> TimerHandle | None:
        """One timer serves all who wait."""
        return self._lapses.add(loop, waiter, ticket, seconds)

    def _expired(self, seconds: float) -> Exception:
        return self.too_late(seconds)

    def too_late(self, seconds: float) -> PoolTimeout:
        """Return what to raise when somebody has waited for so long."""
        size, idle, leased, waiters = self._stocked.sizes()
        cause = self._stocked.last_error
        why = "" if cause is None else f"; the last attempt to connect failed: {cause!r}"
        return PoolTimeout(
            f"no connection within {seconds:g} s: "
            f"size={size} idle={idle} leased={leased} waiting={waiters}{why}",
            seconds=seconds,
            size=size,
            idle=idle,
            leased=leased,
            waiters=waiters,
        )
