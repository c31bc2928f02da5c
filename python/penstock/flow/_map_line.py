"""The calls of a `map_concurrent` whose limit is a limiter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.flow._limiter import Limiter

__all__ = ["Line"]

T = TypeVar("T")


class Line(Generic[T]):
    """
    Admits calls by a limiter; one waits for it at a time, and only then the next item is taken.

    Args:
        limiter: May have other users, and a limit that changes.
        function: What is called.
        go_on: Called when the next one may stand in line.
    """

    __slots__ = ("_function", "_go_on", "limiter", "taken")

    def __init__(
        self,
        limiter: Limiter,
        function: Callable[[T], Awaitable[object]],
        go_on: Callable[[], object],
    ) -> None:
        self.limiter = limiter
        self._function = function
        self._go_on = go_on
        #: The number of the item whose call is in line, or about to be.
        self.taken: int | None = None

    def has_place(self, workers: int) -> bool:
        """Whether one more may come, beside so many."""
        return self.taken is None and workers <= self.limiter.limit

    async def call(self, item: T) -> object:
        """Call the function once the limiter admits it."""
        waits = True
        try:
            async with self.limiter:
                waits = False
                self._leave()
                return await self._function(item)
        finally:
            if waits:
                self._leave()

    def end(self, number: int) -> None:
        """Note that the call of an item has ended, which may never have come to the limiter."""
        if self.taken == number:
            self._leave()

    def _leave(self) -> None:
        # The second try of a call lets one more into the line than there should be: no harm.
        self.taken = None
        self._go_on()
