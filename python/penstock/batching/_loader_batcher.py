"""The batcher of a loader."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Hashable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from penstock.batching._batcher import Batcher
from penstock.flow._checks import MAX_INT, check_int

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

    from penstock.batching._loader_calls import Flight

__all__ = ["KeyBatcher"]

K = TypeVar("K")
V = TypeVar("V")


class KeyBatcher(Batcher[list[tuple[Hashable, K, Future[V]]], None]):
    """
    A batcher of lists of keys.

    The keys of a tick need no queue: where every call can be made at once they come in lists that
    are as long as a call may be. Otherwise they come one by one, and gather here.

    Args:
        run: Makes the call of a batch.
        max_items: Keys of a call.
        linger: Seconds that the first key waits.
        max_concurrency: Calls at once.
    """

    __slots__ = ("_is_handing_in", "_length", "handed_in", "waiting")

    def __init__(
        self,
        run: Callable[[list[list[Flight[K, V]]]], Awaitable[None]],
        max_items: int | None,
        linger: float | timedelta,
        max_concurrency: int | None,
    ) -> None:
        number = MAX_INT if max_items is None else check_int("max_items", max_items, 1)
        at_once = max_concurrency is None and linger in (0, timedelta(0))
        super().__init__(
            run,
            max_items=1 if at_once else number,
            linger=linger,
            max_pending=None,
            max_concurrency=max_concurrency,
        )
        #: The keys of this tick.
        self.waiting: list[Flight[K, V]] = []
        #: How many keys there were before.
        self.handed_in = 0
        self._is_handing_in = False
        self._length = number if at_once else 1

    def begin(self) -> None:
        """Have the keys that wait from now on handed in soon."""
        # Tasks that were made together with the first key ask in their first step, one tick from
        # now: with it.
        loop = self._binding.join("load()")
        loop.call_soon(self._go_on, loop, context=self._pump.context)

    def _go_on(self, loop: AbstractEventLoop) -> None:
        loop.call_soon(self.hand_in, context=self._pump.context)

    def hand_in(self) -> None:
        """Put what waits into the queue."""
        flights = self.waiting.copy()
        self.drop()
        self._is_handing_in = True
        try:
            for start in range(0, len(flights), self._length):
                self.put_nowait(flights[start : start + self._length])
        finally:
            self._is_handing_in = False
        self._pump.run()  # enough ticks have gone by

    def drop(self) -> None:
        """Let nothing wait any more."""
        self.handed_in += len(self.waiting)
        self.waiting.clear()

    def _wake(self) -> None:
        if not self._is_handing_in:
            super()._wake()

    def refuse_inside(self) -> None:
        """Raise if a call would wait for itself."""
        self._refuse_inside("aclose")
