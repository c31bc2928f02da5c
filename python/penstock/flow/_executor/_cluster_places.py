"""How many tasks may be on a cluster at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._waiters import Waiters
from penstock.errors import AcquireTimeout, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Places"]

_UNLIMITED = 2**62


class Places:
    """
    A number of places for tasks, each of which is taken until its task is done.

    Args:
        limit: How many, None for any number.
        rejects: Whether a task for which there is none is turned away, instead of waiting.
        on_reject: Is called when that happens.
    """

    __slots__ = ("_on_reject", "_rejects", "_waiters")

    def __init__(
        self, limit: int | None, *, rejects: bool, on_reject: Callable[[], object]
    ) -> None:
        self._waiters = Waiters(_UNLIMITED if limit is None else limit)
        self._rejects = rejects
        self._on_reject = on_reject

    def take(self, seconds: float | None) -> bool:
        """
        Wait for a place, in a thread.

        Returns:
            Whether there was one in time.

        Raises:
            LimitExceeded: There is none, and nobody waits here.
            RuntimeError: There is none, and an event loop runs in this thread.
        """
        if not self._finds_one():
            try:
                self._waiters._block(1, 0, seconds)
            except AcquireTimeout:
                return False
        return True

    async def take_later(self, seconds: float | None) -> bool:
        """Do what `take` does, in an event loop."""
        if not self._finds_one():
            try:
                await self._waiters.acquire(deadline=seconds)
            except AcquireTimeout:
                return False
        return True

    def give_back(self) -> None:
        """Let another task have the place."""
        self._waiters.release()

    def open(self) -> None:
        """Let all in who wait: they are going to learn that it is too late."""
        self._waiters.resize(_UNLIMITED)

    def _finds_one(self) -> bool:
        if self._waiters.try_acquire():
            return True
        if not self._rejects:
            return False
        self._on_reject()
        number = self._waiters.limit
        message = f"{number} tasks are pending already, which is all that may be"
        raise LimitExceeded(message, waiting=number, max_waiting=number)
