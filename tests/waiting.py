"""What tests of limiters share: waiters that tell what became of them, and clocks of loops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from penstock.errors import AcquireTimeout, LimitExceeded
from penstock.flow._rate import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["Guest", "Line", "assert_empty", "in_line", "limiter_of", "states"]


class Line(Protocol):
    """Permits, and who waits for them."""

    @property
    def in_use(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    def acquire(
        self, weight: int = 1, *, priority: int = 0, deadline: float | None = None
    ) -> Awaitable[None]: ...
    def release(self, weight: int = 1) -> None: ...


class Guest:
    """A task that asks for permits, and holds them until it is told to go."""

    _count = 0

    def __init__(
        self,
        line: Line,
        weight: int = 1,
        priority: int = 0,
        deadline: float | None = None,
        log: list[Guest] | None = None,
    ) -> None:
        Guest._count += 1
        self.number = Guest._count
        self.line = line
        self.weight = weight
        self.priority = priority
        self.deadline = deadline
        loop = asyncio.get_running_loop()
        #: When its time is over.
        self.until = None if deadline is None else loop.time() + deadline
        #: "waiting", then "inside", "expired", "refused" or "cancelled"; "gone" after "inside";
        #: "absent" if it was cancelled before it asked.
        self.state = "waiting"
        #: How often it was told something; a second time would be one too many.
        self.outcomes = 0
        self._log = log
        self.task = asyncio.ensure_future(self._ask())
        self.task.add_done_callback(self._check)

    async def _ask(self) -> None:
        try:
            await self.line.acquire(self.weight, priority=self.priority, deadline=self.deadline)
        except AcquireTimeout:
            self._end("expired")
        except LimitExceeded:
            self._end("refused")
        except asyncio.CancelledError:
            self._end("cancelled")
            raise
        else:
            self._end("inside")
            if self._log is not None:
                self._log.append(self)

    def _end(self, state: str) -> None:
        self.state = state
        self.outcomes += 1

    def _check(self, _: object) -> None:
        if self.state == "waiting":
            self._end("absent")

    def go(self) -> None:
        """Give the permits back."""
        assert self.state == "inside"
        self.state = "gone"
        self.line.release(self.weight)

    def cancel(self) -> None:
        """Cancel it, if it is not inside yet."""
        self.task.cancel()

    def __repr__(self) -> str:
        return f"<guest {self.number} {self.state} {self.weight}>"


def states(guests: list[Guest]) -> list[str]:
    return [guest.state for guest in guests]


def in_line(guests: list[Guest]) -> list[Guest]:
    """Those that wait."""
    return [guest for guest in guests if guest.state == "waiting"]


def assert_empty(line: Line) -> None:
    """Nobody holds anything, nobody waits, and whoever comes gets in at once."""
    assert (line.in_use, line.waiting) == (0, 0)
    waiting = line.acquire()
    with_nothing_to_wait_for = type(waiting).__name__ == "Ready"
    assert with_nothing_to_wait_for
    line.release()


def limiter_of(rate: float, burst: int = 1, **options: Any) -> RateLimiter:
    """A limiter on the clock of the running loop."""
    return RateLimiter(rate, burst, timer=asyncio.get_running_loop().time, **options)
